# `make help` lists what there is. Everything is set up on first use, in .venv/.

PYTHON ?= python3
PROTOCOL ?= quick
SEEDS ?=
DEVICE ?= auto
RESULTS ?=
DATA ?=

BIN := .venv/bin
# As one word of a shell, whatever is in it.
quoted = '$(subst ','\'',$(1))'
TASKS := help setup claims report manifest readme release bench test test-report test-faults \
	test-scale test-slurm test-together test-long lint clean
# A target for every question in ablations/, one's own included.
TABLES := $(filter-out $(TASKS),$(basename $(notdir $(wildcard ablations/*.yaml))))
OPTIONS := --protocol $(call quoted,$(PROTOCOL)) --device $(call quoted,$(DEVICE)) \
	$(if $(SEEDS),--seeds $(call quoted,$(SEEDS))) $(if $(RESULTS),--results $(call quoted,$(RESULTS))) $(if $(DATA),--data $(call quoted,$(DATA)))

# A variable that is misspelt would be ignored, and hours spent on what was not asked for. Those
# that make or the programs behind it read are theirs; others may be in the environment.
KNOWN := PROTOCOL SEEDS DEVICE RESULTS DATA PYTHON FAULTS
GIVEN := $(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name)))
THEIRS := MAKE% GNUMAKE% SHELL .% CURDIR TMPDIR CC CXX CFLAGS CXXFLAGS BROWSER_TESTS UPDATE_GOLDEN \
	CARDINALITY_% CUDA_% OMP_% PIP_% SLURM_%
UNKNOWN := $(filter-out $(KNOWN) $(THEIRS),$(GIVEN))
$(if $(UNKNOWN),$(error $(firstword $(UNKNOWN)): no such variable; allowed: $(KNOWN); those of other programs: $(firstword $(UNKNOWN))=... make ...))

# Nor is one ignored that none of the targets takes. PYTHON is of all that set themselves up.
TAKES_report := RESULTS PROTOCOL
TAKES_claims := RESULTS PROTOCOL
TAKES_bench := DEVICE
TAKES_test-faults := FAULTS
TAKEN := PYTHON $(foreach goal,$(MAKECMDGOALS),$(if $(filter $(goal),$(TABLES)),PROTOCOL SEEDS DEVICE RESULTS DATA,$(TAKES_$(goal))))
UNUSED := $(filter-out $(TAKEN),$(filter $(KNOWN),$(GIVEN)))
$(if $(UNUSED),$(error $(firstword $(UNUSED)): has no effect on $(or $(MAKECMDGOALS),help); allowed: $(strip $(TAKEN))))

.DEFAULT_GOAL := help
.PHONY: $(TASKS) $(TABLES)

help:
	@echo "make table2             cardinality and width at preserved complexity (arithmetic)"
	@echo "make table3             error against cardinality at preserved complexity"
	@echo "make table4             twice the complexity by depth, width or cardinality"
	@echo "make residual           with and without shortcuts"
	@echo "make table7             wide paths on CIFAR (PROTOCOL=cifar10 or cifar100)"
	@echo "make figure7            more paths against wider ones, complexity not preserved"
	@echo "make resnet-table2      plain nets against residual ones (PROTOCOL=imagenet)"
	@echo "make resnet-table3      shortcuts of types A, B and C, and deeper nets (PROTOCOL=imagenet)"
	@echo "make resnet-table6      plain against residual (PROTOCOL=resnet-cifar10-small)"
	@echo "make resnet-shortcuts   shortcuts A, B and C (PROTOCOL=resnet-cifar10-small)"
	@echo "make tricks             do later additions leave the lead (PROTOCOL=cifar10-tricks)"
	@echo "make imagenet5k         Table 6, trained on 5,000 classes (PROTOCOL=imagenet5k)"
	@echo "make report             pages to browse: results/index.html, and one a protocol"
	@echo "make claims             which of the paper's sentences the results support"
	@echo "make bench              speed beside other ways to train the same nets (10 minutes)"
	@echo "make setup              build .venv (again only when the project or its versions change)"
	@echo "make test, make lint    the tests; style, format, types and who imports whom"
	@echo "make test-long          whole trainings on photographs, nets of ImageNet's size (2 minutes)"
	@echo "make test-report        the pages in Chromium, which it installs where it may (3 minutes)"
	@echo "make test-faults        kills grids in every phase (10 minutes; FAULTS=sample: 3)"
	@echo "make test-together      several processes that share a run (1 minute)"
	@echo "make test-scale         ten thousand runs on a thousand made workers (2 minutes)"
	@echo "make test-slurm         a grid through a real Slurm, which it installs where it may (4 minutes)"
	@echo "make manifest           list the measured files that the repository brings"
	@echo "make release            one archive of the committed results, with checksums"
	@echo "make clean              remove .venv and what quick computed"
	@echo
	@echo "With PROTOCOL=quick SEEDS=3 DEVICE=auto|cpu|cuda RESULTS=DIR DATA=DIR, as in"
	@echo "make table3 SEEDS=1. A table is computed as far as it is missing, then rendered."

setup: .venv/.ready

# A stamp, so that nothing is installed twice; the environment is brought up to date, not rebuilt.
.venv/.ready: pyproject.toml constraints.txt src/cardinality/host/batch_norm.cpp
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than Python 3.11; allowed: make PYTHON=python3.12 ..." >&2; exit 2; }
	@test -d .venv || echo "Once: .venv/ is set up, with some 5 GB from the package index, in 1 to 3 minutes."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@$(BIN)/python -c 'import sys; from cardinality.host.kernel import load; sys.exit(load() is None)' || \
		echo "note: no C++ compiler here, so batch norm is torch's, which is slower; \
	with one: touch pyproject.toml; make setup" >&2
	@touch $@

.venv/.ready-dev: .venv/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(TABLES): .venv/.ready
	@$(BIN)/cardinality run $@ $(OPTIONS) --show-committed

# With PROTOCOL=... also that one's page, where nothing of it has been run.
report: .venv/.ready
	@$(BIN)/cardinality report $(if $(RESULTS),--results $(call quoted,$(RESULTS))) \
		$(if $(filter-out file,$(origin PROTOCOL)),--protocol $(call quoted,$(PROTOCOL)))

# What the repository brings: to be listed anew before records are committed.
manifest: .venv/.ready
	$(BIN)/python -m cardinality.results.manifest $(patsubst %/runs,%,$(filter-out results/quick/runs,$(wildcard results/*/runs)))

# The figures of these pages, from the committed records.
readme: .venv/.ready
	$(BIN)/python -m cardinality.report.readme README.md docs/results.md

# One archive of the committed results; what is in it: docs/data-card.md.
RELEASE := cardinality-results
RELEASED := results paper_tables docs/data-card.md docs/statistics.md CITATION.cff
release:
	@git diff --quiet HEAD -- $(RELEASED) || \
		{ echo "error: $(RELEASED): changed since the last commit; allowed: what is committed" >&2; exit 2; }
	@rm -rf dist/$(RELEASE) && mkdir -p dist/$(RELEASE)
	@git archive HEAD $(RELEASED) | tar -x -C dist/$(RELEASE)
	@cd dist/$(RELEASE) && find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum >../SUMS && \
		mv ../SUMS SHA256SUMS
	@tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$$(git log -1 --format=%ct)" \
		-C dist -c $(RELEASE) | gzip -n >dist/$(RELEASE).tar.gz
	@rm -rf dist/$(RELEASE)
	@echo "wrote dist/$(RELEASE).tar.gz"

# All protocols that have results, or with PROTOCOL=... that one.
claims: .venv/.ready
	@$(BIN)/cardinality claims $(if $(filter command line environment,$(origin PROTOCOL)),--protocol $(call quoted,$(PROTOCOL))) \
		$(if $(RESULTS),--results $(call quoted,$(RESULTS)))

bench: .venv/.ready-dev
	$(BIN)/python -m benchmarks.speed --device $(call quoted,$(DEVICE))

test: .venv/.ready-dev
	$(BIN)/python -m pytest

test-long: .venv/.ready-dev
	$(BIN)/python -m pytest -m long

# Debian's Chromium, a library that drives it, and axe-core, which looks for what shuts people out.
.venv/.ready-browser: .venv/.ready-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,browser]'
	@command -v chromium >/dev/null || { apt-get -qq update && apt-get -qq install -y chromium >/dev/null; } || \
		{ echo "error: no chromium here, and it could not be installed; allowed: install it as root" >&2; exit 2; }
	npm install --silent --no-audit --no-fund --prefix .venv/axe axe-core@4.14.1
	@touch $@

