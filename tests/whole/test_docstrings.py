"""What the reference says of every public name: an example that runs, arguments, results, errors, and where a method comes from."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
from importlib import import_module
from itertools import pairwise
from typing import Any

import pytest

import surveysim as ss

PUBLIC = [name for name in ss.__all__ if name != "__version__"]
FUNCTIONS = [name for name in PUBLIC if inspect.isfunction(getattr(ss, name))]
TABLES = [name for name in PUBLIC if isinstance(getattr(ss, name), dict | tuple)]
REFERENCE = re.compile(r"doi:10\.\d{4,9}/\S+|arXiv:\d{4}\.\d{5}|\((?:19|20)\d\d\)|https://")

# Public names without a reference: they read, write, list or hold, and compute nothing that others have published.
WITHOUT_REFERENCE = """
    BASELINES Codebook LOSSES METRICS Option Question Survey SurveySimError Trait
    add_question as_survey background_grid draft_codebook list_codebooks list_examples list_official list_populations
    load_codebook population_margins read_official read_population read_survey read_table show split_background stack
    weights_applied write_survey write_table
"""


def _text(name: str) -> str:
    """Return the docstring of a public name; of a table of functions, the string that follows it."""
    if name not in TABLES:
        return inspect.getdoc(getattr(ss, name)) or ""
    body = ast.parse(inspect.getsource(import_module(f"surveysim.{ss._HOME[name]}"))).body
    return next(_string(after) for before, after in pairwise(body) if name in _assigned(before))


def _assigned(node: ast.stmt) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _string(node: ast.stmt) -> str:
    return inspect.cleandoc(str(node.value.value)) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) else ""


def _sections(name: str) -> dict[str, str]:
    """Return the numpydoc sections of a docstring by their title."""
    parts = re.split(r"^([A-Z][a-z]+)\n-{4,}$", _text(name), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_public_names_are_functions_classes_and_tables() -> None:
    classes = {name for name in PUBLIC if inspect.isclass(getattr(ss, name))}
    assert set(PUBLIC) == {*FUNCTIONS, *classes, *TABLES}


@pytest.mark.parametrize("name", PUBLIC)
def test_it_shows_its_use(name: str) -> None:
    assert ">>> " in _sections(name).get("Examples", ""), f"{name} needs an example that runs"


@pytest.mark.parametrize("name", TABLES)
def test_the_example_of_a_table_runs(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Doctest itself reads no docstring of a variable; those of functions and classes run in test_architecture."""
    test = doctest.DocTestParser().get_doctest(_text(name), {}, name, None, None)
    result: Any = doctest.DocTestRunner().run(test)
    assert (result.failed, result.attempted > 0) == (0, True), capsys.readouterr().out


@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_names_arguments_results_and_errors(name: str) -> None:
    function, sections = getattr(ss, name), _sections(name)
    arguments = [f"*{key}" if value.kind is value.VAR_POSITIONAL else key for key, value in inspect.signature(function).parameters.items()]
    heads = re.findall(r"^(\S.*?)(?: : .*)?$", sections.get("Parameters", ""), flags=re.MULTILINE)
    described = [argument for head in heads for argument in head.split(", ")]
    assert sorted(described) == sorted(arguments)
    assert "Returns" in sections
    raised = re.findall(r"^(\S.*)$", sections.get("Raises", ""), flags=re.MULTILINE)
    errors = {error for line in raised for error in line.split(", ")}
    assert errors <= {one.__name__ for one in (ss.SurveySimError, *ss.SurveySimError.__subclasses__())}
    assert "raise " not in inspect.getsource(function) or errors, f"{name} raises, and does not say what"


@pytest.mark.parametrize("name", PUBLIC)
def test_it_says_where_its_method_comes_from(name: str) -> None:
    found = _sections(name).get("References", "")
    if name in WITHOUT_REFERENCE.split():
        assert not found, f"{name} has a reference now: take it out of WITHOUT_REFERENCE"
    else:
        assert REFERENCE.search(found), f"{name} needs a reference: authors, year, and DOI where there is one"


def test_the_list_of_names_without_a_reference_holds_public_names_only() -> None:
    assert set(PUBLIC) >= set(WITHOUT_REFERENCE.split())
