# Publishes members: from a JAX checkpoint to two modules in a hub. See README.md, or run `make help`.
#
# Every output is a file. It depends on outputs of earlier stages, on the code of its own stage and on sections of the
# member's YAML file. Code and sections are stamps (pipeline/stamps.py): files that change only when their content does.

# BSD make stops here; to GNU make it is a target that nothing needs.
.error : this project needs GNU Make 4.3 or newer, which is often called gmake
# macOS ships GNU Make 3.81, which would stop at a grouped target (&:) below, with a message about something else.
$(if $(filter-out 3.% 4.0 4.0.% 4.1 4.1.% 4.2 4.2.%,$(value MAKE_VERSION)),,$(error \
  this project needs GNU Make 4.3 or newer, this is $(value MAKE_VERSION); on macOS: brew install make, then run gmake))

# What is given is text: a $ in it refers to no variable and runs nothing. make would expand it at its first use; GNU Make
# 4.4 expands the whole command line at the first $(shell), so there is none before. The settings are the names that this
# file assigns with the operator below; setup.mk refuses all others.
override THIS := $(lastword $(value MAKEFILE_LIST))
override empty :=
override space := $(empty) $(empty)
override assign := ?$(empty)=
override SETTINGS := $(patsubst %$(assign),%,$(filter %$(assign),$(subst \
  $(assign),$(assign)$(space),$(subst $(space)$(assign),$(assign),$(file <$(THIS))))))
override GIVEN := $(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name)))
override UNKNOWN := $(filter-out $(SETTINGS),$(GIVEN))
$(foreach name,$(UNKNOWN),$(eval override undefine $$(name)))
override undefine name
$(foreach name,$(SETTINGS),\
  $(if $(filter command environment,$(origin $(name))),$(eval override $(name) := $$(value $(name)))))
# make's own, which an environment may have for other makes.
override VPATH :=
override GPATH :=
$(if $(filter environment,$(origin MAKECMDGOALS)),$(error MAKECMDGOALS is set in the environment; unset it for make))

$(if $(wildcard setup.mk),,$(error run make in the folder of the project, that of $(strip $(value MAKEFILE_LIST))))

