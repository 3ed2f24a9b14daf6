# Every target does all of its own set-up, in an empty clone too, and is quick the second time.
#   make demo | test | asan | emulate | lint | bench | calibrate | docs | wheel | clean
# PYTHON=python3.12 chooses the interpreter, CUDA=ON|OFF|AUTO the kernels, ARGS="-k step" goes to pytest.

PYTHON ?= python3
CUDA ?= AUTO
ARGS ?=

VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --disable-pip-version-check
# The constraints pin torch: without them pip may choose a build with gigabytes of CUDA libraries.
INSTALL := $(PIP) install -q -c constraints.txt
NATIVE := pyproject.toml CMakeLists.txt $(wildcard csrc/*)
CARDS = $(filter-out %.calibration.json,$(wildcard gencosmo/priors/cards/*.json))

# Real frames for tests and calibration: taken from the folder beside this clone where there is one.
ifeq ($(origin GENCOSMO_TEST_DATA),undefined)
  ifneq ($(wildcard ../shared/data/.),)
    GENCOSMO_TEST_DATA := $(abspath ../shared/data)
  endif
endif
ifneq ($(origin GENCOSMO_TEST_DATA),undefined)
  export GENCOSMO_TEST_DATA
endif

.PHONY: demo test asan emulate lint bench calibrate docs wheel clean

demo: $(VENV)/.installed
	$(VENV)/bin/gencosmo demo -o demo-output

test: $(VENV)/.dev
	$(RUN) -m pytest $(ARGS)

asan: $(VENV)/.dev
	.ci/asan $(ARGS)

emulate: $(VENV)/.dev
	.ci/emulate $(ARGS)

lint: $(VENV)/.dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

bench: $(VENV)/.rivals $(VENV)/.dev
	$(RUN) -m pytest benchmarks/ops -q
	$(RUN) -m benchmarks.overhead
	$(RUN) -m benchmarks.known_answer
ifneq ($(GENCOSMO_TEST_DATA),)
	$(RUN) -m benchmarks.quality.compare
endif

calibrate: $(VENV)/.dev runs/sky.packed.npz runs/cells.packed.npz
	$(RUN) -m gencosmo.training calibrate $(filter %/sky.json %/sky-scenes.json,$(CARDS)) --frames runs/sky.packed.npz
	$(RUN) -m gencosmo.training calibrate $(filter %/cells.json,$(CARDS)) --frames runs/cells.packed.npz

docs: $(VENV)/.dev
	$(RUN) docs/generate.py

wheel: $(VENV)/.installed
	$(PIP) wheel -q . --no-deps --no-build-isolation -C cmake.define.GENCOSMO_CUDA=$(CUDA) -w dist

clean:
	rm -rf $(VENV) build dist demo-output gencosmo/_core*.so

runs/sky.packed.npz: benchmarks/quality/split.toml benchmarks/quality/frames.py | $(VENV)/.dev
	$(RUN) -m benchmarks.quality.frames train $@

# MORE=FOLDER: the images of benchmarks/quality/more_micro.toml, which `cells` was trained and calibrated on too
runs/cells.packed.npz: benchmarks/quality/split.toml benchmarks/quality/frames.py | $(VENV)/.dev
	$(RUN) -m benchmarks.quality.frames train $@ --kind micro $(if $(MORE),--more $(MORE))

# --- environment: tools to build with, the package (editable), extras ---------------------------------------------

$(VENV)/.tools: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("gencosmo needs Python 3.11 or newer, this is %s: make PYTHON=python3.11" \
		% sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) scikit-build-core pybind11 ninja
	@printf '3.25\n%s\n' "$$(cmake --version 2>/dev/null | sed 's/[^0-9]*//;q')" | sort -VC || $(INSTALL) cmake
	@touch $@

$(VENV)/.installed: $(VENV)/.tools $(NATIVE)
	@echo "building gencosmo and installing what it needs (minutes the first time)"
	$(INSTALL) --no-build-isolation -C cmake.define.GENCOSMO_CUDA=$(CUDA) -e .
	@touch $@

# The package is there by now, so these only add what an extra needs.
$(VENV)/.rivals: $(VENV)/.installed
	$(INSTALL) 'gencosmo[bench]'
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(INSTALL) 'gencosmo[dev]'
	@touch $@
