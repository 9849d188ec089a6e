# Publishes members: from a JAX checkpoint to two modules in a hub. See README.md, or run `make help`.
#
# Every output is a file. It depends on outputs of earlier stages, on the code of its own stage and on sections of the
# member's YAML file. Code and sections are stamps (pipeline/stamps.py): files that change only when their content does.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-builtin-rules --warn-undefined-variables
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Settings. `make help` prints what follows ##. There is no space before it: that would be part of a default.
##@ Which models
MODEL ?=## one member; without it, the stages run for every member of COLLECTION
COLLECTION ?= $(or $(if $(MODEL),$(firstword $(call folders,$(filter %/$(MODEL).yaml,$(YAMLS))))),vit)## a folder of model_cards/; default: the one of MODEL, or vit
##@ Checkpoints
CHECKPOINTS ?=## a folder or URL of checkpoints, tried before a member's own sources
CACHE ?=## the folder of downloads; default ~/.cache/vit-publisher
LOCK ?=## the lock file; default checkpoints.lock beside the member's YAML file
OFFLINE ?=## 1: no network, only the cache
##@ Evaluation
IMAGENET ?=## labelled images, for members that bring none
SAMPLES ?=## how many images to use; default all
REAL ?=## the ReaL labels of ImageNet's validation set, real.json
REQUIRE_ACCURACY ?=## 1: publish nothing whose accuracy was not measured
##@ Output
ARTIFACTS ?= artifacts## the folder of all outputs; default artifacts
HUB ?= $(ARTIFACTS)/hub## the folder to publish to, or to serve; default artifacts/hub
HUB_URL ?=## the public address of the hub; default hub_url of collection.yaml
V ?=## 1: print every command
##@ For one target
PORT ?= 8080## serve: the port; default 8080
HOST ?=## serve: the address to listen on; default 127.0.0.1, this machine alone
GCS ?=## serve: gs://bucket/prefix of the unpacked modules, if there are any
MODULE ?=## evaluate: a SavedModel's folder, its .tar.gz, or an address
AGAINST ?=## evaluate: a second module, to compare with
LABELS ?=## evaluate: the label file; default ImageNet-1k's
RANGE ?=## evaluate: the range of the module's pixels, -1,1 or 0,1
ACTIVATION ?=## evaluate: what turns logits into probabilities, softmax (default) or sigmoid
SAVED_MODEL ?=## doctor: a SavedModel's folder or .tar.gz, instead of MODEL's
INDEX ?=## select, add: the pool's index.csv, a file or URL; default index.csv in CHECKPOINTS
DIFF ?=## select: 1 to compare the choice with the collection's members
CHECKPOINT ?=## add: the name of one of the pool's files
NAME ?=## add: the new member's name, if not the usual one
TORCH_PYTHON ?=## bench, check-full: an interpreter with benchmarks/requirements-forward.txt
##@ Interpreters
PYTHON ?=## an interpreter to use instead of .venv
BASE_PYTHON ?= python3## the interpreter that .venv is made from; default python3

# Other programs use these words in the environment (WSL sets NAME, csh HOST): only the command line counts.
$(foreach word,CACHE LOCK INDEX DIFF NAME HOST,$(if $(filter command,$(origin $(word))),,$(eval override $(word) :=)))
# Only some shells expand the ~ of `make HUB=~/hub`.
$(foreach path,CHECKPOINTS CACHE LOCK IMAGENET REAL ARTIFACTS HUB SAVED_MODEL TORCH_PYTHON INDEX,\
  $(eval override $(path) := $$(patsubst ~/%,$$(HOME)/%,$$($(path)))))
override INDEX := $(or $(INDEX),$(and $(CHECKPOINTS),$(wildcard $(CHECKPOINTS)/index.csv)))

# An address with an @ may hold a password, which make must not print: the shell reads it from the environment.
export CHECKPOINTS INDEX MODULE AGAINST
quoted = $(if $(findstring @,$($(1))),"$$$(1)",'$($(1))')

