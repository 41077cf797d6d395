# Everything a newcomer needs: `make demo` and `make test`. Both create .venv and install into it first.
PYTHON ?= python3
BIN := .venv/bin
# Bytecode is kept, whatever the shell says: else each of the many processes that tests start compiles all of torch.
export PYTHONDONTWRITEBYTECODE :=
# What is imported is compiled then; pip would compile all of torch, scipy and the like.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt
# uv takes a fraction of pip's time. Of pip's settings it is told where packages lie; where that is not enough, pip does it.
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt \
	$${PIP_INDEX_URL:+--default-index "$$PIP_INDEX_URL"} $${PIP_FIND_LINKS:+--find-links "$$PIP_FIND_LINKS"}

.PHONY: demo test test-all test-slow test-lowest test-newest coverage test-vision imagenet-node test-ray simulator browser lint types check reports benchmarks cell-energy growth fixed-work peers fuzz docs ablation build-report \
	search-quality search-worth calibrate calibrate-asic clean

demo: .venv/installed
	$(BIN)/abcost analyze reactnet_a --target fpga-lut6

# mypy runs beside the tests, which wait now and then: for heartbeats, for browsers, for processes that were killed.
test: simulator browser lint
	$(MAKE) --no-print-directory --jobs 2 types check

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/installed-dev
	$(BIN)/mypy

# The tests of the hardware units simulate Verilog, and no package on PyPI brings a simulator.
APT = $$([ "$$(id -u)" = 0 ] || echo sudo -n) env DEBIAN_FRONTEND=noninteractive apt-get -qq
simulator:
	@if command -v iverilog || command -v verilator; then exit; fi >/dev/null; \
	if command -v apt-get >/dev/null; then \
		echo 'installing Icarus Verilog for the simulations'; \
		{ $(APT) update; $(APT) install --no-install-recommends iverilog; } >/dev/null 2>&1 </dev/null && exit; \
	fi; \
	echo 'No Verilog simulator, and none could be installed: simulations will be skipped.' \
		'Install Icarus Verilog (package iverilog) or Verilator.'

# The tests of the pages open them in Chromium.
browser:
	@if command -v chromium || command -v chromium-browser || command -v google-chrome; then exit; fi >/dev/null; \
	if command -v apt-get >/dev/null; then \
		echo 'installing Chromium for the tests of the pages'; \
		{ $(APT) update; $(APT) install --no-install-recommends chromium; } >/dev/null 2>&1 </dev/null && exit; \
	fi; \
	echo 'No Chromium, and none could be installed: the tests that open pages will be skipped.'

# One process more than CI has cores: some tests wait, for heartbeats and for processes that were killed.
check: .venv/installed-dev
	$(BIN)/pytest --numprocesses 3 --dist worksteal

test-slow: .venv/installed-dev
	$(BIN)/pytest -m slow

test-all: test test-slow test-lowest test-newest coverage

# The oldest releases that pyproject.toml allows, but for torch, whose builds without CUDA are few: what .venv has. Newer
# releases that those need may warn of them.
test-lowest: .venv-lowest/installed
	.venv-lowest/bin/pytest --numprocesses 3 --dist worksteal -W default

# Python 3.13. The index may have only the torch for it that brings CUDA: 5 GB.
NEWEST ?= python3.13
test-newest: .venv-newest/installed
	.venv-newest/bin/pytest --numprocesses 3 --dist worksteal

# Lines and branches that tests reach in their own process; commands that they start are not followed.
coverage: .venv/installed-dev
	$(BIN)/pytest --numprocesses 3 --dist worksteal --cov

# torchvision goes with one torch only, and with none of the small CPU builds: an environment of its own, of 5.6 GB.
test-vision: .venv-vision/installed
	.venv-vision/bin/pytest tests/test_data_vision.py

# What one core does with ImageNet's images, for plans of training and searching on many nodes: reports/imagenet_node.md.
imagenet-node: .venv-vision/installed
	OMP_NUM_THREADS=1 .venv-vision/bin/python benchmarks/imagenet_node.py --report reports/imagenet_node.md

# Ray is large, and few need it: an environment of its own. A cluster of this machine with two workers.
test-ray: .venv-ray/installed
	.venv-ray/bin/pytest tests/test_search_ray.py
	.venv-ray/bin/ray start --head --num-cpus 2 --disable-usage-stats
	.venv-ray/bin/python benchmarks/search_scaling.py --executor ray; status=$$?; .venv-ray/bin/ray stop; exit $$status

reports: .venv/installed
	$(BIN)/abcost reproduce --reports reports

benchmarks: .venv/installed-dev
	$(BIN)/python benchmarks/analysis_time.py
	$(BIN)/python benchmarks/train_step.py
	$(BIN)/python benchmarks/search_pricing.py
	$(BIN)/python benchmarks/search_scaling.py

# Time and memory against depth and width: reports/growth.md.
growth: .venv/installed-dev
	$(BIN)/python benchmarks/growth.py

# What people wait for besides their question, next to another checkout (BASELINE=../baseline): reports/fixed_work.md.
fixed-work: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/fixed_work.py $(BASELINE)

# What other tools report on the same models, with time and memory: reports/peers.md, reports/peers.csv.
peers: .venv/installed-peers
	$(BIN)/python benchmarks/peers.py

# Networks as circuits: simulated, placed and routed, estimate beside result: reports/build.md. An hour; goes on where it stopped.
build-report: .venv/installed-dev
	$(BIN)/python benchmarks/build_report.py