# -p: bash reads no BASH_ENV, and takes no functions and no CDPATH from the environment.
override SHELL := bash
.SHELLFLAGS := -p -eu -o pipefail -c
# They are for other Pythons: with PYTHONSAFEPATH, -m would not find the pipeline in this folder.
unexport PYTHONHOME PYTHONSAFEPATH PYTHONWARNINGS PYTHONOPTIMIZE PYTHONINSPECT PYTHONIOENCODING
unexport PIP_USER PIP_TARGET PIP_PREFIX
export PYTHONUTF8 := 1
MAKEFLAGS += --no-builtin-rules --warn-undefined-variables
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Settings. `make help` prints what follows ##. There is no space before it: that would be part of a default.
##@ Which models
MODEL ?=## one member; without it, the stages run for every member of COLLECTION; new: the name of the new one
COLLECTION ?= $(or $(if $(MODEL),$(firstword $(call folders,$(filter %/$(MODEL).yaml,$(YAMLS))))),vit)## a folder of model_cards/; default: the one of MODEL, or vit
##@ Checkpoints
CHECKPOINTS ?=## a folder or URL of checkpoints, tried before a member's own sources
CACHE ?=## the folder of downloads; default ~/.cache/vit-publisher
LOCK ?=## the lock file; default checkpoints.lock beside the member's YAML file
OFFLINE ?=## 1: no network, only the cache
##@ Evaluation
IMAGENET ?=## labelled images, for members that bring none
SAMPLES ?=## how many images to use; default all
SPLIT ?=## train, validation or test images; default validation, or test where there is no other
REAL ?=## the ReaL labels of ImageNet's validation set, real.json
REQUIRE_ACCURACY ?=## 1: publish nothing whose accuracy was not measured
##@ Output
ARTIFACTS ?= artifacts## the folder of all outputs; default artifacts
HUB ?= $(ARTIFACTS)/hub## the folder to publish to, or to serve; default artifacts/hub
HUB_URL ?=## the public address of a new hub; default hub_url of collection.yaml. hub.yaml keeps it
MOVE ?=## 1: HUB_URL replaces the address in hub.yaml; publish every member again then
SIGN ?=## keys that sign: publish statements, the index with sign; files, folders of *.pem, env:<NAME>, with commas
V ?=## 1: print every command
##@ For one target
ROOT ?=## verify, release, sign, renew: the root.json that signatures must lead to
ROLE ?=## keys: the role whose key is replaced: root, targets, release, snapshot or timestamp
KEY ?=## keys: the file of the new key, made if it is missing
OWNER ?=## keys: the name of the new keys' owner, which everybody can read
REVOKE ?=## keys: 1: the statements of the key that is replaced stop to count
PORT ?= 8080## serve: the port; default 8080
HOST ?=## serve: the address to listen on; default 127.0.0.1, this machine alone
GCS ?=## serve: gs://bucket/prefix of the unpacked modules, if there are any
PROXIES ?=## serve: IP addresses of reverse proxies before it, with commas; all clients come from them
MODULE ?=## evaluate, verify: a SavedModel's folder, archive or address; reproduce: a handle of HUB, <hub>/<handle> or a .tar.gz; yank, deprecate, alias: a handle
FRESH ?=## reproduce: 1: make a new environment from the recorded lock file in any case
TO ?=## release: where to: a folder, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, hf://organisation or kaggle://owner; release-notes: the later state, a hub or an index.json, default HUB
PLAN ?=## release-plan: the file to write; release: the plan to carry out
FROM ?=## release-notes: the earlier state, a hub or an index.json
REASON ?=## yank: why nobody should use that version, one line
FOR ?=## deprecate: the handle of the version that replaces it
ALIAS ?=## alias: the name, lower-case letters, digits and -
AGAINST ?=## evaluate: a second module, to compare with
LABELS ?=## evaluate: the label file; default ImageNet-1k's
SIGNATURE ?=## evaluate: the signature to call, of several
OUTPUT ?=## evaluate: the output to measure, of several; formats: the folder to write
TAGS ?=## evaluate: the tags of the meta graph to load, of several; with commas
SIZE ?=## evaluate: the side of the input in pixels, for a module that takes any; add: that of a file whose name does not tell it
LAYOUT ?=## evaluate: NHWC or NCHW, for a module whose files leave it open
RANGE ?=## evaluate: the range of the module's pixels: -1,1 or 0,1 or 0,255 or imagenet
BACKGROUND ?=## evaluate: 1: output 0 is the background, none of the labels
PROTOCOL ?=## evaluate: how images are resized, resize (default) or crop
ACTIVATION ?=## evaluate: what turns logits into probabilities, softmax (default) or sigmoid
TRUST ?=## evaluate: 1: run modules that read or write files or use the network, too
AGAINST_SIGNATURE ?=## evaluate: SIGNATURE of AGAINST; default SIGNATURE, where it fits
AGAINST_OUTPUT ?=## evaluate: OUTPUT of AGAINST, likewise
AGAINST_TAGS ?=## evaluate: TAGS of AGAINST, likewise
AGAINST_SIZE ?=## evaluate: SIZE of AGAINST, likewise
AGAINST_LAYOUT ?=## evaluate: LAYOUT of AGAINST, likewise
AGAINST_RANGE ?=## evaluate: RANGE of AGAINST, likewise
AGAINST_BACKGROUND ?=## evaluate: BACKGROUND of AGAINST, likewise
AGAINST_PROTOCOL ?=## evaluate: PROTOCOL of AGAINST, likewise
AGAINST_ACTIVATION ?=## evaluate: ACTIVATION of AGAINST, likewise
SAVED_MODEL ?=## doctor: a SavedModel's folder, archive or address, instead of MODEL's; formats: the folder of a module
FORMATS ?=## which formats to make, with commas, such as xla,onnx; default those of the YAML files
INDEX ?=## select, add: the pool's index.csv, a file or URL; default index.csv in CHECKPOINTS
DIFF ?=## select: 1 to compare the choice with the collection's members
CHECKPOINT ?=## add: the name or address of one of upstream's files, or of a copy on Hugging Face, or a .txt file of such, one a line; new: your file or its URL
VARIANT ?=## new: the model's variant, such as S/16, where no CHECKPOINT tells it
ARCHITECTURE ?=## new: the model's architecture, such as mixer, or <file>.py:<class> for a network of your own; default vit
NAME ?=## add: the new member's name, if not the usual one
TORCH_PYTHON ?=## bench, check-full: an interpreter with benchmarks/requirements-forward.txt
##@ Several machines
RUNNER ?=## where the stages run: local, this machine (default), or ray (docs/scaling.md)
RAY_ADDRESS ?=## RUNNER=ray: host:port of a cluster's head node; without it, Ray runs on this machine while make does
PARTS ?=## RUNNER=ray: how many tasks classify the images of a member; default 1
##@ Interpreters
PYTHON ?=## an interpreter to use instead of .venv
BASE_PYTHON ?= python3## the interpreter that .venv is made from; default python3

# Other programs use these words in the environment (autotools set PYTHON, WSL NAME, csh HOST): only the command line
# counts.
$(foreach word,CACHE LOCK INDEX DIFF FROM TO FRESH NAME HOST PYTHON SIGNATURE OUTPUT TAGS SIZE LAYOUT BACKGROUND PROTOCOL \
  TRUST ROOT ROLE KEY OWNER REVOKE PLAN REASON FOR ALIAS MOVE VARIANT ARCHITECTURE RUNNER PARTS,\
  $(if $(filter $(word),$(GIVEN)),,$(eval override $(word) :=)))