A := $(ARTIFACTS)
S := $A/.stamps
folders = $(notdir $(patsubst %/,%,$(dir $(1))))
YAMLS := $(filter-out %/collection.yaml,$(wildcard model_cards/*/*.yaml))
MODELS := $(sort $(basename $(notdir $(YAMLS))))
COLLECTIONS := $(sort $(call folders,$(wildcard model_cards/*/*.yaml)))
OF_COLLECTION := $(basename $(notdir $(filter model_cards/$(COLLECTION)/%,$(YAMLS))))
SELECTED := $(or $(MODEL),$(OF_COLLECTION))
FACTS := model_cards/$(COLLECTION)/collection.yaml
PAGE := $A/collections/$(COLLECTION)

include setup.mk
RUN := '$(PYTHON)' -m pipeline.

# Files -------------------------------------------------------------------------------------------------------------
in = $(foreach file,$(2),$(addprefix $A/,$(addsuffix /$(file),$(1))))
# For pattern rules: outputs of a member, its stamps, and the stamps that all members share.
outputs = $(addprefix $A/%/,$(1))
stamps = $(addprefix $S/%.,$(1))
shared = $(addprefix $S/,$(1))
HEADS := classification fe
CHECKPOINT_FILES := checkpoint.npz checkpoint.json
MODEL_FILES := $(HEADS:%=%/saved_model.pb)
CARD_FILES := $(HEADS:%=%.md)
# The cards for other hosts; publish does not use them.
OTHER_CARD_FILES := $(HEADS:%=%.huggingface.md) kaggle/model-metadata.json $(HEADS:%=kaggle/%/model-instance-metadata.json)
PACKAGE_FILES := $(foreach head,$(HEADS),$(head).tar.gz $(head).tar.gz.sha256)
ALL_FILES := $(CHECKPOINT_FILES) $(MODEL_FILES) report.json $(CARD_FILES) $(OTHER_CARD_FILES) $(PACKAGE_FILES) published.json

STAGES := fetch convert validate card collection package publish
STAMPS := $(call shared,$(STAGES:%=%.code) templates site requirements hub hub_url require_accuracy \
    $(COLLECTIONS:%=collection-%.facts) collection-$(COLLECTION).hub \
    $(foreach model,$(MODELS),$(addprefix $(model).,checkpoint source pin model evaluation images module hub)))

# Without it, make deletes the untouched peers of a grouped target that failed.
.PRECIOUS: $(STAMPS) $(call outputs,$(ALL_FILES)) $(PAGE)/page.md $(PAGE)/published.json

# IMAGENET is for members evaluated on ImageNet; the others bring their own images. REQUIRE_ACCURACY is about
# publishing: it may stand in an environment where checkpoints are fetched, and no images are.
yaml = $(filter %/$*.yaml,$(YAMLS))
number_and_labels = $(if $(REAL),--real '$(REAL)') $(if $(SAMPLES),--samples '$(SAMPLES)')
images = $(if $(IMAGENET),--imagenet '$(IMAGENET)') $(number_and_labels)
required = $(if $(filter-out 0,$(REQUIRE_ACCURACY)),--require-accuracy)
measured = $(if $(filter-out fetch convert package,$(MAKECMDGOALS)),$(required))
hub_url = $(if $(HUB_URL),--hub-url '$(HUB_URL)')
checkpoints = $(if $(CHECKPOINTS),--checkpoints $(call quoted,CHECKPOINTS))
lock = $(if $(LOCK),--lock '$(LOCK)')
cached = $(if $(CACHE),--cache '$(CACHE)') $(if $(filter-out 0,$(OFFLINE)),--offline)

# Each stage prints a line; the command too with V=1. make writes its flags into one word once all is read.
flags = $(foreach flag,$(1),$(findstring $(flag),$(firstword -$(MAKEFLAGS))))
Q := $(if $(filter-out 0,$(V)),,@)
stage = $(if $Q,@$(if $(strip $(call flags,s)),,echo '$(1)'; ))

