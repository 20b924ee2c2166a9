# Each target first makes .venv unless it exists, and installs what it needs into it. A stamp tells
# what is installed: .demo the package alone, .lab also JupyterLab, .all also the tests and nbgrader.

PYTHON ?= python3
VENV ?= .venv
EXTRAS := lab,test,grading,site
BIN := $(VENV)/bin
PACKAGE := $(firstword $(wildcard $(VENV)/.all $(VENV)/.lab) $(VENV)/.demo)
LAB := $(firstword $(wildcard $(VENV)/.all) $(VENV)/.lab)

.PHONY: help demo lab notebooks check test test-thorough test-release test-lowest test-colab test-all \
  goals audit fuzz mutation bench claims course-data robots baselines evor imitation \
  finetuning site style fast-tests

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

demo: $(PACKAGE) ## train SORL on OGBench PointMaze, evaluate it, draw it, in runs/demo/ (minutes)
	$(BIN)/python -m sorl_edu.experiments.demo

lab: $(LAB) ## open JupyterLab on the first notebook
	$(BIN)/python -m jupyter lab notebooks/00_welcome.ipynb

notebooks: $(LAB) ## write the notebooks from their text, and check both
	$(BIN)/sorl-edu course sync
	$(BIN)/sorl-edu course check

PYTEST := $(BIN)/python -m pytest -n 2
# Tests of the lessons and of everything that an agent needs: training, files, the command line.
FAST := tests/lessons tests/agents tests/training tests/cli tests/datasets/test_transitions.py \
  tests/system/test_programs.py

style: $(VENV)/.all
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/lint-imports
	$(BIN)/oxlint
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml

check: style ## check style, imports, notebooks, lessons and agents (two minutes)
	$(BIN)/sorl-edu course check
	$(PYTEST) tests/lessons tests/agents tests/datasets/test_transitions.py

test: style ## check style and imports, and run the tests
	$(PYTEST) --durations=25 $(OPTIONS)

test-thorough: $(VENV)/.all ## run further cases, and what few changes touch: collecting, grading, the site
	$(PYTEST) -m "thorough and not release and not goals" --durations=25 $(OPTIONS)

test-release: $(VENV)/.all ## run what test leaves out: every lesson in a browser, every number of the text
	$(PYTEST) -m release --durations=25 $(OPTIONS)

fast-tests: $(VENV)/.all
	$(PYTEST) --durations=25 $(FAST)

test-lowest: ## test the core with the lowest versions that pyproject.toml admits, in .venv-lowest
	@$(MAKE) --no-print-directory fast-tests VENV=.venv-lowest EXTRAS=test \
	  CONSTRAINTS=tests/constraints-lowest.txt

# Colab's Python, where it is installed. nbgrader has no place there: it needs a newer IPython.
COLAB_VENV ?= .venv-colab
COLAB_PYTHON := $(firstword $(wildcard $(HOME)/.pyenv/versions/3.13.*/bin/python) $(PYTHON))

test-colab: ## run the tests with the versions that Google Colab has, in .venv-colab
	@$(MAKE) --no-print-directory test VENV=$(COLAB_VENV) PYTHON=$(COLAB_PYTHON) EXTRAS=lab,test \
	  CONSTRAINTS=tests/constraints-colab.txt

test-all: ## run test and test-colab on every Python from 3.11 to 3.13 that is installed (hours)
	@for minor in 11 12 13; do for python in python3.$$minor $$HOME/.pyenv/versions/3.$$minor.*/bin/python; do \
	  if "$$python" -c '' 2>/dev/null; then \
	    $(MAKE) test VENV=.venv-3.$$minor PYTHON="$$python" || exit 1; \
	    $(MAKE) test-colab COLAB_VENV=.venv-colab-3.$$minor COLAB_PYTHON="$$python" || exit 1; \
	    break; fi; done; done

goals: $(VENV)/.all ## measure what assignments and studies must reach, at full length (before a release)
	$(PYTEST) -m goals --durations=0

