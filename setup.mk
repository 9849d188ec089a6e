# Included by the Makefile: the interpreters and their environments, and what is refused before any work.

# Prints the version of an interpreter, and those of the given modules that it lacks.
look = $(shell PYTHONSAFEPATH= PYTHONHOME= $(call quote,$(1)) -c 'import sys; print("%d.%d" % sys.version_info[:2]); \
  sys.version_info < (3, 11) and sys.exit(); from importlib.util import find_spec; \
  print(" ".join(name for name in sys.argv[1:] if not find_spec(name)))' $(2))
VERSIONS := 3.11 3.12 3.13
PYTHON_VERSION :=

# PYTHON= names another interpreter. The lock is compared by content: a fresh checkout of the same lock has a new time.
VENV := .venv
READY :=
ifeq ($(PYTHON),)
override PYTHON := $(VENV)/bin/python
READY := $(VENV)/requirements.lock
# Not $(wildcard): an update of the system may have removed the interpreter that this links to.
INTERPRETER := $(shell ! test -x $(PYTHON) || echo $(PYTHON))
ifneq ($(if $(INTERPRETER),$(shell cmp -s requirements.lock $(READY) || echo differs),missing),)
$(READY): FORCE
endif
BASE := $(call quote,$(BASE_PYTHON))
$(VENV)/requirements.lock:
	@$(BASE) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || { \
	  echo make: $(BASE) must be Python 3.11 to 3.13, got: "$$($(BASE) --version 2>&1)"; \
	  echo 'make: set BASE_PYTHON=<another interpreter>'; exit 1; } >&2
	@echo "Installing the locked requirements into $(VENV); this takes a few minutes, once."
	@$(BASE) -m venv $(if $(INTERPRETER),,--clear) $(VENV) || { \
	  echo 'make: $(VENV) cannot be made here; set PYTHON=<an interpreter with requirements.lock installed>' >&2; exit 1; }
	@$(PYTHON) -m pip install --quiet --require-hashes -r requirements.lock
	@cp requirements.lock $@
	@echo "$(VENV) is ready."
else
INTERPRETER := $(shell command -v $(call quote,$(PYTHON)))
without_it := without PYTHON= make sets up its own
$(if $(INTERPRETER),,$(error PYTHON=$(call shown,PYTHON): no such interpreter; $(without_it)))
# What pipeline/ imports; a test compares them.
REQUIRED := flax google_crc32c isal jax jinja2 markdown_it ml_dtypes numpy PIL pydantic requests safetensors scipy \
  tensorflow tensorstore tqdm yaml
PYTHON_FACTS := $(call look,$(PYTHON),$(REQUIRED) $(if $(filter serve,$(MAKECMDGOALS)),starlette uvicorn))
PYTHON_VERSION := $(firstword $(PYTHON_FACTS))
$(if $(filter $(VERSIONS),$(PYTHON_VERSION)),,$(error \
  PYTHON=$(call shown,PYTHON): expected Python 3.11 to 3.13, $(if $(PYTHON_VERSION),it is Python $(PYTHON_VERSION),it does not run); $(without_it)))
LACKING := $(filter-out $(PYTHON_VERSION),$(PYTHON_FACTS))
$(if $(LACKING),$(error PYTHON=$(call shown,PYTHON): it lacks $(LACKING); install requirements.lock there; $(without_it)))
endif

# The tests run the modules in the oldest TensorFlow that their Python can install, too: <Python>:<TensorFlow>.
OLDEST_TENSORFLOWS := 3.11:2.14 3.12:2.16 3.13:2.20
ifneq ($(filter test,$(MAKECMDGOALS)),)
TEST_PYTHON := $(or $(PYTHON_VERSION),$(call look,$(or $(INTERPRETER),$(BASE_PYTHON)),))
OLDEST_TENSORFLOW := $(patsubst $(TEST_PYTHON):%,%,$(filter $(TEST_PYTHON):%,$(OLDEST_TENSORFLOWS)))
$(if $(OLDEST_TENSORFLOW),,$(error the tests need Python 3.11 to 3.13, this is Python $(TEST_PYTHON): set BASE_PYTHON=<another> or PYTHON=<another>))
OLDEST_VENV := $(VENV)-tensorflow-$(OLDEST_TENSORFLOW)
OLDEST_LOCK := benchmarks/tensorflow/$(OLDEST_TENSORFLOW).lock
ifneq ($(shell cmp -s $(OLDEST_LOCK) $(OLDEST_VENV)/requirements.lock || echo differs),)
$(OLDEST_VENV)/requirements.lock: FORCE
endif
$(OLDEST_VENV)/requirements.lock: | $(READY)
	@echo "Installing TensorFlow $(OLDEST_TENSORFLOW) into $(OLDEST_VENV) for the tests; this takes a minute or two, once."
	@$(call quote,$(PYTHON)) -m venv --clear $(OLDEST_VENV)
	@$(OLDEST_VENV)/bin/python -m pip install --quiet --require-hashes -r $(OLDEST_LOCK)
	@cp $(OLDEST_LOCK) $@
	@echo "$(OLDEST_VENV) is ready."