# '+' keeps `make -n` and `make -q` truthful. A dry run on a fresh clone has no interpreter, and needs no stamps to know
# that everything is to be built.
run_stamps = ! test -x '$(or $(INTERPRETER),$(PYTHON))' || $(RUN)stamps $S $(YAMLS) \
  --receipts $(foreach model,$(MODELS),$(model)=$A/$(model)/published.json) \
  collection-$(COLLECTION)=$(PAGE)/published.json --selected $(SELECTED) --settings $(SETTINGS) \
  --checkpoints $(call quoted,CHECKPOINTS) --lock '$(LOCK)' --imagenet '$(IMAGENET)' --real '$(REAL)' \
  --samples '$(SAMPLES)' --set hub='$(HUB)' hub_url='$(HUB_URL)' require_accuracy='$(required)'
$(STAMPS) &: FORCE | $(READY)
	+@$(run_stamps)
# For commands that make no output of a stage: their settings must not reach the stamps.
checked_settings: FORCE | $(READY)
	+@$(run_stamps) --check-only

# Stages ------------------------------------------------------------------------------------------------------------
# Reads all of a member before its first long stage in this make, so that none runs before a later one finds a fault.
CHECKED :=
check = $(if $(filter $*,$(CHECKED)),,$(eval CHECKED += $*)@$(RUN)check $(yaml) $(images) $(measured) $(hub_url))

# A checkpoint is defined by its digest, in the YAML file or of the local file: code cannot change it.
$(call outputs,$(CHECKPOINT_FILES)): $(call stamps,checkpoint source pin)
	$(check)
	$(call stage,fetch $*)$(RUN)fetch $(yaml) $A/$*/checkpoint.npz $(checkpoints) $(lock) $(cached)

$(call outputs,$(MODEL_FILES)): $(call outputs,$(CHECKPOINT_FILES)) \
    $(call stamps,checkpoint model) $(call shared,convert.code requirements)
	$(check)
	$(call stage,convert $*)$(RUN)convert $(yaml) $< $A/$*

$A/%/report.json: $(call outputs,checkpoint.npz $(MODEL_FILES)) \
    $(call stamps,model evaluation images) $(call shared,validate.code requirements)
	$(check)
	$(call stage,validate $*)$(RUN)validate $(yaml) $< $A/$*/classification $A/$*/fe $@ $(images)

$(call outputs,$(CARD_FILES) $(OTHER_CARD_FILES)): $A/%/report.json \
    $(call stamps,checkpoint module) $(call shared,hub_url templates card.code)
	$(call stage,card $*)$(RUN)card $(yaml) $< $A/$* $(hub_url)

define package_rule
$(call outputs,$(1).tar.gz $(1).tar.gz.sha256): $A/%/$(1)/saved_model.pb $(call shared,package.code requirements)
	$$(call stage,package $$* $(1))$(RUN)package $A/$$*/$(1) $A/$$*/$(1).tar.gz
endef
$(foreach head,$(HEADS),$(eval $(call package_rule,$(head))))

$A/%/published.json: $(call outputs,report.json $(CARD_FILES) $(PACKAGE_FILES)) \
    $(call stamps,module hub) $(call shared,hub require_accuracy templates site publish.code)
	$(DONE)$(call stage,publish $*)$(RUN)publish member $(yaml) $A/$* '$(HUB)' $@ $(required)

$(PAGE)/page.md: $(call in,$(OF_COLLECTION),report.json) \
    $(OF_COLLECTION:%=$S/%.module) $(call shared,collection-$(COLLECTION).facts templates collection.code)
	$(call stage,collection $(COLLECTION))$(RUN)collection $(FACTS) $A $@