# Only some shells expand the ~ of `make HUB=~/hub`.
home = $(subst <home>,,$(subst <home>~/,$(value HOME)/,<home>$(1)))
$(foreach path,CHECKPOINTS CACHE LOCK IMAGENET REAL ARTIFACTS HUB FROM TO MODULE AGAINST LABELS SAVED_MODEL INDEX SIGN CHECKPOINT TORCH_PYTHON \
  PYTHON BASE_PYTHON ROOT KEY PLAN,\
  $(eval override $(path) := $$(call home,$$($(path)))))

# For the shell: a text as one word, and the value of a setting; and that for a message. A value with a colon may be an
# address with a password or a signature, and every user of this machine can read command lines: the commands take it
# from the environment, to which setup.mk exports it.
quote = '$(subst ','\'',$(1))'
given = $(if $(findstring :,$($(1))),env:$(1),$(call quote,$($(1))))
shown = $(if $(findstring :,$($(1))),...,$($(1)))

# Names for a message: all, or the first of many.
few = $(wordlist 1,12,$(1))$(if $(word 13,$(1)), ... and $(words $(wordlist 13,$(words $(1)),$(1))) more)

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
RUN := $(call quote,$(PYTHON)) -m pipeline.
# Stages, and what reads a member for them: by a client of the runner, which the first recipe starts (pipeline.runner).
ifeq ($(RUNNER),ray)
STAGE = $(call quote,$(PYTHON)) -S -m pipeline.cluster.client $(MAKE_PROCESS) $(call option,RAY_ADDRESS,--address) \
  $(if $(PARTS),--parts=$(PARTS)) --shared $(call quote,$A) $(if $(will_publish),$(call given,HUB)) --$(space)
MAKE_PROCESS := $(shell echo $$PPID)
else
STAGE := $(RUN)
endif

# Files -------------------------------------------------------------------------------------------------------------
in = $(foreach file,$(2),$(addprefix $A/,$(addsuffix /$(file),$(1))))
# For pattern rules: outputs of a member, its stamps, and the stamps that all members share.
outputs = $(addprefix $A/%/,$(1))
stamps = $(addprefix $S/%.,$(1))
shared = $(addprefix $S/,$(1))
HEADS := classification fe
CHECKPOINT_FILES := checkpoint.npz checkpoint.json
MODEL_FILES := $(HEADS:%=%/saved_model.pb)
BUILD_FILES := build.json
CARD_FILES := $(HEADS:%=%.md)
FORMATS_FILES := formats.json
# The cards for other hosts, which the hub keeps for make release.
OTHER_CARD_FILES := $(HEADS:%=%.huggingface.md) kaggle/model-metadata.json $(HEADS:%=kaggle/%/model-instance-metadata.json)
PACKAGE_FILES := $(foreach head,$(HEADS),$(head).tar.gz $(head).tar.gz.sha256)
ALL_FILES := $(CHECKPOINT_FILES) $(MODEL_FILES) $(BUILD_FILES) report.json $(FORMATS_FILES) $(CARD_FILES) $(OTHER_CARD_FILES) $(PACKAGE_FILES) published.json

STAGES := fetch convert validate member_formats card collection package publish
STAMPS := $(call shared,$(STAGES:%=%.code) templates site requirements hub hub_url require_accuracy sign \
    $(COLLECTIONS:%=collection-%.facts) collection-$(COLLECTION).hub \
    $(foreach model,$(MODELS),$(addprefix $(model).,checkpoint source pin verified model evaluation images formats module hub)))

# Without it, make deletes the untouched peers of a grouped target that failed.
.PRECIOUS: $(call outputs,$(ALL_FILES)) $(PAGE)/page.md $(PAGE)/published.json

# IMAGENET is for members evaluated on ImageNet; the others bring their own images. REQUIRE_ACCURACY is about
# publishing: it may stand in an environment where checkpoints are fetched, and no images are.
yaml = $(filter %/$*.yaml,$(YAMLS))
# The folder of the member's outputs, or a file or folder in it.
out = $(call quote,$A/$*$(addprefix /,$(1)))
# An option with its value, where the setting of that name is given.
option = $(if $($(1)),$(2)=$(call given,$(1)))
number_and_labels = $(call option,REAL,--real) $(call option,SAMPLES,--samples) $(call option,SPLIT,--split)
images = $(call option,IMAGENET,--imagenet) $(number_and_labels)
required = $(if $(filter 1,$(REQUIRE_ACCURACY)),--require-accuracy)
measured = $(if $(filter-out fetch convert package,$(MAKECMDGOALS)),$(required))
moved = $(if $(filter 1,$(MOVE)),--move)
hub_url = $(call option,HUB_URL,--hub-url) $(moved)
hub_and_url = --hub=$(call given,HUB) $(hub_url)
checkpoints = $(call option,CHECKPOINTS,--checkpoints)
lock = $(call option,LOCK,--lock)
cached = $(call option,CACHE,--cache) $(if $(filter 1,$(OFFLINE)),--offline)

