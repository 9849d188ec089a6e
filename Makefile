# One member, from its JAX checkpoint to a published pair of modules; see README.md, or run `make help`.
#
# Every file is a real target and depends on the files of earlier stages, on the code of its own stage and on the YAML
# sections it is made of. The last two are stamps (pipeline/stamps.py): files that change only when their content does.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-builtin-rules --warn-undefined-variables
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

MODEL ?=
CHECKPOINTS ?=
CACHE ?=
LOCK ?=
OFFLINE ?=
IMAGENET ?=
SAMPLES ?=
REAL ?=
REQUIRE_ACCURACY ?=
MODULE ?=
AGAINST ?=
LABELS ?=
RANGE ?=
ACTIVATION ?=
ARTIFACTS ?= artifacts
HUB ?= $(ARTIFACTS)/hub
HUB_URL ?=
PORT ?= 8080
HOST ?=
GCS ?=
SAVED_MODEL ?=
TORCH_PYTHON ?=
INDEX ?=
DIFF ?=
CHECKPOINT ?=
NAME ?=
BASE_PYTHON ?= python3

# An environment may use these words for something else (WSL exports NAME, csh HOST, both the computer's): the command line alone counts.
$(foreach word,CACHE LOCK INDEX DIFF NAME HOST,$(if $(filter command,$(origin $(word))),,$(eval override $(word) :=)))

# Only some shells expand the ~ of `make HUB=~/hub`.
home = $(patsubst ~/%,$(HOME)/%,$(1))
override CHECKPOINTS := $(call home,$(CHECKPOINTS))
override CACHE := $(call home,$(CACHE))
override LOCK := $(call home,$(LOCK))
override IMAGENET := $(call home,$(IMAGENET))
override REAL := $(call home,$(REAL))
override ARTIFACTS := $(call home,$(ARTIFACTS))
override HUB := $(call home,$(HUB))
override SAVED_MODEL := $(call home,$(SAVED_MODEL))
override TORCH_PYTHON := $(call home,$(TORCH_PYTHON))
override INDEX := $(or $(call home,$(INDEX)),$(and $(CHECKPOINTS),$(wildcard $(CHECKPOINTS)/index.csv)))

# What has an @ may have a password, which make is not to print: the shell takes it from the environment.
export CHECKPOINTS INDEX MODULE AGAINST
quoted = $(if $(findstring @,$($(1))),"$$$(1)",'$($(1))')

A := $(ARTIFACTS)
S := $A/.stamps
YAMLS := $(filter-out %/collection.yaml,$(wildcard model_cards/*/*.yaml))
COLLECTION ?= $(or $(if $(MODEL),$(notdir $(patsubst %/,%,$(dir $(filter %/$(MODEL).yaml,$(YAMLS)))))),vit)
PAGE := $A/collections/$(COLLECTION)

MODELS := $(sort $(basename $(notdir $(YAMLS))))
COLLECTIONS := $(notdir $(patsubst %/collection.yaml,%,$(wildcard model_cards/*/collection.yaml)))
OF_COLLECTION := $(basename $(notdir $(filter model_cards/$(COLLECTION)/%,$(YAMLS))))
SELECTED := $(if $(MODEL),$(MODEL),$(OF_COLLECTION))