# After its members (order only), so that the page's links lead somewhere.
$(PAGE)/published.json: $(PAGE)/page.md $(call shared,collection-$(COLLECTION).hub hub templates site publish.code) \
    | $(call in,$(OF_COLLECTION),published.json)
	$(DONE)$(call stage,publish collection $(COLLECTION))$(RUN)publish collection $(FACTS) $< '$(HUB)' $@

# publish prints a line where there was nothing to publish, but not with -n or -q, which do nothing, nor with -s. make
# itself prints nothing then, since it has made the stamps.
PUBLISHED :=
DONE = $(eval PUBLISHED := yes)
idle = $(if $(PUBLISHED)$(strip $(call flags,n q s)),,$(info \
  nothing to do: $(1) is published in $(HUB) already, unchanged since; make serve shows it))

.PHONY: help FORCE fetch convert validate card package publish publish-all select add contact-sheet evaluate imagenet check-hub serve doctor test test-fast browser lint bench check-full clean
FORCE:

##@ Publish models
publish: $(call in,$(SELECTED),$(ALL_FILES)) ## all stages for MODEL, into HUB
	$(call idle,$(MODEL))
publish-all: $(call in,$(OF_COLLECTION),$(ALL_FILES)) $(PAGE)/page.md $(PAGE)/published.json ## all stages for every member of COLLECTION, and its page
	$(call idle,the collection $(COLLECTION) ($(OF_COLLECTION)))
##@ One stage, for MODEL or every member of COLLECTION
fetch: $(call in,$(SELECTED),$(CHECKPOINT_FILES)) ## get the checkpoint
convert: $(call in,$(SELECTED),$(MODEL_FILES)) ## convert it to two SavedModels
validate: $(call in,$(SELECTED),report.json) ## prove that they compute the same, and measure their accuracy
card: $(call in,$(SELECTED),$(CARD_FILES) $(OTHER_CARD_FILES)) ## write their model cards
package: $(call in,$(SELECTED),$(PACKAGE_FILES)) ## pack them into tarballs

##@ Hub
serve: | $(READY) ## serve HUB at http://localhost:PORT, as tfhub.dev did
	$(Q)exec $(RUN)serve '$(HUB)' --host '$(or $(HOST),127.0.0.1)' --port '$(PORT)' $(if $(GCS),--gcs '$(GCS)')
check-hub: | $(READY) ## check HUB: bytes, pages, tags, links, counts, figures
	$(Q)$(RUN)audit '$(HUB)' --artifacts '$A'

##@ Images and SavedModels
imagenet: | $(READY) ## download validation images of ten classes (340 MB), and print how to get the others
	$(Q)$(RUN)imagenette $A/imagenet $(cached)
evaluate: | checked_settings ## measure any MODULE on the images of IMAGENET, and AGAINST another one
	$(call stage,evaluate)$(RUN)evaluate $(call quoted,MODULE) --images '$(IMAGENET)' \
	  $(if $(AGAINST),--against $(call quoted,AGAINST)) $(if $(LABELS),--labels '$(LABELS)') \
	  $(if $(RANGE),--range='$(RANGE)') $(if $(ACTIVATION),--activation '$(ACTIVATION)') $(number_and_labels)
contact-sheet: | checked_settings ## show the wrong predictions of MODEL, after validate, on a page
	$(Q)$(RUN)contact_sheet $(filter %/$(MODEL).yaml,$(YAMLS)) $A/$(MODEL)/report.json $A/$(MODEL)/mistakes.html \
	  $(if $(IMAGENET),--imagenet '$(IMAGENET)')
doctor: | $(READY) ## show what the SavedModels of MODEL need and their faults; or those of any SAVED_MODEL
	$(if $(or $(SAVED_MODEL),$(filter 2,$(words $(wildcard $(call in,$(MODEL),$(MODEL_FILES)))))),,$(error \
	  $A/$(MODEL) does not hold both SavedModels yet; run make convert MODEL=$(MODEL) first))
	$(Q)$(RUN)doctor $(if $(SAVED_MODEL),'$(SAVED_MODEL)',--publish $(HEADS:%=$A/$(MODEL)/%))