# A million inputs for all parsers: reports/fuzzing.md. An hour or two on one core; goes on where it was interrupted.
fuzz: .venv/installed-dev
	$(BIN)/python benchmarks/fuzz.py

# The documentation as a site, in site/. The variable silences what the theme says about another project.
docs: .venv/installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# 24 trainings on one thread, half an hour; the same command goes on where it was interrupted.
ablation: .venv/installed-dev
	$(BIN)/python benchmarks/slope_ablation.py

# Search next to random search, on one thread; the same command goes on where it was interrupted.
search-quality: .venv/installed-dev
	$(BIN)/python benchmarks/search_quality.py

# Search over registers, sizes and exponents, next to random search and to another checkout (BASELINE=../baseline): reports/search_worth.md.
search-worth: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/search_worth.py $(BASELINE) --report reports/search_worth.md

# The tables measured by synthesis; from an empty cache tens of minutes. Debian has the cells in qflow-tech-osu018.
LIBERTY ?= /usr/share/qflow/tech/osu018/osu018_stdcells.lib
calibrate: .venv/installed-dev
	for target in fpga-lut6 fpga-ice40 fpga-ecp5; do $(BIN)/abcost calibrate $$target || exit; done
	$(BIN)/abcost calibrate asic-osu018 --liberty $(LIBERTY)

# Tables of open process design kits, from a folder that has their Liberty files anywhere below (docs/howto/own-target.md
# says where they are). A quarter of an hour each on two free cores; goes on where it was interrupted.
LIBERTY_ROOT ?= liberty
found = $(firstword $(shell find $(LIBERTY_ROOT) -name '$(1)' -o -name '$(1).gz'))
liberty = $(foreach name,$(1),--liberty '$(or $(call found,$(name)),$(LIBERTY_ROOT)/$(name))')
ASAP7 := AO_RVT_TT_nldm_211120.lib INVBUF_RVT_TT_nldm_220122.lib OA_RVT_TT_nldm_211120.lib \
	SEQ_RVT_TT_nldm_220123.lib SIMPLE_RVT_TT_nldm_211120.lib
calibrate-asic: .venv/installed-dev
	$(BIN)/abcost calibrate asic-sky130 $(call liberty,sky130hd_tt.lib)
	$(BIN)/abcost calibrate asic-sg13g2 $(call liberty,sg13g2_stdcell_typ_1p20V_25C.lib)
	$(BIN)/abcost calibrate asic-gf180 $(call liberty,gf180mcu_fd_sc_mcu7t5v0__tt_025C_3v30.lib)
	$(BIN)/abcost calibrate asic-asap7 $(call liberty,$(addprefix asap7sc7p5t_,$(ASAP7)))
	$(BIN)/abcost calibrate asic-gt2n $(call liberty,gt2_6t_w13_svt_tt_0p7v25c.lib)
	$(BIN)/abcost calibrate sram-sky130 $(foreach file,$(shell find $(LIBERTY_ROOT) -name 'sky130_sram_1rw1r_*.lib*'),--liberty '$(file)')
	$(BIN)/abcost calibrate sram-sg13g2 $(foreach file,$(shell find $(LIBERTY_ROOT) -name 'RM_IHPSG13_1P_*.lib*'),--liberty '$(file)')

# Energies of mapped units next to OpenSTA's (Debian: opensta): reports/cell_energy.md.
cell-energy: .venv/installed-dev
	$(BIN)/python benchmarks/cell_energy.py $(LIBERTY_ROOT) --report reports/cell_energy.md

.venv/bin/python:
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "abcost needs Python 3.11 or newer: make PYTHON=python3.11"'
	$(PYTHON) -m venv .venv
	$(PIP) uv

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(UV) --editable '.[onnx,search]' || $(PIP) --editable '.[onnx,search]'
	touch $@

.venv/installed-dev: pyproject.toml constraints.txt | .venv/bin/python
	$(UV) --editable '.[dev]' || $(PIP) --editable '.[dev]'
	touch .venv/installed $@

.venv/installed-peers: .venv/installed-dev
	$(UV) --editable '.[dev,peers]' || $(PIP) --editable '.[dev,peers]'
	touch $@

# The torch of .venv is a constraint, with what its version says of its build: else the lowest would be one with CUDA.
.venv-lowest/installed: pyproject.toml .venv/installed-dev
	$(BIN)/python -m venv .venv-lowest
	$(BIN)/python -c 'from importlib.metadata import version as v; print("torch==" + v("torch"))' > .venv-lowest/constraints.txt
	$(subst constraints.txt,.venv-lowest/constraints.txt,$(subst $(BIN)/python,.venv-lowest/bin/python,$(UV))) \
		--resolution lowest-direct --editable '.[dev]'
	touch $@

.venv-newest/installed: pyproject.toml constraints.txt
	$(NEWEST) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

VISION := torch==2.14.1 torchvision==0.29.1
.venv-vision/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m venv .venv-vision
	grep -v '^torch==' constraints.txt > .venv-vision/constraints.txt
	.venv-vision/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint .venv-vision/constraints.txt --editable '.[train,vision]' $(VISION) pytest hypothesis
	touch $@

.venv-ray/installed: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m venv .venv-ray
	.venv-ray/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[search,ray]' pytest pytest-xdist hypothesis psutil
	touch $@

clean:
	rm -rf .venv .venv-lowest .venv-newest .venv-vision .venv-ray .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