# Each stage prints a line; the command too with V=1. make writes its flags into one word once all is read.
flags = $(foreach flag,$(1),$(findstring $(flag),$(firstword -$(MAKEFLAGS))))
Q := $(if $(filter 1,$(V)),,@)
stage = $(if $Q,@$(if $(strip $(call flags,s)),,echo $(call quote,$(1)); ))

# Tells a command where to record its run, which make summary reads: of a member, or collection-<name>, and a stage.
record = RUN_RECORD=$(call quote,$A/.runs/$(1)/$(2).json)$(space)

# '+' keeps `make -n` and `make -q` truthful. A dry run on a fresh clone has no interpreter, and needs no stamps to know
# that everything is to be built. Members are not named on the command line, whose length the system limits.
run_stamps = ! test -x $(call quote,$(or $(INTERPRETER),$(PYTHON))) || $(RUN)stamps $(call quote,$S) model_cards \
  $(if $(MODEL),--model=$(call quote,$(MODEL)),--collection=$(call quote,$(COLLECTION))) --settings $(SETTINGS) \
  $(checkpoints) $(lock) $(images) $(call option,FORMATS,--formats) $(moved) \
  --set hub=$(call given,HUB) hub_url=$(call given,HUB_URL) require_accuracy='$(required)' \
  sign='$(if $(SIGN),yes)' $(if $(strip $(call flags,k)),--keep-going)
# Each stamp has an empty recipe, after which make looks at its time, with -n and -q too because of the '+'. A grouped
# target (&:) of 10,000 stamps would have a list of the 9,999 others for each.
stamps_written: FORCE | $(READY)
	+@$(run_stamps)
$(STAMPS): stamps_written
	+
# With -k: stages that are done already do not read a member's file, and would not fail where that cannot be read.
members_readable: stamps_written
	+@test ! -s $(call quote,$S/unreadable)
# For commands that make no output of a stage: their settings must not reach the stamps.
checked_settings: FORCE | $(READY)
	+@$(run_stamps) --check-only

# Stages ------------------------------------------------------------------------------------------------------------
# Reads all of a member before its first long stage in this make, so that none runs before a later one finds a fault.
CHECKED :=
check = $(if $(filter $*,$(CHECKED)),,$(eval CHECKED += $*)@$(call record,$*,check)$(STAGE)check $(yaml) $(images) $(measured) $(hub_and_url))

# Before a long stage, where publish is to follow: a version that HUB has must not become another model.
will_publish = $(filter publish publish-all %/published.json,$(MAKECMDGOALS))
unchanged = $(if $(will_publish),@$(call record,$*,version)$(STAGE)published $(yaml) $(call out,) $(call given,HUB))

# A checkpoint is defined by its digest, in the YAML file or of the local file: code cannot change it.
$(call outputs,$(CHECKPOINT_FILES)): $(call stamps,checkpoint source pin)
	$(check)
	$(call stage,fetch $*)$(call record,$*,fetch)$(STAGE)fetch $(yaml) $(call out,checkpoint.npz) $(checkpoints) $(lock) $(cached)

$(call outputs,$(MODEL_FILES) $(BUILD_FILES)): $(call outputs,$(CHECKPOINT_FILES)) \
    $(call stamps,checkpoint model) $(call shared,convert.code requirements)
	$(check)
	$(unchanged)
	$(call stage,convert $*)$(call record,$*,convert)$(STAGE)convert $(yaml) $(call out,checkpoint.npz) $(call out,)

$A/%/report.json: $(call outputs,checkpoint.npz $(MODEL_FILES)) \
    $(call stamps,model evaluation images) $(call shared,validate.code requirements)
	$(check)
	$(if $(unchanged),$(unchanged) --converted)
	$(call stage,validate $*)$(call record,$*,validate)$(STAGE)validate $(yaml) \
	  $(foreach file,checkpoint.npz $(HEADS) report.json,$(call out,$(file))) $(images)

# After validate (order only): a model that fails there is not translated, and its figures do not matter to a translation.
$A/%/formats.json: $(call outputs,$(MODEL_FILES)) \
    $(call stamps,evaluation images formats) $(call shared,member_formats.code requirements) | $A/%/report.json
	$(check)
	$(call stage,formats $*)$(call record,$*,formats)$(STAGE)member_formats $(yaml) $(call out,) $(images) $(call option,FORMATS,--formats)

$(call outputs,$(CARD_FILES) $(OTHER_CARD_FILES)): $A/%/report.json $A/%/formats.json \
    $(call stamps,checkpoint verified module) $(call shared,hub_url templates card.code)
	$(call stage,card $*)$(call record,$*,card)$(STAGE)card $(yaml) $(call out,report.json) $(call out,) \
	  --formats=$(call out,formats.json) $(hub_and_url) $(lock)

define package_rule
$$(call outputs,$(1).tar.gz $(1).tar.gz.sha256): $$A/%/$(1)/saved_model.pb $$(call shared,package.code requirements)
	$$(call stage,package $$* $(1))$$(call record,$$*,package-$(1))$$(STAGE)package $$(call out,$(1)) $$(call out,$(1).tar.gz)
