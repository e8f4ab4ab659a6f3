# Every target makes what it needs: a private environment in .venv and the extension in release mode. Nothing is rebuilt
# that has not changed.

PYTHON ?= python3
VENV := .venv
OLDEST := .venv-oldest
LOADERS := .venv-loaders
BIN := $(VENV)/bin
RUST := $(shell find src python/src -name '*.rs') Cargo.toml python/Cargo.toml Cargo.lock pyproject.toml
PARALLEL := -n auto --dist worksteal
# Options that select the tests of a mark, and the files that have any: the others need not be read.
marked = -m $(1) $$(grep -rl 'mark\.$(1)' tests --include='test_*.py')
MATURIN := VIRTUAL_ENV=$(abspath $(VENV)) $(abspath $(BIN))/maturin

.PHONY: help environments environment demo test test-rust test-python test-levels test-oldest test-loaders check-targets lint bench bench-kernels format clean

help:
	@echo "make demo   the main job on real data"
	@echo "make test   every test, of Rust and of Python, the numeric ones at each instruction-set level"
	@echo "make test-oldest   those of Python that depend on other packages, with the oldest versions declared"
	@echo "make test-loaders   those with PyTorch and Hugging Face's datasets, which it installs (several GB)"
	@echo "make check-targets   whether the engine compiles for other machines (with rustup)"
	@echo "make lint   formatting, clippy, ruff, mypy, stubs"
	@echo "make bench  planish beside its peers and the machine's own limit"

# --- the environment and the extension ---------------------------------------------------------------------------

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'

$(VENV)/.build: $(BIN)/python $(RUST)
	$(BIN)/pip install --quiet --disable-pip-version-check 'maturin>=1.9.4,<2' 'numpy>=2' 'scikit-learn>=1.6.1'
	$(MATURIN) develop --release --quiet
	@touch $@

$(VENV)/.%-group: $(BIN)/python pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --group $*
	@touch $@

$(OLDEST)/.oldest-group: pyproject.toml
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(OLDEST)/bin/pip install --quiet --disable-pip-version-check --group oldest
	@touch $@

$(LOADERS)/.loaders-group: pyproject.toml
	$(PYTHON) -m venv $(LOADERS)
	$(LOADERS)/bin/pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(LOADERS)/bin/pip install --quiet --disable-pip-version-check --group loaders
	@touch $@

# Both environments that every change is tested in, side by side; pip cannot install twice into one at a time.
environments:
	$(MAKE) --jobs 2 environment $(OLDEST)/.oldest-group

environment:
	$(MAKE) --jobs 1 $(VENV)/.build $(VENV)/.test-group $(VENV)/.lint-group $(VENV)/.demo-group

# --- the targets ---------------------------------------------------------------------------------------------------

demo: $(VENV)/.build $(VENV)/.demo-group
	$(BIN)/python examples/demo.py

test: test-rust test-python test-levels

test-rust:
	cargo test --quiet

test-python: $(VENV)/.build $(VENV)/.test-group
	$(BIN)/python -m pytest -q $(PARALLEL)

# The kernels once more at each instruction-set level below the best, which the tests of Python run at. That all else has
# the same bits at each level is a test of its own.
test-levels: $(VENV)/.build $(VENV)/.test-group
	set -e; for level in $$($(BIN)/python -c "from planish._core import simd_levels; print(*simd_levels()[:-1])"); do \
		echo "at the level $$level"; PLANISH_LEVEL=$$level $(BIN)/python -m pytest -q $(PARALLEL) $(call marked,numeric); done

test-oldest: $(VENV)/.build $(OLDEST)/.oldest-group
	PYTHONPATH=$(abspath python) $(OLDEST)/bin/python -m pytest -q $(PARALLEL) $(call marked,dependencies)

# PIP_EXTRA_INDEX_URL may name an index that offers PyTorch's smaller build for CPUs.
test-loaders: $(VENV)/.build $(LOADERS)/.loaders-group
	PYTHONPATH=$(abspath python) $(LOADERS)/bin/python -m pytest -q \
		tests/border/test_loaders.py tests/border/test_docs.py tests/layers/test_layer_oracles.py

# The engine for machines that are not at hand.
TARGETS := aarch64-unknown-linux-gnu aarch64-apple-darwin x86_64-pc-windows-gnu
check-targets:
	rustup target add $(TARGETS)
	set -e; for target in $(TARGETS); do cargo check --quiet --target $$target; done

lint: $(VENV)/.build $(VENV)/.lint-group $(VENV)/.test-group
	cargo fmt --check
	cargo clippy --quiet --workspace --all-targets -- -D warnings
	$(BIN)/ruff format --check python tests benches examples
	$(BIN)/ruff check python tests benches examples
	$(BIN)/mypy
	cd python && ../$(BIN)/stubtest planish._core --mypy-config-file ../pyproject.toml

bench: $(VENV)/.build $(VENV)/.bench-group
	$(BIN)/python benches/peers.py

bench-kernels:
	cargo bench --package planish-benches

format: $(VENV)/.lint-group
	cargo fmt
	$(BIN)/ruff format python tests benches examples
	$(BIN)/ruff check --fix python tests benches examples

clean:
	rm -rf target $(VENV) $(OLDEST) $(LOADERS) python/planish/*.so
