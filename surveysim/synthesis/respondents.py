"""`simulate_respondents`: whole respondents, whose shares are those of `simulate` and whose answers go together as the sample's do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from surveysim.baselines.prior import PriorLike
from surveysim.codebook.backgrounds import parse_background_id
from surveysim.codebook.codebook import Codebook
from surveysim.codebook.toml_file import CodebookLike, load_codebook
from surveysim.errors import warn_user
from surveysim.simulation.in_memory import simulate
from surveysim.simulation.request import require_survey
from surveysim.survey.assembly import marked_as_made
from surveysim.survey.domains import asked_questions
from surveysim.survey.survey import Survey
from surveysim.synthesis.learnt_sample import Population, check_requested, learnt_sample, population_cells, traits_of_population
from surveysim.synthesis.nearest_rows import beyond_chance, in_words, nearest_respondents
from surveysim.synthesis.respondents_card import about_respondents
from surveysim.synthesis.rows import Rows, Source, source_of
from surveysim.tables.draws import FEWEST_DRAWS
from surveysim.tables.schema import BACKGROUND, RESPONDENT_ID, SOURCE, WEIGHT

if TYPE_CHECKING:
    from narwhals.typing import IntoFrame

    from surveysim.lm.option_model import OptionModel

SYNTHESIS = "synthesis"
REMEDY = (
    "shares of small cells or of method 'raw' do that: take fewer traits, min_n= or another method, and keep the rows as you keep the data"
)


def simulate_respondents(
    df: Survey | IntoFrame,
    population: Population,
    *,
    questions: str | Sequence[str] | None = None,
    n: int = 1000,
    m: int = 1,
    by: str | Sequence[str] | None = None,
    method: str = "dsa",
    model: OptionModel | None = None,
    codebook: CodebookLike | None = None,
    weight: str | None = None,
    group_predictors: pd.DataFrame | None = None,
    prior: PriorLike | None = None,
    min_n: int = 0,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Simulate whole respondents of a population: shares of `simulate`, and answers that go together as the sample's do.

    Each background has the shares of `simulate`, by any method. Within backgrounds the answers of one respondent depend on each other by
    a Gaussian copula: latent normal scores, cut at the background's own shares, whose polychoric correlations are learnt from the
    sample's respondents with their weights and shrunk towards a low-rank correlation. A nominal question has a latent contrast an option.
    Rows are weighted so that the shares hold, and all of them together hold to rounding error.

    Not for individual prediction, nor for effects of a treatment that the sample does not identify: a row is no person, and an
    association is what the sample has, or the model of the shares assumes.

    Parameters
    ----------
    df : Survey or DataFrame
        The respondents to learn from, as of `simulate`.
    population : DataFrame, Survey, margins or names of traits
        Whom to simulate: a table with a column per trait and `count` or `population_share`, as of `read_population`; a survey; margins,
        raked to with the structure of `df`; or names of traits: then the weighted backgrounds of `df` itself.
    questions : str or sequence of str, optional
        Default: all of the survey.
    n : int
        Rows of a synthesis; at least one for each background that has people.
    m : int
        Syntheses. With 2 or more, each has the shares of another posterior draw, those of ordered questions drawn together as the same
        people answered them, and correlations drawn anew, so that `combine_syntheses` can tell how uncertain an estimate is; for methods
        with draws, as of `simulate`.
    by : str or sequence of str, optional
        Traits of the backgrounds. Default: all of the population's.
    method, model, codebook, weight, group_predictors, prior, progress
        As of `simulate`.
    min_n : int
        Fewest respondents of a cell to learn from: if one has fewer, nothing is simulated. 0: any, with the smallest named in the facts.
    seed : int
        The same seed, data and model give the same rows.

    Returns
    -------
    DataFrame
        A row per simulated respondent: `respondent_id`, `synthesis` (from 1), `source` (``"simulated (mrp)"``), `weight` (sums to `n` in a
        synthesis), `background_id`, the traits, and an option code per question; ``as_survey(rows, codebook, questions=..., traits=...)``
        makes a survey of it. ``attrs["facts"]``, which `show` displays, says which backgrounds hold their shares exactly, which options
        have no row, how the dependence was learnt, and how near rows come to sampled respondents.

    Raises
    ------
    SurveySimError
        If `n`, `m` or `min_n` is out of range, `n` is below the number of backgrounds, or as of `simulate`.
    BackgroundError
        If the population lacks a trait, or a trait or level is unknown.
    EstimationError
        If fewer than 50 respondents have two answers, a question has one answer, a cell has fewer than `min_n` respondents, or the
        method has no draws and `m` is above 1.
    TableError
        If numbers of the population are missing, or totals of its margins disagree.
    DesignError
        If margins contradict one another otherwise.

    Warns
    -----
    UserWarning
        If rows come nearer to sampled respondents than others do.

    References
    ----------
    Raghunathan, Reiter and Rubin (2003), Multiple imputation for statistical disclosure limitation, Journal of Official Statistics 19(1),
    1-16. Deming and Stephan (1940), doi:10.1214/aoms/1177731829.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> rows = ss.simulate_respondents(survey, ["gender", "age3"], questions=["Q8_8", "Q8_9"], n=600, method="mrp")
    >>> len(rows), rows.source.iloc[0], round(float(rows.weight.sum()), 6)
    (600, 'simulated (mrp)', 600.0)
    >>> rows.attrs["facts"]["shares"]
    'those of simulate, exactly in all 6 backgrounds'
    """
    check_requested(n, m, min_n)
    survey, traits = _survey_and_traits(df, population, by, codebook, weight, questions)
    people = population_cells(population, survey, traits)
    asked = asked_questions(survey, questions)
    sample = learnt_sample(survey, traits, asked, min_n=min_n)
    grid = list(dict.fromkeys([*people[BACKGROUND], *sample.backgrounds]))
    table = simulate(
        survey,
        pd.DataFrame([parse_background_id(cell) for cell in grid])[traits],
        model=model,
        questions=[question.question_id for question in asked],
        method=method,
        group_predictors=group_predictors,
        prior=prior,
        seed=seed,
        draws=0 if m == 1 else max(m, FEWEST_DRAWS),
        progress=progress,
    )
    source = source_of(survey, asked, sample, people, table, seed)
    made = [source.rows(number, n, drawn=m > 1) for number in range(1, m + 1)]
    return _described(source, made, table, survey.codebook, traits)