endef
$(foreach head,$(HEADS),$(eval $(call package_rule,$(head))))

$A/%/published.json: $(call outputs,report.json formats.json $(BUILD_FILES) $(CARD_FILES) $(OTHER_CARD_FILES) $(PACKAGE_FILES)) \
    $(call stamps,module hub) $(call shared,hub require_accuracy sign templates site publish.code)
	$(DONE)$(call stage,publish $*)$(call record,$*,publish)$(STAGE)publish member $(yaml) $(call out,) $(call given,HUB) \
	  $(call quote,$@) $(required) $(lock) $(call option,SIGN,--sign) $(hub_url)

$(PAGE)/page.md: $(call in,$(OF_COLLECTION),report.json) \
    $(OF_COLLECTION:%=$S/%.module) $(OF_COLLECTION:%=$S/%.verified) $(call shared,collection-$(COLLECTION).facts templates collection.code)
	$(call stage,collection $(COLLECTION))$(call record,collection-$(COLLECTION),collection)$(STAGE)collection $(FACTS) $(call quote,$A) $(call quote,$@) $(lock)

# After its members (order only), so that the page's links lead somewhere.
$(PAGE)/published.json: $(PAGE)/page.md $(call shared,collection-$(COLLECTION).hub hub templates site publish.code) \
    | $(call in,$(OF_COLLECTION),published.json)
	$(DONE)$(call stage,publish collection $(COLLECTION))$(call record,collection-$(COLLECTION),publish)$(STAGE)publish collection $(FACTS) $(call quote,$<) \
	  $(call given,HUB) $(call quote,$@) $(hub_url)

# What make knows itself ends where a member fails, with -k too: so people run it as a goal of its own then.
summarize = $(RUN)summary $(FACTS) $(call quote,$A) $(call given,HUB) $(call quote,$(PAGE)/summary.html)

# publish prints a line where there was nothing to publish, but not with -n or -q, which do nothing, nor with -s. make
# itself prints nothing then, since it has made the stamps.
PUBLISHED :=
DONE = $(eval PUBLISHED := yes)
idle = $(if $(PUBLISHED)$(strip $(call flags,n q s)),,$(info \
  nothing to do: $(1) is published in $(HUB) already, unchanged since; make serve shows it))

.PHONY: members_readable keys sign renew verify help FORCE fetch convert validate card package publish publish-all publish-page summary select add new contact-sheet evaluate imagenet check-hub release-plan release release-notes reproduce serve yank unyank deprecate undeprecate alias doctor formats test test-fast browser notebooks lint wheel bench check-full clean
FORCE:

##@ Publish models
publish: $(call in,$(SELECTED),$(ALL_FILES)) ## all stages for MODEL, into HUB
	$(call idle,$(MODEL))
publish-all: $(call in,$(OF_COLLECTION),$(ALL_FILES)) $(PAGE)/page.md $(PAGE)/published.json ## all stages for every member of COLLECTION, and its page
	$(if $(PUBLISHED),$(Q)$(summarize))
	$(call idle,the collection $(COLLECTION) ($(call few,$(OF_COLLECTION))))
# Prerequisites would keep it from being made: make makes nothing that depends on what failed. So it has files of its
# own, and the next publish-all makes the page of all members again.
publish-page: | checked_settings ## the page of COLLECTION, of those members alone that HUB has, where others failed
	$(call stage,collection $(COLLECTION))$(call record,collection-$(COLLECTION),collection)$(RUN)collection $(FACTS) \
	  $(call quote,$A) $(call quote,$(PAGE)/page.partial.md) $(lock) --published=$(call given,HUB)
	$(call stage,publish collection $(COLLECTION))$(call record,collection-$(COLLECTION),publish)$(RUN)publish collection \
	  $(FACTS) $(call quote,$(PAGE)/page.partial.md) $(call given,HUB) $(call quote,$(PAGE)/published.partial.json) $(hub_url)
	$(Q)rm -f $(call quote,$(PAGE)/page.md) $(call quote,$(PAGE)/published.json)
summary: | $(READY) ## say what of COLLECTION is published, what failed and why, with times and memory; and write it as a page
	$(Q)$(summarize)
##@ One stage, for MODEL or every member of COLLECTION
fetch: $(call in,$(SELECTED),$(CHECKPOINT_FILES)) members_readable ## get the checkpoint
convert: $(call in,$(SELECTED),$(MODEL_FILES) $(BUILD_FILES)) members_readable ## convert it to two SavedModels
validate: $(call in,$(SELECTED),report.json) members_readable ## prove that they compute the same, and measure their accuracy
card: $(call in,$(SELECTED),$(CARD_FILES) $(OTHER_CARD_FILES)) ## write their model cards
package: $(call in,$(SELECTED),$(PACKAGE_FILES)) members_readable ## pack them into tarballs

