# Each target first makes .venv, if it isn't there, and installs what it needs into it. A stamp says
# what is installed: .demo the package alone, .lab also what notebooks need, .all also tests and nbgrader.

PYTHON ?= python3
VENV ?= .venv
EXTRAS := lab,test,grading
BIN := $(VENV)/bin
PACKAGE := $(firstword $(wildcard $(VENV)/.all $(VENV)/.lab) $(VENV)/.demo)
LAB := $(firstword $(wildcard $(VENV)/.all) $(VENV)/.lab)

.PHONY: help demo lab notebooks check test test-colab test-all mutation bench claims course-data robots

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

demo: $(PACKAGE) ## train SORL on OGBench PointMaze, evaluate and draw it, in runs/demo/ (minutes)
	$(BIN)/python -m sorl_edu.experiments.demo

lab: $(LAB) ## open JupyterLab on the first notebook
	$(BIN)/python -m jupyter lab notebooks/00_welcome.ipynb

notebooks: $(LAB) ## write the notebooks from their text, and check both
	$(BIN)/sorl-edu course sync
	$(BIN)/sorl-edu course check

# The tests of the lessons, of what they run on, and of the notebooks' tool: those that take seconds.
CHECKED := $(foreach name,flow_matching shortcut temporal_difference inference networks transitions \
  presets toy exercise_core hostile_files,tests/test_$(name).py)

check: $(VENV)/.all ## check style, pairing of the notebooks, and what can be tested in a minute
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/sorl-edu course check
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" $(CHECKED)

# Files start in the order of their names, which has the long ones early. xdist's own order, by the
# number of tests, has the few long ones of the assignments last, when the other process is done.
test: $(VENV)/.all ## check the style and run the tests
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Colab's Python, where it is installed. Its versions are also the lowest that pyproject.toml admits.
# nbgrader has no place there: it needs a newer IPython.
COLAB_VENV ?= .venv-colab
COLAB_PYTHON := $(firstword $(wildcard $(HOME)/.pyenv/versions/3.13.*/bin/python) $(PYTHON))

test-colab: ## the same with the versions that Google Colab has, in .venv-colab
	@$(MAKE) --no-print-directory test VENV=$(COLAB_VENV) PYTHON=$(COLAB_PYTHON) EXTRAS=lab,test \
	  CONSTRAINTS=tests/constraints-colab.txt

test-all: ## both on every Python from 3.11 to 3.13 that is installed (hours)
	@for minor in 11 12 13; do for python in python3.$$minor $$HOME/.pyenv/versions/3.$$minor.*/bin/python; do \
	  if "$$python" -c '' 2>/dev/null; then \
	    $(MAKE) test VENV=.venv-3.$$minor PYTHON="$$python" || exit 1; \
	    $(MAKE) test-colab COLAB_VENV=.venv-colab-3.$$minor COLAB_PYTHON="$$python" || exit 1; \
	    break; fi; done; done

mutation: $(VENV)/.all ## put faults into copies of the library: do the tests notice each? (minutes)
	$(BIN)/python tests/mutation.py

bench: $(VENV)/.all ## measure the speed of library, notebooks and sliders, beside what is promised
	$(BIN)/python -m sorl_edu.experiments.bench --course

claims: $(PACKAGE) ## run the studies behind the course's claims (hours; goes on where it stopped)
	$(BIN)/python -m sorl_edu.experiments.claims

course-data: $(PACKAGE) ## train and measure what the notebooks show (1.5 hours; goes on, too)
	$(BIN)/python -m sorl_edu.experiments.course

robots: $(LAB) ## collect robots' data, train and measure agents on them (hours; goes on, too)
	$(BIN)/python -m sorl_edu.experiments.robots

# From Python 3.13 on, ogbench is not among the requirements: pyproject.toml says why.
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