# Checked now, while the Makefile is read: an error in a recipe would come after minutes of work on prerequisites.
ifneq ($(words $(MODELS)),$(words $(YAMLS)))
$(error two members have the same name; names are unique across the collections: $(sort $(YAMLS)))
endif
ifneq ($(filter-out $(MODELS),$(MODEL)),)
$(error unknown member MODEL=$(MODEL); the members are: $(MODELS))
endif
ifneq ($(filter-out $(COLLECTIONS),$(notdir $(patsubst %/,%,$(dir $(YAMLS))))),)
$(error each folder of members needs a collection.yaml; it is missing in model_cards/$(firstword $(filter-out $(COLLECTIONS),$(notdir $(patsubst %/,%,$(dir $(YAMLS)))))))
endif
ifneq ($(filter add,$(MAKECMDGOALS)),)
ifeq ($(CHECKPOINT),)
$(error say which checkpoint: make add CHECKPOINT=<the name of one of the pool's files>)
endif
else ifneq ($(filter-out $(COLLECTIONS),$(COLLECTION)),)
$(error unknown COLLECTION=$(COLLECTION); the collections are: $(COLLECTIONS))
endif
ifneq ($(filter publish,$(MAKECMDGOALS)),)
ifeq ($(MODEL),)
$(error say which member: make publish MODEL=<member>, one of $(MODELS); or make publish-all for the collection $(COLLECTION))
endif
endif
ifneq ($(filter contact-sheet,$(MAKECMDGOALS)),)
ifeq ($(MODEL),)
$(error say which member: make contact-sheet MODEL=<member>, one of $(MODELS))
endif
endif
ifneq ($(filter evaluate,$(MAKECMDGOALS)),)
ifeq ($(and $(MODULE),$(IMAGENET)),)
$(error say which module and images: make evaluate MODULE=<folder, .tar.gz or address> IMAGENET=<images>)
endif
endif
ifneq ($(and $(filter doctor,$(MAKECMDGOALS)),$(if $(SAVED_MODEL),,doctor)),)
ifeq ($(MODEL),)
$(error say which SavedModel: make doctor MODEL=<member>, one of $(MODELS); or make doctor SAVED_MODEL=<folder or .tar.gz>)
endif
ifneq ($(words $(wildcard $(ARTIFACTS)/$(MODEL)/classification/saved_model.pb $(ARTIFACTS)/$(MODEL)/fe/saved_model.pb)),2)
$(error $(ARTIFACTS)/$(MODEL) does not hold both SavedModels yet; run make convert MODEL=$(MODEL) first)
endif
endif
ifneq ($(words $(ARTIFACTS)),1)
$(error ARTIFACTS=$(ARTIFACTS): the path must be one word, make cannot work with spaces in it)
endif
ifneq ($(and $(CHECKPOINTS),$(if $(findstring ://,$(CHECKPOINTS)),,$(shell test -d '$(CHECKPOINTS)' || echo missing))),)
$(error CHECKPOINTS=$(CHECKPOINTS): no such folder; expected a folder or URL of checkpoints under their upstream names)
endif
ifneq ($(and $(IMAGENET),$(shell test -e '$(IMAGENET)' || echo missing)),)
$(error IMAGENET=$(IMAGENET): no such folder or file; expected labelled images, see README.md)
endif
ifneq ($(and $(REAL),$(shell test -f '$(REAL)' || echo missing)),)
$(error REAL=$(REAL): no such file; expected the ReaL labels, real.json)
endif
ifneq ($(and $(SAMPLES),$(shell [[ '$(SAMPLES)' =~ ^[1-9][0-9]*$$ ]] || echo wrong)),)
$(error SAMPLES=$(SAMPLES): expected a whole number from 1)
endif
ifneq ($(and $(findstring ://,$(HUB)),$(filter-out file://%,$(HUB))),)
$(error HUB=$(HUB): cannot publish to a URL yet; expected a folder, whose content can be copied there)
endif

# The project's own interpreter, unless PYTHON= names another. The lock is compared by content: a fresh checkout of the
# same lock has a new time.
VENV := .venv
READY :=
ifeq ($(origin PYTHON),undefined)
PYTHON := $(VENV)/bin/python
READY := $(VENV)/requirements.lock
INTERPRETER := $(wildcard $(PYTHON))
ifneq ($(shell cmp -s requirements.lock $(READY) || echo differs),)
$(READY): FORCE
endif
$(VENV)/requirements.lock:
	@$(BASE_PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo "make: $(BASE_PYTHON) must be Python 3.11 to 3.13, it is $$($(BASE_PYTHON) --version); say BASE_PYTHON=<another>" >&2; exit 1; }
	@echo "Installing the locked requirements into $(VENV); this takes a few minutes, once."
	@$(BASE_PYTHON) -m venv $(VENV)
	@$(PYTHON) -m pip install --quiet --require-hashes -r requirements.lock
	@cp requirements.lock $@
	@echo "$(VENV) is ready."
else
INTERPRETER := $(shell command -v '$(PYTHON)')
ifeq ($(INTERPRETER),)
$(error PYTHON=$(PYTHON): no such interpreter; without PYTHON= make sets up its own)
endif
endif
RUN := '$(PYTHON)' -m pipeline.

# The tests run the modules in the oldest TensorFlow that their Python can install, too: <Python>:<TensorFlow>.
OLDEST_TENSORFLOWS := 3.11:2.14 3.12:2.16 3.13:2.20
ifneq ($(filter test,$(MAKECMDGOALS)),)
TEST_PYTHON := $(shell '$(or $(INTERPRETER),$(BASE_PYTHON))' -c 'import sys; print("%d.%d" % sys.version_info[:2])')
OLDEST_TENSORFLOW := $(patsubst $(TEST_PYTHON):%,%,$(filter $(TEST_PYTHON):%,$(OLDEST_TENSORFLOWS)))
ifeq ($(OLDEST_TENSORFLOW),)
$(error the tests need Python 3.11 to 3.13, this is Python $(TEST_PYTHON): say BASE_PYTHON=<another> or PYTHON=<another>)
endif
OLDEST_VENV := $(VENV)-tensorflow-$(OLDEST_TENSORFLOW)
OLDEST_LOCK := benchmarks/tensorflow/$(OLDEST_TENSORFLOW).lock
ifneq ($(shell cmp -s $(OLDEST_LOCK) $(OLDEST_VENV)/requirements.lock || echo differs),)
$(OLDEST_VENV)/requirements.lock: FORCE
endif
$(OLDEST_VENV)/requirements.lock: | $(READY)
	@echo "Installing TensorFlow $(OLDEST_TENSORFLOW) into $(OLDEST_VENV) for the tests; this takes a minute or two, once."
	@'$(PYTHON)' -m venv --clear $(OLDEST_VENV)
	@$(OLDEST_VENV)/bin/python -m pip install --quiet --require-hashes -r $(OLDEST_LOCK)
	@cp $(OLDEST_LOCK) $@
	@echo "$(OLDEST_VENV) is ready."
test: | $(OLDEST_VENV)/requirements.lock
endif

.PHONY: help FORCE fetch convert validate card package publish publish-all select add contact-sheet evaluate imagenet check-hub serve doctor test test-fast browser lint bench check-full clean
FORCE:

help: ## print this
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | awk -F '\t' '{printf "  %-12s %s\n", $$1, $$2}'
	@echo "members: $(MODELS)"
	@echo "settings: MODEL COLLECTION CHECKPOINTS CACHE LOCK OFFLINE IMAGENET SAMPLES REAL REQUIRE_ACCURACY HUB HUB_URL ARTIFACTS PYTHON BASE_PYTHON PORT HOST GCS SAVED_MODEL MODULE AGAINST LABELS RANGE ACTIVATION TORCH_PYTHON INDEX DIFF CHECKPOINT NAME (see README.md)"

# Files -------------------------------------------------------------------------------------------------------------
in = $(foreach file,$(2),$(addprefix $A/,$(addsuffix /$(file),$(1))))

CHECKPOINT_FILES := checkpoint.npz checkpoint.json
MODEL_FILES := classification/saved_model.pb fe/saved_model.pb
CARD_FILES := classification.md fe.md
# The cards for other hosts; publish has no use for them.
DIALECT_FILES := classification.huggingface.md fe.huggingface.md kaggle/model-metadata.json \
    $(foreach head,classification fe,kaggle/$(head)/model-instance-metadata.json)
PACKAGE_FILES := $(foreach head,classification fe,$(head).tar.gz $(head).tar.gz.sha256)
ALL_FILES := $(CHECKPOINT_FILES) $(MODEL_FILES) report.json $(CARD_FILES) $(DIALECT_FILES) $(PACKAGE_FILES) published.json

STAGES := fetch convert validate card collection package publish
STAMPS := $(addprefix $S/,$(STAGES:%=%.code) \
    templates site requirements hub hub_url require_accuracy $(COLLECTIONS:%=collection-%.facts) collection-$(COLLECTION).hub \
    $(foreach model,$(MODELS),$(addprefix $(model).,checkpoint source pin verified model evaluation images module hub)))

# Otherwise make deletes the untouched peers of a grouped target that failed.
.PRECIOUS: $(STAMPS) $(foreach file,$(ALL_FILES),$A/%/$(file)) $(PAGE)/page.md $(PAGE)/published.json

# '+' keeps `make -n` and `make -q` truthful. A fresh clone has no interpreter yet when make reads this; then a dry run
# needs no stamps to know that everything is to be built.
$(STAMPS) &: FORCE | $(READY)
	+@! test -x '$(or $(INTERPRETER),$(PYTHON))' || $(RUN)stamps $S $(YAMLS) \
	  --receipts $(foreach model,$(MODELS),$(model)=$A/$(model)/published.json) collection-$(COLLECTION)=$(PAGE)/published.json \
	  --selected $(SELECTED) --checkpoints $(call quoted,CHECKPOINTS) --lock '$(LOCK)' --imagenet '$(IMAGENET)' --real '$(REAL)' --samples '$(SAMPLES)' \
	  --set hub='$(HUB)' hub_url='$(HUB_URL)' require_accuracy='$(required)'

# Stages ------------------------------------------------------------------------------------------------------------
yaml = $(filter %/$*.yaml,$(YAMLS))
# IMAGENET is for members evaluated on ImageNet; the others bring their own images.
required = $(if $(filter-out 0,$(REQUIRE_ACCURACY)),--require-accuracy)
images = $(if $(IMAGENET),--imagenet '$(IMAGENET)') $(if $(REAL),--real '$(REAL)') $(if $(SAMPLES),--samples '$(SAMPLES)')

# Reads all of a member's file, before every stage that takes long: a fault of a later stage's section is met at once.
# REQUIRE_ACCURACY is about publishing: it may stand in an environment where checkpoints are fetched, and no images are.
measured = $(if $(filter-out fetch convert package,$(MAKECMDGOALS)),$(required))
check = $(RUN)check $(yaml) $(images) $(measured) $(if $(HUB_URL),--hub-url '$(HUB_URL)')

# What defines a checkpoint is its digest, in the YAML or that of the file at hand: code cannot change it.
cached = $(if $(CACHE),--cache '$(CACHE)') $(if $(filter-out 0,$(OFFLINE)),--offline)
$A/%/checkpoint.npz $A/%/checkpoint.json: $S/%.checkpoint $S/%.source $S/%.pin
	@$(check)
	$(RUN)fetch $(yaml) $A/$*/checkpoint.npz $(if $(CHECKPOINTS),--checkpoints $(call quoted,CHECKPOINTS)) $(if $(LOCK),--lock '$(LOCK)') $(cached)

$A/%/classification/saved_model.pb $A/%/fe/saved_model.pb: $A/%/checkpoint.npz $A/%/checkpoint.json $S/%.checkpoint $S/%.model $S/convert.code $S/requirements
	@$(check)
	$(RUN)convert $(yaml) $< $A/$*

$A/%/report.json: $A/%/checkpoint.npz $A/%/classification/saved_model.pb $A/%/fe/saved_model.pb $S/%.model $S/%.evaluation $S/%.images $S/validate.code $S/requirements
	@$(check)
	$(RUN)validate $(yaml) $< $A/$*/classification $A/$*/fe $@ $(images)

$(foreach file,$(CARD_FILES) $(DIALECT_FILES),$A/%/$(file)): $A/%/report.json $S/%.checkpoint $S/%.verified $S/%.module $S/hub_url $S/templates $S/card.code
	$(RUN)card $(yaml) $< $A/$* $(if $(HUB_URL),--hub-url '$(HUB_URL)') $(if $(LOCK),--lock '$(LOCK)')

$A/%/classification.tar.gz $A/%/classification.tar.gz.sha256: $A/%/classification/saved_model.pb $S/package.code $S/requirements
	$(RUN)package $A/$*/classification $A/$*/classification.tar.gz

$A/%/fe.tar.gz $A/%/fe.tar.gz.sha256: $A/%/fe/saved_model.pb $S/package.code $S/requirements
	$(RUN)package $A/$*/fe $A/$*/fe.tar.gz

$A/%/published.json: $A/%/report.json $(foreach file,$(CARD_FILES) $(PACKAGE_FILES),$A/%/$(file)) $S/%.module $S/%.hub $S/hub $S/require_accuracy $S/templates $S/site $S/publish.code
	$(DONE)$(RUN)publish member $(yaml) $A/$* '$(HUB)' $@ $(required)

$(PAGE)/page.md: $(call in,$(OF_COLLECTION),report.json) $(OF_COLLECTION:%=$S/%.module) $S/collection-$(COLLECTION).facts $S/templates $S/collection.code
	$(RUN)collection model_cards/$(COLLECTION)/collection.yaml $A $@

# After its members (order only), so that the page's links lead somewhere.
$(PAGE)/published.json: $(PAGE)/page.md $S/collection-$(COLLECTION).hub $S/hub $S/templates $S/site $S/publish.code | $(call in,$(OF_COLLECTION),published.json)
	$(DONE)$(RUN)publish collection model_cards/$(COLLECTION)/collection.yaml $< '$(HUB)' $@

# The recipes of publish say so where nothing was published: make would say nothing at all, since the stamps were looked
# at. With -n and -q nothing is ever done, and -s asks for silence; make has these flags as one word, which it writes once
# all is read.
PUBLISHED :=
DONE = $(eval PUBLISHED := yes)
silent = $(foreach flag,n q s,$(findstring $(flag),$(firstword -$(MAKEFLAGS))))
idle = $(if $(PUBLISHED)$(strip $(silent)),,$(info nothing to do: $(1) is published in $(HUB) already, unchanged since; make serve shows it))

fetch: $(call in,$(SELECTED),$(CHECKPOINT_FILES)) ## get the checkpoint of MODEL (or of every member of COLLECTION)
convert: $(call in,$(SELECTED),$(MODEL_FILES)) ## convert it to two SavedModels
validate: $(call in,$(SELECTED),report.json) ## prove them and measure them
card: $(call in,$(SELECTED),$(CARD_FILES) $(DIALECT_FILES)) ## write their pages
package: $(call in,$(SELECTED),$(PACKAGE_FILES)) ## pack them
publish: $(call in,$(SELECTED),$(ALL_FILES)) ## all of it for MODEL, into HUB
	$(call idle,$(MODEL))
publish-all: $(call in,$(OF_COLLECTION),$(ALL_FILES)) $(PAGE)/page.md $(PAGE)/published.json ## all of it for every member of COLLECTION, and its page
	$(call idle,the collection $(COLLECTION) ($(OF_COLLECTION)))

# From the pool to a member ------------------------------------------------------------------------------------------
INDEX_FILE := $(if $(INDEX),--index $(call quoted,INDEX)) --kept $A/selection/index.csv $(cached)

select: | $(READY) ## choose checkpoints of the pool by the criteria of COLLECTION; DIFF=1 compares them with its members
	@$(RUN)select model_cards/$(COLLECTION)/collection.yaml $A/selection/$(COLLECTION) $(INDEX_FILE) $(if $(DIFF),--diff)

# A collection that nobody named follows from what the checkpoint was trained on.
add: | $(READY) ## make CHECKPOINT, one of the pool's files, a member: write its YAML file
	@$(RUN)add '$(CHECKPOINT)' $(INDEX_FILE) $(if $(filter file,$(origin COLLECTION)),,--collection '$(COLLECTION)') $(if $(NAME),--name '$(NAME)')

contact-sheet: | $(READY) ## show the wrong predictions of MODEL, which was validated, on a page
	@$(RUN)contact_sheet $(filter %/$(MODEL).yaml,$(YAMLS)) $A/$(MODEL)/report.json $A/$(MODEL)/mistakes.html $(if $(IMAGENET),--imagenet '$(IMAGENET)')

evaluate: | $(READY) ## measure anybody's MODULE on the images of IMAGENET, and AGAINST another one
	$(RUN)evaluate $(call quoted,MODULE) --images '$(IMAGENET)' $(if $(LABELS),--labels '$(LABELS)') $(if $(RANGE),--range='$(RANGE)') $(if $(ACTIVATION),--activation '$(ACTIVATION)') \
	  $(if $(AGAINST),--against $(call quoted,AGAINST)) $(if $(REAL),--real '$(REAL)') $(if $(SAMPLES),--samples '$(SAMPLES)')

imagenet: | $(READY) ## download validation images of ten classes (340 MB), and say how to get the others
	@$(RUN)imagenette $A/imagenet $(cached)

check-hub: | $(READY) ## say what is wrong with HUB: bytes, pages, tags, links, counts, figures
	@$(RUN)audit '$(HUB)' --artifacts '$A'

serve: | $(READY) ## serve HUB at http://localhost:PORT, as tfhub.dev did
	@exec $(RUN)serve '$(HUB)' --host '$(or $(HOST),127.0.0.1)' --port '$(PORT)' $(if $(GCS),--gcs '$(GCS)')

doctor: | $(READY) ## say what the SavedModels of MODEL need and what is wrong with them; or of any, SAVED_MODEL
	$(RUN)doctor $(if $(SAVED_MODEL),'$(SAVED_MODEL)',$A/$(MODEL)/classification $A/$(MODEL)/fe)

# Upkeep ------------------------------------------------------------------------------------------------------------
test: | $(READY) ## run the tests, at most 12 minutes on 2 cores
	OLDEST_TENSORFLOW_PYTHON='$(CURDIR)/$(OLDEST_VENV)/bin/python' '$(PYTHON)' -m pytest --numprocesses=2 --dist=loadfile

test-fast: | $(READY) ## run the tests that need neither TensorFlow nor JAX nor a browser, in less than a minute
	'$(PYTHON)' -m pytest --fast --numprocesses=2

# Debian's package, as root; elsewhere any Chromium on the path will do.
browser: ## install Chromium for the tests of the website, unless there is one
	@command -v chromium chromium-browser google-chrome || { apt-get -q -o Acquire::http::Timeout=20 update && apt-get -q install -y --no-install-recommends chromium; }

lint: | $(READY) ## check style and types
	'$(PYTHON)' -m ruff check .
	'$(PYTHON)' -m ruff format --check .
	'$(PYTHON)' -m mypy

bench: | $(READY) ## measure what must be fast, beside the plain way; fails where a limit is missed (half an hour on 2 cores, 8 GB of disk)
	'$(PYTHON)' -m benchmarks.packing
	'$(PYTHON)' -m benchmarks.downloading
	'$(PYTHON)' -m benchmarks.selection
	'$(PYTHON)' -m benchmarks.site
	'$(PYTHON)' -m benchmarks.serving
	'$(PYTHON)' -m benchmarks.evaluation --folder '$A/bench'
	'$(PYTHON)' -m benchmarks.forward --folder '$A/bench' $(if $(TORCH_PYTHON),--torch-python '$(TORCH_PYTHON)')
	'$(PYTHON)' -m benchmarks.conversion --folder '$A/bench'

check-full: | $(READY) ## publish seven full-size members of random weights, run two in every TensorFlow, add and publish members of every variant and data set, send all through timm if there is TORCH_PYTHON (well over an hour on 2 cores, about 55 GB of disk)
	'$(PYTHON)' -m benchmarks.full_size $A/full
	'$(PYTHON)' -m benchmarks.compatibility $A/compatibility
	'$(PYTHON)' -m benchmarks.added_members $A/added
	$(if $(TORCH_PYTHON),'$(PYTHON)' -m benchmarks.timm_round_trip --torch-python '$(TORCH_PYTHON)' --folder '$A/timm',@echo "check-full: the round trip through timm was NOT run: say TORCH_PYTHON=<an interpreter with benchmarks/requirements-forward.txt>")

clean: ## remove what the stages made; the hub stays
	rm -rf $(addprefix $A/,$(MODELS)) $A/collections $S