##@ Hub
serve: | $(READY) ## serve HUB at http://localhost:PORT, as tfhub.dev did
	$(Q)exec $(RUN)serve $(call given,HUB) --port=$(call given,PORT) $(call option,HOST,--host) \
	  $(call option,GCS,--gcs) $(call option,PROXIES,--proxies)
check-hub: | $(READY) ## check HUB: bytes, pages, tags, links, counts, figures
	$(Q)$(RUN)audit $(call given,HUB) --artifacts=$(call quote,$A)
releasing = $(RUN)release $(1) $(call given,HUB) $(call given,TO) --artifacts=$(call quote,$A) $(call option,PLAN,--plan)
release-plan: | $(READY) ## show and write what make release would do: per file, new, changed, unchanged or refused
	$(Q)$(call releasing,plan)
release: | $(READY) ## take HUB to TO: exactly what PLAN says, or what a plan made now says; with SIGN, to a signed hub
	$(Q)$(call releasing,run) $(call option,SIGN,--sign) $(call option,ROOT,--root)
verify: | $(READY) ## check HUB, or MODULE of it, from outside; with ROOT also who signed it (HUB and MODULE may be addresses)
	$(Q)$(RUN)verify $(if $(MODULE),$(call given,MODULE),$(call given,HUB)) $(call option,ROOT,--root)

##@ Withdraw a published version
withdraw = $(RUN)withdraw $(1) $(call given,HUB) $(call given,MODULE)
yank: | $(READY) ## say in HUB that nobody should use MODULE, a handle, and the REASON; its files stay
	$(Q)$(call withdraw,yank) --reason=$(call given,REASON)
unyank: | $(READY) ## take the yank of MODULE back
	$(Q)$(call withdraw,unyank)
deprecate: | $(READY) ## say in HUB that the version FOR replaces MODULE
	$(Q)$(call withdraw,deprecate) --successor=$(call given,FOR)
undeprecate: | $(READY) ## take the deprecation of MODULE back
	$(Q)$(call withdraw,undeprecate)
alias: | $(READY) ## give MODULE, a handle, the name ALIAS in the index of HUB, such as stable
	$(Q)$(call withdraw,alias) --name=$(call given,ALIAS)

##@ Signatures
signing = $(RUN)keys $(1) $(call given,HUB) $(call option,SIGN,--sign) $(call option,OWNER,--owner)
keys: | $(READY) ## make the keys of a signed HUB in the folder SIGN, and sign it; with ROLE replace that key by KEY
	$(Q)$(if $(ROLE),$(call signing,replace) $(call option,ROLE,--role) $(call option,KEY,--key) $(call option,ROOT,--root) \
	  $(if $(filter 1,$(REVOKE)),--revoke),$(call signing,make))
sign: | $(READY) ## sign the index of HUB as it is, with the keys of SIGN
	$(Q)$(call signing,sign) $(call option,ROOT,--root)
renew: | $(READY) ## renew the signatures of HUB that the keys of SIGN can make
	$(Q)$(call signing,renew) $(call option,ROOT,--root)

release-notes: | $(READY) ## print what changed from FROM to TO, in Markdown
	$(Q)$(RUN)notes $(call given,FROM) $(call given,$(if $(TO),TO,HUB))
reproduce: | checked_settings ## make MODULE, a published module, again from its statement, and compare the bytes
	$(Q)$(RUN)reproduce $(call given,MODULE) --hub=$(call given,HUB) $(checkpoints) $(cached) \
	  $(if $(filter 1,$(FRESH)),--fresh)

##@ Images and SavedModels
imagenet: | $(READY) ## download validation images of ten classes (340 MB), and print how to get the others
	$(Q)$(RUN)imagenette $(call quote,$A/imagenet) $(cached)
# How MODULE and AGAINST are called: each setting, and its option.
OF_MODULE := SIGNATURE:signature OUTPUT:output TAGS:tags SIZE:size LAYOUT:layout RANGE:range BACKGROUND:background \
  PROTOCOL:protocol ACTIVATION:activation
halves = $(subst :, ,$(1))
of_module = $(strip $(foreach pair,$(OF_MODULE) $(patsubst %,AGAINST_%,$(subst :,:against-,$(OF_MODULE))),\
  $(call option,$(firstword $(call halves,$(pair))),--$(lastword $(call halves,$(pair))))))
evaluate: | checked_settings ## measure any MODULE on the images of IMAGENET, and AGAINST another one
	$(call stage,evaluate)$(RUN)evaluate $(call given,MODULE) $(call option,IMAGENET,--images) \
	  $(call option,AGAINST,--against) $(call option,LABELS,--labels) $(of_module) $(number_and_labels) $(cached) \
	  $(if $(filter 1,$(TRUST)),--trust)
contact-sheet: | checked_settings ## show the wrong predictions of MODEL, after validate, on a page
	$(Q)$(RUN)contact_sheet $(filter %/$(MODEL).yaml,$(YAMLS)) $(call quote,$A/$(MODEL)/report.json) \
	  $(call quote,$A/$(MODEL)/mistakes.html) $(call option,IMAGENET,--imagenet)
