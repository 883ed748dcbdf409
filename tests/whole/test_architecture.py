"""The package as a whole: light to import, laid out in rooms, readable in pieces, tested path for path, and shown by examples that run."""

from __future__ import annotations

import ast
import doctest
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

import surveysim as ss
from tests.support import rooms
from tests.support.pages import PROJECT
from tests.support.rooms import FIGURES, MODELS, dotted, imports, storey

PACKAGE = Path(ss.__file__).parent
LONGEST_MODULE, LONGEST_FUNCTION = 350, 40  # lines; of a function without its signature and docstring
IMPORT_SECONDS = 0.5
MODELS_AND_FIGURES = (*MODELS, *FIGURES)
HEAVY = (*MODELS_AND_FIGURES, "scipy", "statsmodels", "pyreadstat", "sklearn", "pyarrow.parquet")
PUBLIC_NAMES = Path(__file__).with_name("public_names.txt")

# Modules that have no test file of their own path, by the file that tests them. A new module has its own file.
COVERED = {
    "tests/baselines/test_methods.py": "baselines.multilevel baselines.regressions",
    "tests/codebook/test_codebook.py": "codebook.declared codebook.questions codebook.toml_file",
    "tests/codebook/test_ddi_codebook.py": "codebook.ddi_study codebook.ddi_xml",
    "tests/design/test_design.py": "design.adjustment design.estimators design.stages",
    "tests/estimation/test_distributions.py": "design.replication",
    "tests/estimation/test_pooled_waves.py": "survey.crosswalk",
    "tests/differences/test_tests_of_difference.py": "differences.tested_samples",
    "tests/estimation/test_weighting.py": "design.calibration estimation.margins",
    "tests/evaluation/test_comparison.py": "evaluation.comparison_summary evaluation.trials",
    "tests/evaluation/test_official.py": "evaluation.official_comparison",
    "tests/evaluation/test_scores.py": "evaluation.floor evaluation.summaries",
    "tests/figures/test_distributions.py": "estimation.trait_shifts figures.bars figures.dots figures.style",
    "tests/figures/test_rows.py": "estimation.joint_shares",
    "tests/figures/test_scores.py": "figures.savings",
    "tests/figures/test_scorecard.py": "evaluation.card_measures figures.scorecard_panels",
    "tests/figures/test_weights.py": "figures.official",
    "tests/files/test_isolated.py": "files.isolated_child",
    "tests/files/test_readers.py": "files.csv_parquet files.encodings files.rawfile files.spss_portable files.spss_stata",
    "tests/inference/test_benchmarking.py": "inference.benchmarked_cells",
    "tests/inference/test_prediction_power.py": "inference.prediction_cells",
    "tests/inference/test_small_area.py": "inference.area_cells",
    "tests/lm/fit/test_newton.py": "lm.fit.curvatures",
    "tests/lm/fit/test_readout.py": "lm.fit.bundles",
    "tests/lm/base/test_devices.py": "lm.base.base_model",
    "tests/lm/prompts/test_template.py": "lm.base.tokens",
    "tests/lm/test_training.py": "lm.alignment lm.answers lm.fit.heads lm.fit.stages",
    "tests/lm/trunk/test_trunk.py": "lm.base.architectures lm.trunk.trees",
    "tests/publishing/test_disclosure.py": "publishing.small_cells",
    "tests/publishing/test_exports.py": "publishing.poststratification_frame",
    "tests/publishing/test_report.py": "publishing.report_sections",
    "tests/evaluation/test_coherence.py": "evaluation.coherence_measures",
    "tests/synthesis/test_respondents.py": "synthesis.learnt_sample synthesis.respondents_card",
    "tests/simulation/test_in_memory.py": "simulation.request",
    "tests/simulation/test_to_parquet.py": "tables.storage",
    "tests/drafting/test_first_codebook.py": "drafting.toml_text drafting.variables",
    "tests/codebook/test_missing_labels.py": "codebook.missing_words",
    "tests/survey/test_survey.py": "survey.assembly survey.codebook_match survey.domains survey.reading survey.reasons survey.recoding",
    "tests/survey/test_writers.py": "files.outfile",
    "tests/whole/test_cli.py": "__main__",
}
COVERED_BY = {module: path for path, modules in COVERED.items() for module in modules.split()}


def _name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


SOURCES = {_name(path): path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(text) for name, text in SOURCES.items()}


