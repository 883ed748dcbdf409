"""The package as a whole: light to import, layered, readable in pieces, and shown by examples that run."""

from __future__ import annotations

import ast
import doctest
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

import surveysim as ss

PACKAGE = Path(ss.__file__).parent
LONGEST_MODULE, LONGEST_FUNCTION = 350, 40  # lines; of a function without its signature and docstring
IMPORT_SECONDS = 0.5
MODELS_AND_FIGURES = ("torch", "transformers", "peft", "accelerate", "matplotlib", "seaborn")
HEAVY = (*MODELS_AND_FIGURES, "scipy", "statsmodels", "pyreadstat", "sklearn", "pyarrow.parquet")

# A module may import modules of its own layer and of the layers above it in this list (a new module goes where it fits).
LAYERS: dict[str, str] = {
    "errors": "errors",
    "contracts": """
        tables.schema codebook.questions rendering tables.intervals tables.weighting_record tables.facts tables.table_view
        tables.training_record whole_files tables.storage tables.shipped""",
    "codebook, metrics, design": """
        codebook.codebook codebook.toml_file lm.prompts.words evaluation.metrics tables.cells tables.draws design.calibration
        design.replication design.stages design.design design.adjustment design.estimators design.quantiles""",
    "files": """
        files.encodings files.csv_parquet files.spss_portable files.rawfile files.spss_stata survey.reasons files.readers
        survey.recoding survey.codebook_match survey.assembly files.outfile survey.drafting""",
    "survey": "survey.survey survey.missing estimation.replicates publishing.citation",
    "backgrounds, prompts, distributions, weighting": """
        codebook.backgrounds lm.prompts.template simulation.reach survey.domains estimation.distributions estimation.means
        inference.cross_fitting estimation.margins estimation.weighting estimation.population_error estimation.population
        estimation.poststratification survey.writers publishing.suppression publishing.small_cells publishing.disclosure
        publishing.exports publishing.poststratification_frame""",
    "splits, baselines, evaluation, inference, datasets": """
        evaluation.splits evaluation.trials baselines.training_cells baselines.regressions baselines.boosted_trees
        baselines.variance_components baselines.cell_effects baselines.multilevel baselines.methods evaluation.scores
        evaluation.floor publishing.popfidelity evaluation.summaries evaluation.comparison_summary baselines.blind survey.examples
        inference.area_cells inference.fay_herriot inference.small_area inference.conformal inference.abstention
        inference.refitting inference.spread evaluation.official evaluation.official_comparison inference.prediction_cells
        inference.prediction_power""",
    "plotting, lm": """
        figures.scale_colors figures.style figures.layout figures.rows figures.scores figures.savings figures.bars figures.dots
        figures.shifts figures.weights figures.distributions html publishing.report_sections publishing.report lm.base.parallel
        lm.base.devices lm.base.costs file_storage lm.base.memory lm.base.download_bars lm.base.model_files lm.base.backbone
        lm.trunk.trees lm.trunk.tree_attention lm.trunk.trunk lm.fit.readout lm.fit.gradients lm.trunk.activations
        lm.base.base_model lm.adapters tables.history lm.option_model lm.fit.transport lm.fit.targets lm.fit.losses lm.fit.heads
        lm.kernel lm.prediction lm.answers lm.fit.stages lm.fit.shift_fit lm.alignment lm.training lm.unasked lm.loading""",
    "simulation": "simulation.in_memory simulation.sensitivity simulation.to_parquet",
    "comparison": "evaluation.comparison",
    "package": """
        __init__ tables.__init__ codebook.__init__ files.__init__ design.__init__ survey.__init__ estimation.__init__
        baselines.__init__ inference.__init__ lm.__init__ lm.prompts.__init__ lm.base.__init__ lm.trunk.__init__ lm.fit.__init__
        simulation.__init__ evaluation.__init__ figures.__init__ publishing.__init__""",
    "scripts": "demo cli __main__",
}
LAYER = {module: place for place, modules in enumerate(LAYERS.values()) for module in modules.split()}


def _name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


SOURCES = {_name(path): path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(text) for name, text in SOURCES.items()}


def _dotted(name: str) -> str:
    return f"surveysim.{name}".removesuffix(".__init__")


def _imports(name: str) -> set[str]:
    """Return the modules of the package that one imports: at its head, in a function, or for type checking alone."""
    found: set[str] = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively in line {node.lineno}; write the module's whole name"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {module for module in map(_module_of, found) if module and module != name}


def _module_of(imported: str) -> str:
    """Return the module of the package that an imported name lies in; empty where it is none of ours."""
    package, _, rest = imported.partition(".")
    if package != "surveysim":
        return ""
    parts = rest.split(".") if rest else []
    for length in range(len(parts), 0, -1):
        module = ".".join(parts[:length])
        if module in SOURCES:
            return module
    return "__init__"


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
    low = [_dotted(name) for name in SOURCES if LAYER[name] < list(LAYERS).index("plotting, lm")]
    code = f"import sys, importlib\nfor name in {low!r}: importlib.import_module(name)\nprint([n for n in {HEAVY!r} if n in sys.modules])"
    assert _in_fresh_interpreter(code) == "[]"


def test_simulating_classically_loads_no_model() -> None:
    code = f"import sys, surveysim.simulation.in_memory\nprint([name for name in {MODELS_AND_FIGURES!r} if name in sys.modules])"
    assert _in_fresh_interpreter(code) == "[]"


def test_every_module_has_its_layer() -> None:
    unlisted, gone = sorted(set(SOURCES) - set(LAYER)), sorted(set(LAYER) - set(SOURCES))
    assert not unlisted, f"add {unlisted} to LAYERS in tests/test_architecture.py, in the lowest layer that holds all it imports"
    assert not gone, f"remove {gone} from LAYERS in tests/test_architecture.py"
    assert sum(len(modules.split()) for modules in LAYERS.values()) == len(LAYER), "a module stands in two layers"


@pytest.mark.parametrize("name", SOURCES)
def test_imports_point_one_way(name: str) -> None:
    upwards = {module for module in _imports(name) if LAYER.get(module, 0) > LAYER.get(name, len(LAYERS))}
    assert not upwards, f"{name} imports {sorted(upwards)}, of a layer that stands on it"


def test_no_module_imports_another_in_a_circle() -> None:
    try:
        TopologicalSorter({name: _imports(name) for name in SOURCES}).prepare()
    except CycleError as error:
        pytest.fail(f"circle of imports: {' -> '.join(error.args[1])}")


def test_the_language_model_knows_no_figures_and_figures_no_language_model() -> None:
    rooms = ("figures", "lm")
    crossing = [(name, other) for name in SOURCES for other in _imports(name) if {name.split(".")[0], other.split(".")[0]} == set(rooms)]
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


def test_no_example_is_skipped() -> None:
    assert [name for name, text in SOURCES.items() if "doctest: +SKIP" in text] == []


def _examples(tree: ast.Module) -> list[str]:
    holders = [node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
    return [text for text in map(ast.get_docstring, holders) if text and ">>> " in text]


@pytest.mark.parametrize("name", [name for name, tree in TREES.items() if _examples(tree)])
def test_examples_run(name: str, capsys: pytest.CaptureFixture) -> None:
    result = doctest.testmod(import_module(_dotted(name)))
    assert result.failed == 0, capsys.readouterr().out
    assert result.attempted > 0
