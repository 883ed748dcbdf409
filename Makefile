# make install, make demo, make test, make docs: each creates .venv if it is missing.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2

.PHONY: install demo test test-fast release-check test-minimum docs test-site fuzz audit sbom figures bench-accuracy bench-check bench-coverage bench-read bench-design bench-speed bench-performance bench-robustness bench-referee bench-prior bench-respondents bench-planning bench-choosing r-reference clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,docs]"
	touch .venv/installed

demo: install
	$(BIN)/python -m surveysim.demo

test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# For work in between: the test files that take little time, under two minutes on two cores. CONTRIBUTING.md says what it leaves out.
test-fast: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $$($(BIN)/python -m tests.support.fast_tests)

# The tests with the lowest versions that pyproject.toml declares, in .venv-minimum; a model that newer ones kept is not read there.
# Old packages on new ones may say that something will go: that is no error here.
test-minimum: .venv-minimum/installed
	SURVEYSIM_CACHE=.venv-minimum/cache .venv-minimum/bin/python -m pytest --ignore=tests/whole/test_site.py \
		-W ignore::DeprecationWarning -W ignore::PendingDeprecationWarning -W ignore::FutureWarning

.venv-minimum/installed: pyproject.toml constraints-minimum.txt
	$(PYTHON) -m venv .venv-minimum
	.venv-minimum/bin/python -m pip install --quiet --constraint constraints-minimum.txt --editable ".[dev]"
	touch .venv-minimum/installed