def _in_fresh_interpreter(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_import_is_quick() -> None:
    code = "import time; start = time.perf_counter(); import surveysim; print(time.perf_counter() - start)"
    seconds = [float(_in_fresh_interpreter(code)) for _ in range(5)]
    assert min(seconds) < IMPORT_SECONDS, seconds


def test_the_import_is_light_and_silent() -> None:
    code = f"import surveysim, sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    assert _in_fresh_interpreter(code) == "[]"


def test_nothing_below_models_and_figures_loads_them_or_statistics() -> None:
    """Who reads, weights and tabulates waits for none of them; scipy and its like come when a function needs them."""
    low = [dotted(name) for name in SOURCES if storey(name) < storey("lm.loading") and not name.startswith("lm")]
    code = f"import sys, importlib\nfor name in {low!r}: importlib.import_module(name)\nprint([n for n in {HEAVY!r} if n in sys.modules])"
    assert _in_fresh_interpreter(code) == "[]"


def test_simulating_classically_loads_no_model() -> None:
    code = f"import sys, surveysim.simulation.in_memory\nprint([name for name in {MODELS_AND_FIGURES!r} if name in sys.modules])"
    assert _in_fresh_interpreter(code) == "[]"


RULES = (
    rooms.strangers,
    rooms.crowded_rooms,
    rooms.busy_door_plates,
    rooms.upward_imports,
    rooms.circles,
    rooms.misplaced_packages,
    rooms.long_signatures,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_the_rules_of_its_rooms(rule: Callable[[rooms.Sources], list[str]]) -> None:
    found = rule(SOURCES)
    assert not found, "\n".join(found)


def test_tests_mirror_the_package_path_for_path() -> None:
    tests = {path.relative_to(PROJECT).as_posix() for path in (PROJECT / "tests").rglob("test_*.py")}
    found = rooms.unmirrored(SOURCES, tests, COVERED_BY)
    assert not found, "\n".join(found)


def test_public_names_are_those_of_the_list() -> None:
    """A move changes nothing for users; a new name, or one that goes, is a decision that the list shows."""
    listed, named = PUBLIC_NAMES.read_text(encoding="utf-8").split(), set(ss.__all__)
    assert listed == sorted(listed), f"{PUBLIC_NAMES.name}: its names stand in alphabetical order; sort them"
    remedy = (
        "surveysim/__init__.py and tests/whole/public_names.txt name the same names: add or take out the line, and say so in CHANGELOG.md"
    )
    assert set(listed) == named, f"{remedy}; new {sorted(named - set(listed))}, gone {sorted(set(listed) - named)}"


def test_the_language_model_knows_no_figures_and_figures_no_language_model() -> None:
    crossing = [
        (name, other)
        for name in SOURCES
        for other in imports(name, SOURCES)
        if {name.split(".")[0], other.split(".")[0]} == {"figures", "lm"}
    ]
    assert crossing == []


def test_no_public_name_is_that_of_a_module() -> None:
    """`surveysim.simulate` would be the module, once it was imported, if there were a simulate.py."""
    modules = {name.split(".")[0] for name in SOURCES}
    assert set(ss.__all__) & modules == set()


def test_every_public_name_is_there_and_listed() -> None:
    assert set(ss.__all__) == set(dir(ss))
    assert len(ss.__all__) == len(set(ss.__all__))
    for name in ss.__all__:
        assert getattr(ss, name) is not None
    with pytest.raises(AttributeError, match="module 'surveysim' has no attribute 'simulat'"):
        _ = ss.simulat


@pytest.mark.parametrize("name", SOURCES)
def test_a_module_can_be_read_in_one_sitting(name: str) -> None:
    assert len(SOURCES[name].splitlines()) <= LONGEST_MODULE, f"split {name}"
    assert ast.get_docstring(TREES[name]), f"say in a docstring what {name} is"
    long = {node.name: _body_lines(node) for node in ast.walk(TREES[name]) if isinstance(node, ast.FunctionDef)}
    assert {function: lines for function, lines in long.items() if lines > LONGEST_FUNCTION} == {}


def _body_lines(function: ast.FunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return int(body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_no_two_functions_bear_one_name() -> None:
    """Whoever looks for a name finds one thing; the command line's commands may bear the names of the verbs that they call."""
    homes: dict[str, set[str]] = {}
    for module, tree in TREES.items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and module != "cli" and node.name != "main":
                homes.setdefault(node.name, set()).add(module)
    shared = {name: sorted(modules) for name, modules in homes.items() if len(modules) > 1}
    assert not shared, f"{shared}: let one module import the other's, or give the function that does another thing another name"


def test_no_example_is_skipped() -> None:
    assert [name for name, text in SOURCES.items() if "doctest: +SKIP" in text] == []


def _examples(tree: ast.Module) -> list[str]:
    holders = [node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
    return [text for text in map(ast.get_docstring, holders) if text and ">>> " in text]


@pytest.mark.parametrize("name", [name for name, tree in TREES.items() if _examples(tree)])
def test_examples_run(name: str, capsys: pytest.CaptureFixture) -> None:
    result = doctest.testmod(import_module(dotted(name)))
    assert result.failed == 0, capsys.readouterr().out
    assert result.attempted > 0