test: | $(OLDEST_VENV)/requirements.lock
endif

# Any name on the command line that is no setting is a mistake, but for the names that come from another make which runs
# this one.
ifneq ($(if $(filter 0,$(value MAKELEVEL)),$(UNKNOWN)),)
nearest = $(shell PYTHONSAFEPATH= PYTHONHOME= $(call quote,$(or $(INTERPRETER),$(BASE_PYTHON))) -c 'import sys; from pipeline.base.fault import nearest; print(nearest(sys.argv[1], sys.argv[2:]))' $(call quote,$(1)) $(SETTINGS))
$(error unknown setting $(firstword $(UNKNOWN))$(call nearest,$(firstword $(UNKNOWN))); the settings are $(SETTINGS))
endif

# Names that make itself must know, and what a goal cannot do without; pipeline.stamps checks the values of settings.
define newline


endef
found_in = $(strip $(foreach character,$(1),$(findstring $(character),$(2))))
$(if $(findstring $(newline),$(CURDIR)),$(error the path of this folder has a line break; rename it))
$(foreach name,$(SETTINGS),$(if $(findstring $(newline),$($(name))),$(error $(name)= has a line break; expected one line)))
$(foreach name,$(SETTINGS),$(if $(findstring :,$($(name))),$(eval export $(name))))
$(foreach name,ARTIFACTS HUB MODULE FROM TO SAVED_MODEL CHECKPOINT,\
  $(if $(filter -%,$(firstword $($(name)))),$(error $(name)=$(call shown,$(name)): begins with -; write ./$(call shown,$(name)))))
$(if $(filter-out 1,$(words $(ARTIFACTS))),$(error \
  ARTIFACTS=$(call shown,ARTIFACTS): the path must be one word, make cannot work with spaces in it))
# false, no and off must not mean yes.
$(foreach name,OFFLINE REQUIRE_ACCURACY V BACKGROUND AGAINST_BACKGROUND TRUST DIFF FRESH REVOKE MOVE,\
  $(if $(or $(filter-out 0 1,$($(name))),$(filter-out 0 1,$(words $($(name))))),$(error \
    $(name)=$(call shown,$(name)): expected 1 for yes, or 0 or nothing for no$(if $(filter $(name),$(GIVEN)),, (it is set in the environment)))))
not_in_digits = $(eval rest := $$(1))$(foreach digit,0 1 2 3 4 5 6 7 8 9,$(eval rest := $$(subst $(digit),,$$(rest))))$(rest)
$(if $(RUNNER),$(if $(and $(filter 1,$(words $(RUNNER))),$(filter local ray,$(RUNNER))),,$(error \
  RUNNER=$(call shown,RUNNER): expected local or ray)))
$(if $(filter ray,$(RUNNER)),$(if $(wildcard /proc/self/stat),,$(error RUNNER=ray is for Linux; use RUNNER=local)))
$(if $(PARTS),$(if $(filter ray,$(RUNNER)),,$(error \
  PARTS=$(call shown,PARTS): needs RUNNER=ray, which classifies the images of a member in so many tasks)))
$(if $(PARTS),$(if $(or $(filter-out 1,$(words $(PARTS))),$(filter 0%,$(PARTS)),$(strip $(call not_in_digits,$(PARTS)))),$(error \
  PARTS=$(call shown,PARTS): expected a whole number from 1)))