# Wheel and source distribution: built, their metadata checked, each installed with its dependencies in an environment of its own, and
# used there. Needs a network; HERE=1 uses the dependencies of .venv in place of installing them.
release-check: install .venv-release/installed
	rm -rf dist/*.whl dist/*.tar.gz
	.venv-release/bin/python -m build --outdir dist .
	.venv-release/bin/python -m twine check --strict dist/*.whl dist/*.tar.gz
	$(BIN)/python -m tests.support.release_check $(if $(HERE),--here)

.venv-release/installed:
	$(PYTHON) -m venv .venv-release
	.venv-release/bin/python -m pip install --quiet build twine
	touch .venv-release/installed

# The documentation site: docs/_build/html/index.html. Runs the notebooks whose code has changed since they last ran.
docs: install
	$(BIN)/python docs/tutorials.py
	$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build/html

# The site in headless Chromium: search, links, widths, contrast, copying. Skipped, with the reason, where there is no Chromium.
test-site: docs
	$(BIN)/python -m pytest tests/whole/test_site.py

# Damaged files for every reader, ten minutes long; another SEED tries others. Prints its counts, keeps no input.
fuzz: install
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.support.fuzzing --seconds $(or $(SECONDS),600) --seed $(or $(SEED),0)

# Known faults of the packages that are installed; a package that cannot be asked about is a failure. Needs a network.
audit: install .venv-audit/installed
	PIPAPI_PYTHON_LOCATION=$(BIN)/python .venv-audit/bin/pip-audit --strict --skip-editable

# The packages that are installed, with versions and licences, as a CycloneDX bill of materials: dist/sbom.json.
sbom: install .venv-audit/installed
	mkdir -p dist
	.venv-audit/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type library --output-reproducible --of JSON -o dist/sbom.json $(BIN)/python

# Both tools stand apart from the packages that they look at.
.venv-audit/installed:
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet pip-audit cyclonedx-bom
	touch .venv-audit/installed

# The demo's score figure and numbers for the README; then its table, which a test compares with them.
figures: demo
	cp demo-output/scores.png docs/figures/demo_scores.png
	cp demo-output/summary.json docs/figures/demo_summary.json

# Scores of every method on the survey files in DATA: docs/benchmarks.md and docs/benchmarks/accuracy.json. Resumes where it stopped.
bench-accuracy: install
	test -n "$(DATA)" || (echo "say where the survey files are: make bench-accuracy DATA=<folder>"; exit 1)
	OMP_NUM_THREADS=2 $(BIN)/python tests/benchmarks/bench_accuracy.py "$(DATA)"

# Whether that page's figures stay: one seed scored again, beside the scores it is made of.
bench-check: install
	test -n "$(DATA)" || (echo "say where the survey files are: make bench-check DATA=<folder>"; exit 1)
	OMP_NUM_THREADS=2 $(BIN)/python tests/benchmarks/accuracy_check.py "$(DATA)"

# How often 95% intervals hold the truth: the section "Coverage" and docs/benchmarks/coverage.json. Resumes where it stopped.
bench-coverage: install
	test -n "$(DATA)" || (echo "say where the survey files are: make bench-coverage DATA=<folder>"; exit 1)
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/bench_coverage.py "$(DATA)"

# Reading beside bare pyreadstat, and shares with standard errors beside R's svyby, each in one run: docs/design.md has the figures.
bench-read: install
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/bench_read.py

bench-design: install
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/bench_design.py
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/bench_tests.py

# How fast alignment and simulation are beside plain transformers: a table, and bench-output/speed.json. About three minutes.
# PEERS=1 adds llama.cpp, compiled once, in .venv-peers; where that cannot be done, the table says why. OPTIONS="--page --clock cpu".
bench-speed: install $(if $(PEERS),.venv-peers/installed)
	$(BIN)/python tests/benchmarks/bench_speed.py $(if $(PEERS),--peers) $(OPTIONS)

# llama.cpp reads the processor's features where it is compiled; its part for pictures is left out.
.venv-peers/installed:
	$(PYTHON) -m venv .venv-peers
	CMAKE_ARGS="-DLLAVA_BUILD=OFF $(CMAKE_ARGS)" .venv-peers/bin/python -m pip install --quiet --log .venv-peers/install.log \
		llama-cpp-python==0.3.36 && touch .venv-peers/installed || echo "llama.cpp could not be installed; see .venv-peers/install.log"

# Time and memory of what people wait for: docs/performance.md, with curves and a busy neighbour. BEFORE=<folder of an older build> compares
# the two, DATA=<folder of survey files> adds ESS 11, QUICK=1 measures each once. On a machine without other work.
bench-performance: install
	$(BIN)/python tests/benchmarks/bench_performance.py --page --curves --busy $(if $(BEFORE),--before "$(BEFORE)") \
		$(if $(DATA),--data "$(DATA)") $(if $(QUICK),--quick)

# How far shares depend on the prompt's wording and order: docs/benchmarks.md and docs/benchmarks/robustness.json. Ten alignments a method.
bench-robustness: install
	OMP_NUM_THREADS=2 $(BIN)/python tests/benchmarks/bench_robustness.py

# What is known besides the sample: an earlier wave, whether a prior ever costs, big models' tables, income and regions of countries. Four
# sections of docs/benchmarks.md; some forty minutes.
bench-prior: install
	test -n "$(DATA)" || (echo "say where the survey files are: make bench-prior DATA=<folder>"; exit 1)
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/bench_prior.py "$(DATA)"
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/bench_prior.py "$(DATA)" --check
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/bench_simulators.py "$(DATA)"
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/bench_countries.py "$(DATA)"

# Published tables of simulators beside human shares and nulls: docs/referee.md and docs/benchmarks/referee.json. About an hour.
bench-referee: install
	test -n "$(DATA)" || (echo "say where the published tables are: make bench-referee DATA=<folder>"; exit 1)
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/bench_referee.py "$(DATA)"

# Simulated respondents beside real ones, independent draws and, where R has it, synthpop: a section of docs/respondents.md. About half an hour.
bench-respondents: install
	test -n "$(DATA)" || (echo "say where the survey files are: make bench-respondents DATA=<folder>"; exit 1)
	PYTHONPATH=. OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/bench_respondents.py "$(DATA)"

# Planned next respondents beside others, about half an hour; the choice of a method, about an hour: tables of docs/planning.md, and
# docs/benchmarks/planning.json, choosing.json.
bench-planning bench-choosing: install
	test -n "$(DATA)" || (echo "say where the survey files are: make $@ DATA=<folder>"; exit 1)
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/$(subst -,_,$@).py "$(DATA)"

# Numbers from R's survey package, for the tests; needs R. ESS9NO=<path of ESS9NO.sav or .dta> for those on the ESS.
r-reference:
	cd tests/r && Rscript make_reference.R && Rscript make_domains.R && Rscript make_lonely.R && Rscript make_poststratify.R && Rscript make_nonvoters.R && Rscript make_differences.R && Rscript make_weights.R && Rscript make_replicates.R && Rscript make_benchmarking.R && Rscript make_polychoric.R
	test -z "$(ESS9NO)" || (cd tests/r && Rscript make_ess9no.R "$(abspath $(ESS9NO))")
	test -z "$(GSS2016)" || (cd tests/r && Rscript make_differences_real.R "$(abspath $(ESS9NO))" "$(abspath $(GSS2016))")

clean:
	rm -rf .venv .venv-minimum .venv-audit .venv-release .venv-peers docs/_build docs/generated docs/tutorials build dist demo-output bench-output .pytest_cache .mypy_cache .ruff_cache