audit: $(VENV)/.all ## compute anew what lessons and pages say, sentence by sentence
	$(BIN)/python -m pytest -v -m 'goals or release or not goals' tests/course/test_audit.py

# Written files are synced: on a disk, reading them takes nearly twice as long.
IN_MEMORY := $(if $(wildcard /dev/shm/.),--basetemp=/dev/shm/sorl-edu-fuzz)

fuzz: $(VENV)/.all ## read FUZZ (20000) mutated files of each kind: nothing but an error may come of one
	FUZZ=$(or $(FUZZ),20000) $(PYTEST) $(IN_MEMORY) tests/system/test_hostile_files.py tests/course/test_messages.py -k "any or odd or damaged"

mutation: $(VENV)/.all ## put faults into copies of the library, each of which a test must find (an hour; resumes)
	$(BIN)/python tests/mutation.py

bench: $(VENV)/.all ## measure the speed of library, notebooks and sliders, beside the promises
	$(BIN)/python -m sorl_edu.experiments.bench --course

claims: $(PACKAGE) ## run the studies behind the course's claims (hours; resumes)
	$(BIN)/python -m sorl_edu.experiments.claims

course-data: $(PACKAGE) ## train and measure the agents that the notebooks show (1.5 hours; resumes)
	$(BIN)/python -m sorl_edu.experiments.course
	$(BIN)/python -m sorl_edu.course.pictures

robots: $(LAB) ## collect robots' data, train and measure agents on them (hours; resumes)
	$(BIN)/python -m sorl_edu.experiments.robots

baselines: $(PACKAGE) ## tune and compare all agents on fourteen tasks (days on two cores; says how long; resumes)
	$(BIN)/python -m sorl_edu.experiments.baselines

evor: $(PACKAGE) ## compare four models of the return, and others' choices, at test time (days on two cores; resumes)
	$(BIN)/python -m sorl_edu.experiments.evor

imitation: $(PACKAGE) ## compare four imitators of an expert that they can't replicate (an hour and a half; resumes)
	$(BIN)/python -m sorl_edu.experiments.imitation

finetuning: $(PACKAGE) ## measure agents before and after environment steps (half an hour for the maze; resumes)
	$(BIN)/python -m sorl_edu.experiments.finetuning

site: $(VENV)/.all ## build the course as static pages, in build/site/html (minutes)
	$(BIN)/python -m sorl_edu.course.site

# From Python 3.13 on, ogbench is not among the requirements; pyproject.toml has the reason.
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
define install
@$(@D)/bin/python $(PIP_INSTALL) --no-compile $(addprefix --constraint ,$(CONSTRAINTS)) --editable '.$(1)'
@$(@D)/bin/python -c 'import importlib.util as u, sys; sys.exit(u.find_spec("ogbench") is None)' || \
  $(@D)/bin/python $(PIP_INSTALL) --no-deps ogbench dm_control
@touch $@
endef

$(VENV)/.demo: pyproject.toml | $(VENV)/.made
	@echo "Installing sorl-edu into $(VENV), which takes a minute or two ..."
	$(call install)

$(VENV)/.lab: pyproject.toml | $(VENV)/.made
	@echo "Installing sorl-edu and what notebooks need into $(VENV), which takes a few minutes ..."
	$(call install,[lab])

$(VENV)/.all: pyproject.toml $(CONSTRAINTS) | $(VENV)/.made
	@echo "Installing sorl-edu, notebooks and tests into $(VENV), which takes a few minutes ..."
	$(call install,[$(EXTRAS)])

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "sorl-edu needs Python 3.11 or newer, and $(PYTHON) is not: install one and name it," \
	    "as in: make demo PYTHON=python3.12" >&2; exit 1; }
	@echo "Making $(VENV) with $(PYTHON) ..."
	@$(PYTHON) -m venv $(VENV)
	@touch $@