# Those of its formats, too, as far as they are made.
doctor_of = $(foreach head,$(HEADS),$(call quote,$A/$(1)/$(head))) \
  $(foreach path,$(sort $(wildcard $(HEADS:%=$A/$(1)/formats/%/*.tar.gz))),$(call quote,$(path)))
doctor: | $(READY) ## show what the SavedModels of MODEL need and their faults; or those of any SAVED_MODEL
	$(if $(or $(SAVED_MODEL),$(filter 2,$(words $(wildcard $(call in,$(MODEL),$(MODEL_FILES)))))),,$(error \
	  $A/$(MODEL) does not hold both SavedModels yet; run make convert MODEL=$(MODEL) first))
	$(Q)$(RUN)doctor $(cached) \
	  $(if $(SAVED_MODEL),$(call given,SAVED_MODEL),--publish $(call doctor_of,$(MODEL)))
# A member's YAML file says what the module's own files do not: handle, publisher, licence.
ifneq ($(SAVED_MODEL)$(OUTPUT),)
formats: | checked_settings ## write MODEL for other runtimes, each file proven there; or SAVED_MODEL, any module, into OUTPUT
	$(Q)$(RUN)formats $(if $(MODEL),--member=$(call quote,$(filter %/$(MODEL).yaml,$(YAMLS)))) -- \
	  $(call given,SAVED_MODEL) $(call given,OUTPUT) $(if $(FORMATS),$(call given,FORMATS))
else
formats: $(call in,$(SELECTED),formats.json) members_readable
endif

##@ Add a model
pool_index = $(call option,INDEX,--index) $(checkpoints) --kept=$(call quote,$A/selection/index.csv) $(cached)
select: | checked_settings ## choose checkpoints of the pool by the criteria of COLLECTION; DIFF=1 compares them with its members
	$(Q)$(RUN)select $(FACTS) $(call quote,$A/selection/$(COLLECTION)) $(pool_index) $(if $(filter 1,$(DIFF)),--diff)
# Without COLLECTION=, the collection follows from what the checkpoint was trained on.
add: | checked_settings ## make CHECKPOINT, one of upstream's files or a list, members: write their YAML files
	$(Q)$(RUN)add $(call given,CHECKPOINT) $(pool_index) $(call option,NAME,--name) $(call option,SIZE,--size) \
	  $(if $(filter file,$(origin COLLECTION)),,--collection=$(call given,COLLECTION))

new: | checked_settings ## write the YAML files of MODEL, a new member of COLLECTION, with marked places for what you know; from CHECKPOINT what it tells
	$(Q)$(RUN)new $(call given,COLLECTION) $(call given,MODEL) $(call option,CHECKPOINT,--checkpoint) \
	  $(call option,VARIANT,--variant) $(call option,ARCHITECTURE,--architecture) $(cached)

##@ Development
pytest = $(call quote,$(PYTHON)) -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder
# The environment with the oldest TensorFlow, if make test has made it: check-full uses it, too.
oldest = $(firstword $(wildcard .venv-tensorflow-*/bin/python))
test: | $(READY) ## run the tests, 12 to 21 minutes on 2 cores
	OLDEST_TENSORFLOW_PYTHON="$$PWD/$(OLDEST_VENV)/bin/python" $(pytest)
test-fast: | $(READY) ## run the tests that need neither TensorFlow nor JAX nor a browser, in five minutes on 2 cores
	$(call quote,$(PYTHON)) -m pytest --fast --numprocesses=2
lint: | $(READY) ## check style, types, workflows and the Dockerfile
	$(call quote,$(PYTHON)) -m ruff check .
	$(call quote,$(PYTHON)) -m ruff format --check .
	$(call quote,$(PYTHON)) -m mypy
	$(call quote,$(PYTHON)) -m benchmarks.lint_automation
# From a clean checkout: a folder build/ of an earlier setuptools would go in. The source archive comes first, and the
# wheel from that.
wheel: | $(READY) ## build the wheel of the command vit-publisher and the source archive, into ARTIFACTS/dist
	$(Q)$(call quote,$(PYTHON)) -m build --no-isolation --outdir $(call quote,$A/dist) .
# Debian's package, as root; elsewhere any Chromium on the path will do.
browser: ## install Chromium for the tests of the website, unless there is one
	@command -v chromium chromium-browser google-chrome || { \
	  apt-get -q -o Acquire::http::Timeout=20 update && apt-get -q install -y --no-install-recommends chromium; }
# On the demo, which is published first where it is not yet.
notebooks: $(call in,vit_demo,$(ALL_FILES)) ## run the notebooks of notebooks/ again on vit_demo in HUB, and write their outputs (some minutes)
	$(call quote,$(PYTHON)) -m benchmarks.notebooks --hub=$(call given,HUB)
# As it is: benchmarks read no env:<name>, and an interpreter is no address.
torch_python = $(if $(TORCH_PYTHON),--torch-python=$(call quote,$(TORCH_PYTHON)))
bench: | $(READY) ## measure speed and memory beside plain code; fail where a limit is missed (two hours on 2 cores, 12 GB of disk)
	$(call quote,$(PYTHON)) -m benchmarks.packing
	$(call quote,$(PYTHON)) -m benchmarks.publishing
	$(call quote,$(PYTHON)) -m benchmarks.downloading
	$(call quote,$(PYTHON)) -m benchmarks.uploading
	$(call quote,$(PYTHON)) -m benchmarks.selection
	$(call quote,$(PYTHON)) -m benchmarks.pool_of_members
	$(call quote,$(PYTHON)) -m benchmarks.site
	$(call quote,$(PYTHON)) -m benchmarks.start_page
	$(call quote,$(PYTHON)) -m benchmarks.large_hub
	$(call quote,$(PYTHON)) -m benchmarks.serving
	$(call quote,$(PYTHON)) -m benchmarks.images
	$(call quote,$(PYTHON)) -m benchmarks.cluster
	$(call quote,$(PYTHON)) -m benchmarks.hostile
	$(call quote,$(PYTHON)) -m benchmarks.evaluation --folder $(call quote,$A/bench)
	$(call quote,$(PYTHON)) -m benchmarks.forward --folder $(call quote,$A/bench) $(torch_python)
	$(call quote,$(PYTHON)) -m benchmarks.litert_files --folder $(call quote,$A/bench)
	$(call quote,$(PYTHON)) -m benchmarks.conversion --folder $(call quote,$A/bench)
	$(call quote,$(PYTHON)) -m benchmarks.validation --folder $(call quote,$A/bench)
	$(call quote,$(PYTHON)) -m benchmarks.loading --folder $(call quote,$A/bench)
check-full: | $(READY) ## publish full-size members and members of every variant and data set, with random weights (over an hour on 2 cores, 60 GB of disk)
	$(if $(oldest),OLDEST_TENSORFLOW_PYTHON="$$PWD/$(oldest)" )$(pytest) --long
	$(call quote,$(PYTHON)) -m benchmarks.full_size $(call quote,$A/full)
	$(call quote,$(PYTHON)) -m benchmarks.compatibility $(call quote,$A/compatibility)
	$(call quote,$(PYTHON)) -m benchmarks.hostile --fuzz 2000
	$(call quote,$(PYTHON)) -m benchmarks.publishing_kills
	$(call quote,$(PYTHON)) -m benchmarks.releasing_kills
	$(call quote,$(PYTHON)) -m benchmarks.cluster --kills 20
	$(call quote,$(PYTHON)) -m benchmarks.hostile_requests
	$(call quote,$(PYTHON)) -m benchmarks.hostile_downloads
	$(call quote,$(PYTHON)) -m benchmarks.added_members $(call quote,$A/added)
	$(call quote,$(PYTHON)) -m benchmarks.every_row $(call quote,$A/rows)
	$(call quote,$(PYTHON)) -m benchmarks.fresh_install $(call quote,$A/fresh)
	$(call quote,$(PYTHON)) -m benchmarks.reproduction $(call quote,$A/reproduced)
	$(call quote,$(PYTHON)) -m benchmarks.installed_wheel $(call quote,$A/installed)
	$(call quote,$(PYTHON)) -m benchmarks.make_attacks
	$(if $(TORCH_PYTHON),\
	  $(call quote,$(PYTHON)) -m benchmarks.layout_round_trips $(torch_python) --folder $(call quote,$A/timm) \
	    && $(call quote,$(PYTHON)) -m benchmarks.timm_outputs $(torch_python) --folder $(call quote,$A/timm),\
	  @echo "check-full: the comparisons with timm were NOT run: set TORCH_PYTHON=<an interpreter with benchmarks/requirements-forward.txt>")
clean: ## remove what the stages made; the hub stays
	! test -d $(call quote,$A) || { cd model_cards && printf '%s\n' */*.yaml; } | LC_ALL=C sed 's,.*/,,; s,\.yaml$$,,' | \
	  { cd $(call quote,$A) && xargs rm -rf -- collections .stamps .runs; }
help: ## print this
	@printf '%-40s%s\n' 'Use a published model:' docs/using.md 'Publish your own model:' docs/publishing.md \
	  'Your own network, proofs, reproducing:' docs/index.md#research 'Maintain a hub or this code:' docs/maintaining.md
	@$(call list,^[a-z-]+:.*## )
	@$(call list,^[A-Z_]+ [?]=.*##)
	@echo; echo "Members: $(call few,$(MODELS))"
list = LC_ALL=C awk '/^\#\#@/ { heading = substr($$0, 5) } \
    /$(1)/ { if (heading) print "\n" heading; heading = ""; name = $$1; sub(/:$$/, "", name); \
    sub(/.*\#\# ?/, ""); printf "  %-16s %s\n", name, $$0 }' $(call quote,$(THIS))
