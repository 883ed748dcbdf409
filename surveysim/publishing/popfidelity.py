"""The package `popfidelity`: cells in its long format, and its score of simulated cells against a survey's."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from surveysim.codebook.backgrounds import parse_background_id
from surveysim.codebook.codebook import Codebook, ordinal_questions
from surveysim.codebook.toml_file import CodebookLike, codebook_if_any, load_codebook
from surveysim.errors import EvaluationError, TableError, first_few
from surveysim.publishing.cell_rule import DOMINANCE
from surveysim.publishing.exports import protected, write_facts, write_for_programs
from surveysim.tables.cells import Cells, to_cells
from surveysim.tables.schema import BACKGROUND, CELL, MIN_N, OPTION, ORDER, QUESTION, SHARE, SOURCE, N, check_distributions
from surveysim.whole_files import checked_target, write_whole

LONG_COLUMNS = ["cell_id", "question", "option", "share", "n", "source"]
SCORES = {"score_accuracy": "accuracy", "score_adaptability": "adaptability", "score_structure": "structure", "pfs": "pfs"}
FEWEST_CELLS = 3  # below them there is no correlation of distances between cells


def export_popfidelity(
    distributions: pd.DataFrame,
    path: str | Path,
    *,
    codebook: CodebookLike | None = None,
    min_n: int = MIN_N,
    how: str = "suppress",
    min_count: int = 0,
    min_n_eff: float | None = None,
    dominance: float = DOMINANCE,
    model_based: str | Sequence[str] = (),
    published: pd.DataFrame | None = None,
) -> Path:
    """Write cells in the long format of the package `popfidelity`: `cell_id question option share n source`, a row per option.

    Its ``read_cells(path, source="survey")`` reads them. With a codebook options bear their labels, and two files stand beside,
    as its ``read_questions`` and ``read_facets`` take them: ``<stem>_questions.yaml`` (wording and options in order) and
    ``<stem>_facets.yaml`` (the traits, read off the cell ids).

    Texts stand as they are, also those that a spreadsheet would take for a formula, since `popfidelity` compares the options of one
    file with those of the other; a warning names them. For a spreadsheet use `export_table`.

    Parameters
    ----------
    distributions : DataFrame
        A distributions table with `n`; several sources may stand in it. Cells without shares, withheld ones among them, are
        left out, since the format has no missing shares; ``<file>.json`` counts them.
    path : str or Path
        Ends in .csv. The files appear when they are complete.
    codebook : str, Path, Codebook or Survey, optional
    min_n, how, min_count, min_n_eff, dominance, model_based, published
        As of `protect`; ``min_n=0``: nothing is withheld.

    Returns
    -------
    Path

    Raises
    ------
    ReadError
        If the extension is not .csv or the folder does not exist.
    TableError
        As of `protect`; or if no cell is left.
    CodebookError
        If the codebook lacks a question.

    References
    ----------
    da Silva et al. (2026), arXiv:2609.36253 (the Population Fidelity Score).

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pandas as pd, surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> shares = ss.response_distributions(survey, by=["gender"], questions=["Q8_8"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     long = pd.read_csv(ss.export_popfidelity(shares, Path(folder) / "cells.csv", codebook=survey.codebook))
    >>> long.columns.tolist(), long.option[0]
    (['cell_id', 'question', 'option', 'share', 'n', 'source'], 'A lot')
    """
    target = checked_target(path, (".csv",))
    check_distributions(distributions)
    weights: dict[str, Any] = {"min_n_eff": min_n_eff, "dominance": dominance}
    shown = protected(distributions, min_n=min_n, how=how, min_count=min_count, **weights, model_based=model_based, published=published)
    kept = shown[shown[SHARE].notna()]
    if kept.empty:
        raise TableError(f"no cell of distributions is left to export: all have fewer than {min_n} respondents, or no shares")
    codebook = codebook_if_any(codebook)
    write_for_programs(target, _long(kept, codebook), "popfidelity")
    cells = [*CELL, SOURCE]
    left_out = len(shown[cells].drop_duplicates()) - len(kept[cells].drop_duplicates())
    write_facts(target, {**shown.attrs, "cells_left_out": left_out})
    if codebook is not None:
        _write_yaml(target, "questions", _questions(codebook, kept[QUESTION].unique()))
        _write_yaml(target, "facets", _facets(codebook, kept[BACKGROUND].unique()))
    return target


def _long(table: pd.DataFrame, codebook: Codebook | None) -> pd.DataFrame:
    ordered = table.assign(_place=pd.factorize(table[QUESTION])[0]).sort_values(["_place", ORDER], kind="stable")
    options = ordered[OPTION].astype(str)
    if codebook is not None:
        labels = {(name, str(option.code)): option.label for name in table[QUESTION].unique() for option in codebook.question(name).options}
        options = pd.Series([labels.get(pair, pair[1]) for pair in zip(ordered[QUESTION], options, strict=True)], index=ordered.index)
    columns = {"cell_id": ordered[BACKGROUND], "question": ordered[QUESTION], "option": options}
    return pd.DataFrame({**columns, "share": ordered[SHARE], "n": ordered[N], "source": ordered[SOURCE]})[LONG_COLUMNS]


def _questions(codebook: Codebook, names: Sequence[str]) -> dict[str, Any]:
    found = [codebook.question(name) for name in names]
    entries = [
        {
            "id": question.question_id,
            "text": question.text,
            "ordinal": question.type == "ordinal",
            "options": [option.label for option in question.options],
        }
        for question in found
    ]
    return {"schema_version": 1, "questions": entries}


def _facets(codebook: Codebook, backgrounds: Sequence[str]) -> dict[str, Any]:
    """Return the traits and a pattern that reads them off a background_id."""
    traits = sorted(parse_background_id(backgrounds[0]))
    pattern = r"\|".join(f"{re.escape(name)}=(?P<{name}>[^|]+)" for name in traits)
    families = [{"name": name, "levels": list(codebook.trait(name).level_names)} for name in traits]
    return {"schema_version": 1, "families": families, "labels": {"pattern": f"^{pattern}$"}}


def _write_yaml(target: Path, what: str, content: dict[str, Any]) -> None:
    """Write a YAML file as JSON, which is YAML as well."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    write_whole(target.with_name(f"{target.stem}_{what}.yaml"), lambda place: place.write_text(text, encoding="utf-8"))


def population_fidelity(estimated: pd.DataFrame, reference: pd.DataFrame, *, codebook: CodebookLike) -> pd.DataFrame:
    """Score simulated cells by the Population Fidelity Score of the package `popfidelity`, question by question.

    The score is the geometric mean of three, each 0-1: accuracy, one minus the mean normalised earth mover's distance of cells;
    adaptability, whether the simulated cells differ from one another as much as the survey's (ratio of median distances, or
    its inverse); structure, whether the same cells differ (rank correlation of distances between cells, at least 0). It needs
    an order of the options, so nominal questions have no score. Sampling error is not taken out: noise makes a survey's own
    cells differ, so that a perfect simulation of small cells scores below 1 (`noise_floor`, `diagnose`).

    Parameters
    ----------
    estimated, reference : DataFrame
        Distributions tables of the same cells; `reference` of one source, `estimated` of one or more.
    codebook : str, Path, Codebook or Survey
        Says which questions are ordered.

    Returns
    -------
    DataFrame
        A row per question and source: `question_id source n_cells accuracy adaptability structure pfs binding` (the lowest of the
        three). Missing where it is not defined, as with fewer than three cells. `attrs["popfidelity"]` is the package's version.

    Raises
    ------
    EvaluationError
        If the package is not installed, no question is ordered, or the tables have other cells or options (listed).
    TableError
        If a table breaks its contract.

    References
    ----------
    da Silva et al. (2026), arXiv:2609.36253.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> small, rest = ss.hold_out_respondents(survey, n_train=400, seed=2020)
    >>> by = ["gender", "age3", "education"]
    >>> truth = ss.response_distributions(rest, by=by, questions=["Q8_8"])
    >>> simulated = ss.simulate(small, by, questions=["Q8_8"], method="mrp")
    >>> scores = ss.population_fidelity(simulated, truth, codebook=survey.codebook)
    >>> scores[["question_id", "source", "n_cells"]].values.tolist()
    [['Q8_8', 'mrp', 18]]
    """
    package = _package()
    check_distributions(estimated, "estimated")
    codebook = load_codebook(codebook)
    check_distributions(reference, "reference")
    ordered = ordinal_questions(codebook, None)
    wanted = [name for name in reference[QUESTION].unique() if name in ordered and name in set(estimated[QUESTION])]
    if not wanted:
        raise EvaluationError(f"no question of both tables is ordered; reference has {first_few(reference[QUESTION].unique())}")
    rows = []
    for name in wanted:
        truth = to_cells(reference[reference[QUESTION] == name], what="reference")
        for source, table in estimated[estimated[QUESTION] == name].groupby(SOURCE, sort=False):
            rows.append({QUESTION: name, SOURCE: source, **_scored(package, to_cells(table, what="estimated"), truth, name)})
    scores = pd.DataFrame(rows)
    scores.attrs["popfidelity"] = package.__version__
    return scores


def _package() -> Any:
    try:
        import popfidelity
    except ImportError as error:
        raise EvaluationError(
            "population_fidelity needs the package popfidelity: pip install popfidelity (export_popfidelity writes its format without it)"
        ) from error
    return popfidelity


def _scored(package: Any, ours: Cells, truth: Cells, name: str) -> dict[str, object]:
    """Return a question's scores in the cells where the reference has respondents."""
    told = [cell for cell, total in zip(truth.backgrounds, truth.shares[0].sum(-1), strict=True) if total > 0]
    given = [cell for cell, total in zip(ours.backgrounds, ours.shares[0].sum(-1), strict=True) if total > 0]
    lacking, strange = sorted(set(told) - set(given)), sorted(set(given) - set(truth.backgrounds))
    if lacking or strange or ours.codes != truth.codes:
        raise EvaluationError(
            f"question {name!r}: estimated lacks {first_few(lacking) or 'no cell'}, reference lacks {first_few(strange) or 'no cell'}; "
            f"options {list(ours.codes[0])} and {list(truth.codes[0])}: give both tables the same cells and options"
        )
    made = [_as_theirs(package, cells, told, name) for cells in (truth, ours)]
    if len(told) < FEWEST_CELLS:
        return {"n_cells": len(told), **dict.fromkeys((*SCORES.values(), "binding"), None)}
    found = package.score(*made)
    return {"n_cells": found["n_cells"], **{short: found[long] for long, short in SCORES.items()}, "binding": found["binding_component"]}


def _as_theirs(package: Any, cells: Cells, backgrounds: Sequence[str], name: str) -> Any:
    place = [cells.backgrounds.index(cell) for cell in backgrounds]
    shares, counts = cells.shares[0][place], cells.n[0][place].astype(np.float64)
    return package.Cells(tuple(backgrounds), tuple(str(code) for code in cells.codes[0]), shares, counts, name)
