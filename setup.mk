# Included by the Makefile: the interpreters and their environments, and what is refused before any work.

# PYTHON= names another interpreter. The lock is compared by content: a fresh checkout of the same lock has a new time.
VENV := .venv
READY :=
ifeq ($(PYTHON),)
override PYTHON := $(VENV)/bin/python
READY := $(VENV)/requirements.lock
INTERPRETER := $(wildcard $(PYTHON))
ifneq ($(shell cmp -s requirements.lock $(READY) || echo differs),)
$(READY): FORCE
endif
$(VENV)/requirements.lock:
	@$(BASE_PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo "make: $(BASE_PYTHON) must be Python 3.11 to 3.13, it is $$($(BASE_PYTHON) --version); set BASE_PYTHON=<another>" >&2; exit 1; }
	@echo "Installing the locked requirements into $(VENV); this takes a few minutes, once."
	@$(BASE_PYTHON) -m venv $(VENV)
	@$(PYTHON) -m pip install --quiet --require-hashes -r requirements.lock
	@cp requirements.lock $@
	@echo "$(VENV) is ready."
else
INTERPRETER := $(shell command -v '$(PYTHON)')
$(if $(INTERPRETER),,$(error PYTHON=$(PYTHON): no such interpreter; without PYTHON= make sets up its own))
endif

# The tests run the modules in the oldest TensorFlow that their Python can install, too: <Python>:<TensorFlow>.
OLDEST_TENSORFLOWS := 3.11:2.14 3.12:2.16 3.13:2.20
ifneq ($(filter test,$(MAKECMDGOALS)),)
TEST_PYTHON := $(shell '$(or $(INTERPRETER),$(BASE_PYTHON))' -c 'import sys; print("%d.%d" % sys.version_info[:2])')
OLDEST_TENSORFLOW := $(patsubst $(TEST_PYTHON):%,%,$(filter $(TEST_PYTHON):%,$(OLDEST_TENSORFLOWS)))
$(if $(OLDEST_TENSORFLOW),,$(error the tests need Python 3.11 to 3.13, this is Python $(TEST_PYTHON): set BASE_PYTHON=<another> or PYTHON=<another>))
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

# The settings are the names that the Makefile assigns with ?=. Any other name on the command line is a mistake, but for
# the names that come from another make which runs this one.
SETTINGS := $(shell sed -n 's/^\([A-Z_]*\) ?=.*/\1/p' $(firstword $(MAKEFILE_LIST)))
is_unknown = $(if $(filter command,$(origin $(1))),$(1))
UNKNOWN := $(if $(filter 0,$(MAKELEVEL)),$(foreach name,$(filter-out $(SETTINGS),$(.VARIABLES)),$(call is_unknown,$(name))))
nearest = $(shell '$(or $(INTERPRETER),$(BASE_PYTHON))' -c 'import sys; from pipeline.base.fault import nearest; print(nearest(sys.argv[1], sys.argv[2:]))' $(1) $(SETTINGS))
ifneq ($(strip $(UNKNOWN)),)
$(error unknown setting $(firstword $(UNKNOWN))$(call nearest,$(firstword $(UNKNOWN))); the settings are $(SETTINGS))
endif

# Names that make itself must know, and what a goal cannot do without; pipeline.stamps checks the values of settings.
$(if $(filter-out 1,$(words $(ARTIFACTS))),$(error ARTIFACTS=$(ARTIFACTS): the path must be one word, make cannot work with spaces in it))
$(if $(filter-out $(MODELS),$(MODEL)),$(error unknown member MODEL=$(MODEL); the members are: $(MODELS)))
without = $(if $(filter $(1),$(MAKECMDGOALS)),$(if $(2),,missing))
$(if $(call without,add,$(CHECKPOINT)),$(error say which checkpoint: make add CHECKPOINT=<the name of one of the pool's files>))
$(if $(filter add,$(MAKECMDGOALS)),,$(if $(filter-out $(COLLECTIONS),$(COLLECTION)),$(error unknown COLLECTION=$(COLLECTION); the collections are: $(COLLECTIONS))))
$(if $(call without,publish,$(MODEL)),$(error say which member: make publish MODEL=<member>, one of $(MODELS); or make publish-all for the collection $(COLLECTION)))
$(if $(call without,contact-sheet,$(MODEL)),$(error say which member: make contact-sheet MODEL=<member>, one of $(MODELS)))
$(if $(call without,evaluate,$(and $(MODULE),$(IMAGENET))),$(error say which module and images: make evaluate MODULE=<folder, .tar.gz or address> IMAGENET=<images>))
$(if $(call without,doctor,$(SAVED_MODEL)$(MODEL)),$(error say which SavedModel: make doctor MODEL=<member>, one of $(MODELS); or make doctor SAVED_MODEL=<folder or .tar.gz>))
