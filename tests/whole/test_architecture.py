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

# A module may import modules of its own room and of the rooms before it in this list; inside `lm` the groups stand in order too.
FOUNDATION = ("errors", "html", "whole_files")
ROOMS = (
    "tables", "codebook", "files", "design", "survey", "estimation", "baselines", "inference", "lm", "simulation", "evaluation", "figures",
    "publishing",
)  # fmt: skip
LM_GROUPS = ("prompts", "base", "trunk", "fit")
TOP = ("__init__", "demo", "cli", "__main__")


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
    low = [_dotted(name) for name in SOURCES if _storey(name) < _storey("lm.loading") and not name.startswith("lm")]
    code = f"import sys, importlib\nfor name in {low!r}: importlib.import_module(name)\nprint([n for n in {HEAVY!r} if n in sys.modules])"
    assert _in_fresh_interpreter(code) == "[]"


def test_simulating_classically_loads_no_model() -> None:
    code = f"import sys, surveysim.simulation.in_memory\nprint([name for name in {MODELS_AND_FIGURES!r} if name in sys.modules])"
    assert _in_fresh_interpreter(code) == "[]"


def _storey(name: str) -> tuple[int, int]:
    """Return how high a module stands: the place of its room, and inside `lm` that of its group; its own modules stand on all groups."""
    room, *rest = name.split(".")
    place = (*FOUNDATION, *ROOMS, *TOP).index(room)
    group = LM_GROUPS.index(rest[0]) if room == "lm" and rest[0] in LM_GROUPS else len(LM_GROUPS)
    return (max(place, len(FOUNDATION) - 1), group)


def test_every_module_stands_in_a_room() -> None:
    strange = sorted(name for name in SOURCES if name.split(".")[0] not in {*FOUNDATION, *ROOMS, *TOP})
    assert not strange, (
        f"{strange} stand in no room; move them into one of {', '.join(ROOMS)} (docs/architecture.md says what belongs where)"
    )


@pytest.mark.parametrize("name", SOURCES)
def test_imports_point_one_way(name: str) -> None:
    upwards = sorted(module for module in _imports(name) if _storey(module) > _storey(name))
    assert not upwards, (
        f"{name} imports {upwards}, which stand above it; rooms import those before them ({' < '.join(ROOMS)}): "
        "move the definition down to the room that both may import"
    )


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
    result = doctest.testmod(import_module(_dotted(name)))
    assert result.failed == 0, capsys.readouterr().out
    assert result.attempted > 0