def _survey_and_traits(
    df: Survey | IntoFrame,
    population: Population,
    by: str | Sequence[str] | None,
    codebook: CodebookLike | None,
    weight: str | None,
    questions: str | Sequence[str] | None,
) -> tuple[Survey, list[str]]:
    if isinstance(df, Survey) or codebook is None:
        survey = require_survey(df, codebook, weight)
        return survey, traits_of_population(population, survey.codebook, by)
    book = load_codebook(codebook)
    traits = traits_of_population(population, book, by)
    return require_survey(df, book, weight, questions=questions, backgrounds=traits), traits


def _described(source: Source, made: list[Rows], table: pd.DataFrame, book: Codebook, traits: list[str]) -> pd.DataFrame:
    """Return the syntheses as one frame, with what is to be said of it."""
    said = f"simulated ({table.attrs['method']})"
    frame = pd.concat([_frame(source, rows, book, traits, said) for rows in made], ignore_index=True)
    near = _nearest(source, made[0])
    frame.attrs.update(
        table.attrs,
        smallest_cell=source.sample.smallest_cell,
        nearest_respondents=near,
        **about_respondents(source, made, in_words(near)),
    )
    if beyond_chance(near):
        warn_user(f"simulated rows against sampled respondents: {in_words(near)}; {REMEDY}")
    return frame


def _frame(source: Source, rows: Rows, book: Codebook, traits: list[str], said: str) -> pd.DataFrame:
    """Return one synthesis as a frame of respondents; a weight of a question's own is the rows' weight."""
    people = source.people.iloc[rows.cell].reset_index(drop=True)
    data: dict[str, object] = {
        RESPONDENT_ID: [f"simulated-{rows.number}-{place}" for place in range(1, len(rows.cell) + 1)],
        SYNTHESIS: rows.number,
        SOURCE: said,
        WEIGHT: rows.weighted.weights,
        BACKGROUND: people[BACKGROUND],
    }
    data |= {question.weight: rows.weighted.weights for question in source.questions if question.weight}
    data |= {name: pd.Categorical(people[name], categories=book.trait(name).level_names, ordered=True) for name in traits}
    data |= {
        question.question_id: pd.Series(list(question.codes))[own].to_numpy()
        for question, own in zip(source.questions, rows.answers.T, strict=True)
    }
    return marked_as_made(pd.DataFrame(data))


def _nearest(source: Source, rows: Rows) -> dict[str, Any]:
    place = {cell: position for position, cell in enumerate(source.people[BACKGROUND])}
    cell = np.array([place.get(name, -1) for name in source.sample.backgrounds])[source.sample.cell]
    options = source.cells.mask.sum(1)
    generator = np.random.default_rng([source.seed, 0, 1])
    return nearest_respondents(
        rows.answers, rows.cell, source.sample.answers, cell, nominal=source.nominal, options=options, generator=generator
    )