test-report: .venv/.ready-browser
	BROWSER_TESTS=required $(BIN)/python -m pytest --numprocesses 0 -m 'browser or not browser' tests/browser tests/report/test_pages.py

test-faults: .venv/.ready-dev
	$(BIN)/python -m pytest -m faults --numprocesses 1 tests/faults

test-together: .venv/.ready-dev
	$(BIN)/python -m pytest -m together --numprocesses 0 tests/training/test_together.py tests/execution/test_together.py

test-scale: .venv/.ready-dev
	$(BIN)/python -m pytest -m scale --numprocesses 0 tests/execution/test_simulated.py

# Debian's Slurm; whoever runs the tests runs its daemons, for so long, on loopback.
test-slurm: .venv/.ready-dev
	@export PATH="$$PATH:/usr/sbin"; \
	{ command -v slurmctld && command -v slurmd && command -v sbatch; } >/dev/null || \
		{ apt-get -qq update && apt-get -qq install -y slurmctld slurmd slurm-client >/dev/null; } || \
		{ echo "error: no Slurm here, and it could not be installed; allowed: install slurmctld, slurmd and slurm-client as root" >&2; exit 2; }
	$(BIN)/python -m pytest -m slurm --numprocesses 0 tests/slurm

lint: .venv/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

clean:
	rm -rf .venv results/quick src/cardinality/host/*.so
