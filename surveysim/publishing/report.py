"""`report`: a result's methods appendix as one HTML file: what it was made of, how well it does, and what is not known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from surveysim.codebook.codebook import Codebook
from surveysim.codebook.toml_file import CodebookLike, list_codebooks, load_codebook
from surveysim.errors import TableError, first_few
from surveysim.figures.distributions import plot_distributions
from surveysim.figures.scorecard import Scorecard
from surveysim.figures.style import embedded
from surveysim.html import Section, disclosed_facts, page, paragraph, preformatted
from surveysim.publishing import report_sections as sections
from surveysim.publishing.cell_rule import DOMINANCE
from surveysim.publishing.citation import cite
from surveysim.publishing.exports import protected
from surveysim.survey.survey import Survey
from surveysim.tables.facts import status
from surveysim.tables.schema import MIN_N, QUESTION, SOURCE, check_distributions, require_scalars
from surveysim.whole_files import write_whole

MOST_BACKGROUNDS = 40  # in the figure


def report(
    result: pd.DataFrame,
    path: str | Path = "methods.html",
    *,
    survey: CodebookLike | None = None,
    scores: pd.DataFrame | None = None,
    floor: pd.DataFrame | None = None,
    scorecard: Scorecard | None = None,
    question: str | None = None,
    title: str = "",
    min_n: int = MIN_N,
    how: str = "suppress",
    min_count: int = 0,
    min_n_eff: float | None = None,
    dominance: float = DOMINANCE,
    model_based: str | Sequence[str] = (),
    published: pd.DataFrame | None = None,
) -> Path:
    """Write a methods appendix of a result as one HTML file that loads nothing from elsewhere.

    It states data, weight, denominator, design, n and effective n, wording, missing answers, method, model with its hash, prompt,
    stages and losses, seed, scores with noise floor and baselines, intervals, what was withheld, limitations and citations, and
    lists the elements of disclosure of AAPOR's code with the place of each. A fact that is not known is named as not stated.
    Small cells are withheld from table and figure as by `export_table`, before anything is written.

    Parameters
    ----------
    result : DataFrame
        A distributions table, simulated or of a survey; its ``attrs`` hold the facts.
    path : str or Path
        Of the .html file, which appears when it is complete.
    survey : Survey, Codebook, str or Path, optional
        What the result was made from. Default: the codebook that the result names, if it ships; missing answers need the survey.
    scores : DataFrame, optional
        Of `evaluate` or `compare_methods`, baselines included.
    floor : DataFrame, optional
        Of `noise_floor`; `compare_methods` brings its own.
    scorecard : Scorecard, optional
        What `scorecard` found of the result: figure and tables, with its opponents and nulls.
    question : str, optional
        The question drawn; default the result's first.
    title : str, optional
    min_n, how, min_count, min_n_eff, dominance, model_based, published
        As of `protect`. ``min_n=0``: nothing is withheld, and the report says so.

    Returns
    -------
    Path

    Raises
    ------
    TableError
        If `result` is no distributions table or has no rows, `question` is not in it, `scorecard` is none, or of other sources, or the name
        does not end in .html; as of `protect`; or if `result` has no `n` and `min_n` is not 0.
    ReadError
        If the folder does not exist.

    References
    ----------
    AAPOR Code of Professional Ethics and Practices (revised April 2021), section III.A,
    https://aapor.org/standards-and-ethics/disclosure-standards/.

    Examples
    --------
    >>> import tempfile
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> result = ss.simulate(survey, ["gender"], questions=["Q8_8"], method="mrp")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     "SIMULATED (mrp)" in ss.report(result, f"{folder}/methods.html", survey=survey).read_text(encoding="utf-8")
    True
    """
    check_distributions(result, "result")
    for name in result:
        require_scalars(result[name], f"result: column {name!r}")
    if result.empty:
        raise TableError("result has no rows; give a table of simulate() or response_distributions()")
    target = Path(path)
    if target.suffix.lower() != ".html":
        raise TableError(f"path={str(target)!r}: the report is an HTML file; end its name in .html")
    weights: dict[str, Any] = {"min_n_eff": min_n_eff, "dominance": dominance}
    result = protected(result, min_n=min_n, how=how, min_count=min_count, **weights, model_based=model_based, published=published)
    _require_scorecard(scorecard, result)
    book = _codebook(result, survey)
    people = survey if isinstance(survey, Survey) else None
    parts = [
        sections.data_section(book, people, result),
        sections.weight_section(book, people, result),
        sections.question_section(book, people, result),
        sections.model_section(result),
        sections.result_section(result, _figure(result, book, question)),
        sections.uncertainty_section(result),
        sections.score_section(scores, floor, scorecard),
        sections.limits_section(result),
        sections.disclosure_section(),
        _citations(result, book),
        _made(),
    ]
    named = title or f"Methods: {book.title if book else result.attrs.get('survey') or 'survey not stated'}"
    text = page(named, status(result), parts)
    return write_whole(target, lambda place: place.write_text(text, encoding="utf-8"))


def _require_scorecard(card: Scorecard | None, result: pd.DataFrame) -> None:
    """Refuse what is no scorecard, and one that judges another result."""
    if card is None:
        return
    if not isinstance(card, Scorecard):
        raise TableError(
            f"scorecard must be what scorecard() returns; got {type(card).__name__}; give scorecard=ss.scorecard(result, truth)"
        )
    judged, told = dict.fromkeys(card.table[SOURCE]), dict.fromkeys(result[SOURCE])
    if not set(judged) & set(told):
        raise TableError(
            f"scorecard judges {first_few(judged)}, and none is a source of the result, {first_few(told)}; give this result's own: "
            "ss.scorecard(result, truth)"
        )


def _codebook(result: pd.DataFrame, survey: CodebookLike | None) -> Codebook | None:
    if survey is not None:
        return load_codebook(survey)
    name = str(result.attrs.get("survey") or "")
    return load_codebook(name) if name in list_codebooks() else None


def _figure(result: pd.DataFrame, book: Codebook | None, question: str | None) -> str:
    """Draw one question by background; without a codebook, or with more backgrounds than a page holds, say why there is none."""
    chosen = question or str(result[QUESTION].iloc[0])
    rows = result[result[QUESTION] == chosen]
    if rows.empty:
        raise TableError(f"question {chosen!r} is not in the result")
    backgrounds = list(dict.fromkeys(rows["background_id"]))[:MOST_BACKGROUNDS]
    if book is None or not rows["share"].notna().any():
        return paragraph("No figure: there is no codebook to name the options, or no share to draw.", missing=True)
    drawn = plot_distributions(result, question=chosen, codebook=book, backgrounds=backgrounds)
    shares = "Simulated shares" if result.attrs.get("simulated") else "Shares"
    return embedded(drawn, f"{shares} of question {chosen} in {len(backgrounds)} backgrounds, with 95% intervals where there are any")


def _citations(result: pd.DataFrame, book: Codebook | None) -> Section:
    unshipped = {**result.attrs, "survey": None}
    bare = result.iloc[:0].copy()
    bare.attrs = unshipped
    return Section("citing", "Citing", preformatted(cite(bare, *([book] if book else []))))


def _made() -> Section:
    made = {"software": f"surveysim {version('surveysim-dsa')}", "written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"}
    return Section("made", "How this report was made", disclosed_facts(made))