NOT_IN_TARGETS := % : ; | * ? \ [
in_target = $(call found_in,$(NOT_IN_TARGETS),$(1))
$(if $(call in_target,$(ARTIFACTS)),$(error \
  ARTIFACTS=$(call shown,ARTIFACTS): make cannot work with $(call in_target,$(ARTIFACTS)) in it; choose another folder))
IN_NAMES := - _ . 0 1 2 3 4 5 6 7 8 9 a b c d e f g h i j k l m n o p q r s t u v w x y z \
  A B C D E F G H I J K L M N O P Q R S T U V W X Y Z
not_in_names = $(eval rest := $$(1))$(foreach character,$(IN_NAMES),$(eval rest := $$(subst $(character),,$$(rest))))$(rest)
# Whether a text is no name of a member or collection.
is_odd = $(strip $(filter-out 1,$(words $(1))) $(filter -%,$(1)) $(call not_in_names,$(1)))
# All names at once, then, where that finds something, one by one: there may be thousands.
CARDS := $(wildcard model_cards/*/*.yaml)
in_card = $(subst /, ,$(1))
odd_cards = $(strip $(filter-out model_cards/%.yaml,$(1)) $(filter -%,$(in_card)) $(call not_in_names,$(subst $(space),,$(in_card))))
$(if $(call odd_cards,$(CARDS)),$(foreach file,$(CARDS),$(if $(call odd_cards,$(file)),\
  $(error $(file): the name of a file in model_cards/ may have the letters a-z and A-Z, digits and - _ . but no spaces; rename it))))
is_new := $(filter new,$(MAKECMDGOALS))
$(if $(is_new),$(if $(and $(MODEL),$(filter-out file,$(origin COLLECTION))),,$(error \
  say which member of which collection to write: make new COLLECTION=<a folder of model_cards/, which may be new> MODEL=<its name>)))
$(if $(is_new),$(if $(call is_odd,$(MODEL)),$(error \
  MODEL=$(call shown,MODEL): expected the name of a member, of lower-case letters, digits and _)))
$(if $(is_new),,$(if $(filter-out $(MODELS),$(MODEL)),$(error unknown member MODEL=$(call shown,MODEL); the members are: $(call few,$(MODELS)))))
$(if $(filter add new,$(MAKECMDGOALS)),$(if $(and $(COLLECTION),$(call is_odd,$(COLLECTION))),$(error \
  COLLECTION=$(call shown,COLLECTION): expected the name of a folder of model_cards/, of lower-case letters, digits, - and _)))
without = $(if $(filter $(1),$(MAKECMDGOALS)),$(if $(2),,missing))
$(if $(call without,add,$(CHECKPOINT)),$(error say which checkpoint: make add CHECKPOINT=<the name or address of one of upstream's files>))
$(if $(filter add new,$(MAKECMDGOALS)),,$(if $(filter-out $(COLLECTIONS),$(COLLECTION)),$(error unknown COLLECTION=$(call shown,COLLECTION); the collections are: $(call few,$(COLLECTIONS)))))
$(if $(call without,publish,$(MODEL)),$(error say which member: make publish MODEL=<member>, one of $(call few,$(MODELS)); or make publish-all for the collection $(COLLECTION)))
$(if $(call without,contact-sheet,$(MODEL)),$(error say which member: make contact-sheet MODEL=<member>, one of $(call few,$(MODELS))))
$(if $(call without,evaluate,$(and $(MODULE),$(IMAGENET))),$(error say which module and images: make evaluate MODULE=<folder, .tar.gz or address> IMAGENET=<images>))
$(if $(call without,reproduce,$(MODULE)),$(error say which module: make reproduce MODULE=<publisher>/<module>/<version> of HUB, <hub>/<handle>, or a .tar.gz))
$(if $(call without,release-notes,$(FROM)),$(error say since when: make release-notes FROM=<hub or index.json> TO=<hub or index.json>))
$(foreach goal,release-plan release,$(if $(call without,$(goal),$(TO)),$(error \
  say where to: make $(goal) TO=<a folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix>)))
$(foreach goal,yank unyank deprecate undeprecate alias,$(if $(call without,$(goal),$(MODULE)),$(error \
  say which version: make $(goal) MODULE=<publisher>/<module>/<version>)))
$(if $(call without,doctor,$(SAVED_MODEL)$(MODEL)),$(error say which SavedModel: make doctor MODEL=<member>, one of $(call few,$(MODELS)); or make doctor SAVED_MODEL=<folder or .tar.gz>))
$(if $(SAVED_MODEL)$(OUTPUT),$(if $(call without,formats,$(and $(SAVED_MODEL),$(OUTPUT))),$(error \
  say which module and where to: make formats SAVED_MODEL=<the folder of a module> OUTPUT=<a folder to write>; or a member: make formats MODEL=<member>)))