##@ Add an AugReg model
pool_index = $(if $(INDEX),--index $(call quoted,INDEX)) --kept $A/selection/index.csv $(cached)
select: | checked_settings ## choose checkpoints of the pool by the criteria of COLLECTION; DIFF=1 compares them with its members
	$(Q)$(RUN)select $(FACTS) $A/selection/$(COLLECTION) $(pool_index) $(if $(filter-out 0,$(DIFF)),--diff)
# Without COLLECTION=, the collection follows from what the checkpoint was trained on.
add: | checked_settings ## make CHECKPOINT, one of the pool's files, a member: write its YAML file
	$(Q)$(RUN)add '$(CHECKPOINT)' $(pool_index) $(if $(NAME),--name '$(NAME)') \
	  $(if $(filter file,$(origin COLLECTION)),,--collection '$(COLLECTION)')

##@ Development
test: | $(READY) ## run the tests, at most 12 minutes on 2 cores
	OLDEST_TENSORFLOW_PYTHON='$(CURDIR)/$(OLDEST_VENV)/bin/python' \
	  '$(PYTHON)' -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder
test-fast: | $(READY) ## run the tests that need neither TensorFlow nor JAX nor a browser, in less than a minute
	'$(PYTHON)' -m pytest --fast --numprocesses=2
lint: | $(READY) ## check style and types
	'$(PYTHON)' -m ruff check .
	'$(PYTHON)' -m ruff format --check .
	'$(PYTHON)' -m mypy
# Debian's package, as root; elsewhere any Chromium on the path will do.
browser: ## install Chromium for the tests of the website, unless there is one
	@command -v chromium chromium-browser google-chrome || { \
	  apt-get -q -o Acquire::http::Timeout=20 update && apt-get -q install -y --no-install-recommends chromium; }
bench: | $(READY) ## measure speed and memory beside plain code; fail where a limit is missed (half an hour on 2 cores, 8 GB of disk)
	'$(PYTHON)' -m benchmarks.packing
	'$(PYTHON)' -m benchmarks.downloading
	'$(PYTHON)' -m benchmarks.selection
	'$(PYTHON)' -m benchmarks.site
	'$(PYTHON)' -m benchmarks.serving
	'$(PYTHON)' -m benchmarks.evaluation --folder '$A/bench'
	'$(PYTHON)' -m benchmarks.forward --folder '$A/bench' $(if $(TORCH_PYTHON),--torch-python '$(TORCH_PYTHON)')
	'$(PYTHON)' -m benchmarks.conversion --folder '$A/bench'
check-full: | $(READY) ## publish full-size members and members of every variant and data set, with random weights (over an hour on 2 cores, 55 GB of disk)
	'$(PYTHON)' -m benchmarks.full_size $A/full
	'$(PYTHON)' -m benchmarks.compatibility $A/compatibility
	'$(PYTHON)' -m benchmarks.added_members $A/added
	$(if $(TORCH_PYTHON),'$(PYTHON)' -m benchmarks.timm_round_trip --torch-python '$(TORCH_PYTHON)' --folder '$A/timm',\
	  @echo "check-full: the round trip through timm was NOT run: set TORCH_PYTHON=<an interpreter with benchmarks/requirements-forward.txt>")
clean: ## remove what the stages made; the hub stays
	rm -rf $(addprefix $A/,$(MODELS)) $A/collections $S
help: ## print this
	@$(call list,^[a-z-]+:.*## )
	@$(call list,^[A-Z_]+ [?]=.*##)
	@echo; echo "Members: $(MODELS)"
list = awk '/^\#\#@/ { heading = substr($$0, 5) } \
    /$(1)/ { if (heading) print "\n" heading; heading = ""; name = $$1; sub(/:$$/, "", name); \
    sub(/.*\#\# ?/, ""); printf "  %-16s %s\n", name, $$0 }' $(firstword $(MAKEFILE_LIST))
