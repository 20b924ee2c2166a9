# Each target first makes .venv, if it isn't there, and installs what it needs into it. A stamp says
# what is installed: .demo the package alone, .lab also what notebooks need, .all also tests and nbgrader.

PYTHON ?= python3
BIN := .venv/bin
comma := ,
PACKAGE := $(firstword $(wildcard .venv/.all .venv/.lab) .venv/.demo)
LAB := $(firstword $(wildcard .venv/.all) .venv/.lab)
COLAB := .venv-colab/bin
COLAB_TESTS := tests/test_widgets_core.py tests/test_exercise_core.py \
  $(wildcard tests/test_widget_*.py tests/test_exercises*.py)

.PHONY: help demo lab notebooks check test test-colab mutation bench claims course-data robots

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

demo: $(PACKAGE) ## train SORL on OGBench PointMaze, evaluate and draw it, in runs/demo/ (minutes)
	$(BIN)/python -m sorl_edu.studies.demo

lab: $(LAB) ## open JupyterLab on the first notebook
	$(BIN)/python -m jupyter lab notebooks/00_welcome.ipynb

notebooks: $(LAB) ## write the notebooks from their text, and check both
	$(BIN)/sorl-edu course sync
	$(BIN)/sorl-edu course check

# The tests of the lessons, of what they run on, and of the notebooks' tool: those that take seconds.
CHECKED := $(foreach name,flow_matching shortcut temporal_difference inference networks transitions \
  presets toy exercise_core hostile_files,tests/test_$(name).py)

check: .venv/.all ## check style, pairing of the notebooks, and what can be tested in a minute
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/sorl-edu course check
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" $(CHECKED)

test: .venv/.all ## check the style and run the tests
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-colab: .venv-colab/.all ## run the notebooks and the widgets' tests with Google Colab's versions
	$(COLAB)/python -m pytest $(COLAB_TESTS)
	$(COLAB)/sorl-edu course run

mutation: .venv/.all ## put faults into copies of the library: do the tests notice each? (minutes)
	$(BIN)/python tests/mutation.py

bench: .venv/.all ## measure the speed of library, notebooks and sliders, beside what is promised
	$(BIN)/python -m sorl_edu.studies.bench --course

claims: $(PACKAGE) ## run the studies behind the course's claims (hours; goes on where it stopped)
	$(BIN)/python -m sorl_edu.studies.claims

course-data: $(PACKAGE) ## train and measure what the notebooks show (1.5 hours; goes on, too)
	$(BIN)/python -m sorl_edu.studies.course

robots: $(LAB) ## collect robots' data, train and measure agents on them (hours; goes on, too)
	$(BIN)/python -m sorl_edu.studies.robot_agents

# From Python 3.13 on, ogbench is not among the requirements: pyproject.toml says why.
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
define install
@$(@D)/bin/python $(PIP_INSTALL) --no-compile $(2) --editable '.$(1)'
@$(@D)/bin/python -c 'import importlib.util as u, sys; sys.exit(u.find_spec("ogbench") is None)' || \
  $(@D)/bin/python $(PIP_INSTALL) --no-deps ogbench dm_control
@touch $@
endef

.venv/.demo: pyproject.toml | .venv/.made
	@echo "Installing sorl-edu into .venv, which takes a minute or two ..."
	$(call install)

.venv/.lab: pyproject.toml | .venv/.made
	@echo "Installing sorl-edu and what notebooks need into .venv, which takes a few minutes ..."
	$(call install,[lab])

.venv/.all: pyproject.toml | .venv/.made
	@echo "Installing sorl-edu, notebooks and tests into .venv, which takes a few minutes ..."
	$(call install,[lab$(comma)test$(comma)grading])

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "sorl-edu needs Python 3.11 or newer, and $(PYTHON) is not: install one and name it," \
	    "as in: make demo PYTHON=python3.12" >&2; exit 1; }
	@echo "Making .venv with $(PYTHON) ..."
	@$(PYTHON) -m venv .venv
	@touch $@

.venv-colab/.all: pyproject.toml tests/constraints-colab.txt | .venv-colab/.made
	@echo "Installing sorl-edu with Colab's versions into .venv-colab, which takes minutes ..."
	$(call install,[lab$(comma)test],--constraint tests/constraints-colab.txt)

# Colab has Python 3.13; without one, the versions are still Colab's.
.venv-colab/.made:
	@for python in python3.13 "$$HOME/.pyenv/versions/3.13.0/bin/python" python3.11 $(PYTHON); do \
	  if "$$python" -c '' 2>/dev/null; then break; fi; done; \
	  echo "Making .venv-colab with $$("$$python" --version) ..."; "$$python" -m venv .venv-colab
	@touch $@
