"""Prediction-powered estimates: a survey corrects simulated shares, or simulated shares sharpen a survey; either way design-based."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.codebook.codebook import Question
from surveysim.codebook.readable import readable
from surveysim.design.estimators import Members, weighted_ratios
from surveysim.errors import EstimationError, first_few, nearest
from surveysim.estimation.margins import COUNT, Margins
from surveysim.estimation.population import PEOPLE, VARIANCE, table_variance
from surveysim.estimation.poststratification import cell_numbers, joint_table, population_label
from surveysim.inference.cross_fitting import CrossFit
from surveysim.inference.prediction_cells import CellDomains, PredictionCells, cell_domains, prediction_cells
from surveysim.survey.domains import answers_on_a_scale, asked_questions, question_sample
from surveysim.survey.survey import Survey, check_survey
from surveysim.tables.cells import Array
from surveysim.tables.intervals import mean_intervals, share_intervals
from surveysim.tables.schema import (
    BACKGROUND,
    CONF_HIGH,
    CONF_LOW,
    DISTRIBUTION_COLUMNS,
    ESTIMATE,
    ESTIMATE_COLUMNS,
    N_EFF,
    OPTION,
    ORDER,
    QUESTION,
    SHARE,
    SOURCE,
    STD_ERROR,
    N,
)
from surveysim.tables.weighting_record import described

STATISTICS = ("share", "mean", "total")
POWER, DIRECT_ERROR, GAINED = "power", "std_error_direct", "n_eff_gained"
TUNED = "tuned"


def prediction_powered(
    survey: Survey,
    simulated: pd.DataFrame | CrossFit,
    *,
    population: pd.DataFrame | Survey | Margins,
    questions: str | Sequence[str] | None = None,
    by: str | Sequence[str] = (),
    statistic: str = "share",
    power: float | str = TUNED,
    structure: pd.DataFrame | Survey | None = None,
    independent: bool = False,
    lonely_psu: str = "fail",
) -> pd.DataFrame:
    """Estimate shares, means or totals from a survey and simulated cells, valid whatever the simulation's quality.

    With f the simulated value of a respondent's cell, F its mean over the population and l the power,
    ``estimate = mean_w(y) + l (F - mean_w(f))``: the weighted mean, corrected by how far the sample's cells are from the
    population's, in the simulation's terms. Its variance is the design's variance of ``mean_w(y - l f)`` plus ``l^2`` times
    what the population table adds to F's. The power that makes it smallest, ``cov(y, f) / (var(f) + var(F))`` over the design,
    summed over options and cut to 0-1, is the default: a useless simulation gets 0 and the direct estimate remains.

    This is an old friend. With l = 1 it is the difference estimator; with the tuned power it is the regression estimator with
    optimal coefficient (Montanari 1987), and for an unweighted sample that is the generalised regression estimator (GREG)
    with auxiliary variables 1 and f: ``calibrate(survey, means={"f": F})`` gives the same number. Prediction-powered
    inference (PPI++) is the case of a simple random sample; strata, clusters, weights and replicates are added here. What one
    scalar prediction a respondent takes from many auxiliary variables, calibration to all their totals takes one by one; the
    prediction wins where cells are many and the sample is small.

    Assumptions: (1) the weights are right: no assumption on the answers replaces that. (2) No respondent taught the
    simulated value that is held against their answer: pass a `CrossFit`, or say ``independent=True``. (3) Nonresponse to
    the question is ignorable given the weights. (4) The population table counts the people that the weights stand for.

    Parameters
    ----------
    survey : Survey
    simulated : DataFrame or CrossFit
        A distributions table of cells, of one source; or the result of `cross_fit` on this survey.
    population : DataFrame, Survey or mapping
        Of the cells, as of `poststratify`.
    questions : str or sequence of str, optional
        Default: those simulated.
    by : str or sequence of str
        Traits (of the cells) of the result's backgrounds; none: ``"all"``.
    statistic : {"share", "mean", "total"}
        Shares of the options; mean of the answer codes; total of the answer codes over the people of the population, who need
        a `count`.
    power : float or "tuned"
        0 gives the direct estimate, 1 the difference estimator.
    structure : DataFrame or Survey, optional
        As of `poststratify`.
    independent : bool
        True states that no respondent of `survey` taught `simulated`.
    lonely_psu : {"fail", "remove", "adjust", "average", "certainty"}
        What a stratum with a single PSU adds to the variance.

    Returns
    -------
    DataFrame
        Shares: a distributions table, ``source="prediction_powered"``; means and totals: an estimates table. Both with `power`,
        `std_error_direct` (of the survey alone) and `n_eff_gained`: effective respondents that the simulation is worth,
        ``n_eff (var_direct / var - 1)``. Intervals are t, for shares on the logit scale. `attrs`: `without_cell`,
        respondents left out for lack of a trait; `clipped`, backgrounds whose shares were cut at 0.

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`.
    EstimationError
        If the simulated cells may have been learnt from these respondents; respondents or people are in cells that were
        not simulated (listed); people are nowhere in a cell of respondents; `statistic` or `power` is unknown; a total is asked
        of a population without counts.
    TableError, CodebookError, BackgroundError, DesignError
        As of `poststratify` and `response_distributions`.

    References
    ----------
    Angelopoulos et al. (2023), doi:10.1126/science.adi6000. Angelopoulos, Duchi and Zrnic (2023), PPI++,
    arXiv:2311.01453. Sarndal, Swensson and Wretman (1992), Model Assisted Survey Sampling, sections 6.3-6.5. Montanari
    (1987), doi:10.2307/1403195. Zrnic and Candes (2024), doi:10.1073/pnas.2322083121 (cross-fitting).

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> by = ["gender", "education"]
    >>> grid = ss.background_grid(survey.codebook, by=by)
    >>> halves = ss.cross_fit(survey, lambda part: ss.simulate(part, grid, questions=["Q8_8"], method="mrp"), by=by, questions=["Q8_8"])
    >>> people = ss.read_population("us_adults_2014_2018")
    >>> table = ss.prediction_powered(survey, halves, population=people)
    >>> round(float(table.share.sum()), 9), bool((table.std_error <= table.std_error_direct * 1.001).all())
    (1.0, True)
    """
    check_survey(survey)
    _check_arguments(statistic, power)
    cells = prediction_cells(survey, simulated, independent)
    table = joint_table(population, structure, cells.traits)
    people = cell_numbers(table, cells.traits)
    if statistic == "total" and COUNT not in table:
        raise EstimationError("a total needs people: give population a column 'count'; with shares ask for statistic='mean'")
    domains = cell_domains(survey, cells, by)
    asked = asked_questions(survey, cells.questions if questions is None else questions)
    parts = [
        _estimate(survey, question, cells, people, domains, statistic=statistic, power=power, lonely_psu=lonely_psu) for question in asked
    ]
    result = pd.concat([part.table for part in parts], ignore_index=True)
    result.attrs = {**described(cells.table), "weight": survey.weight_name, "design": survey.design.description}
    result.attrs |= {"denominator": "valid answers", "population": population_label(table, cells.table)}
    result.attrs |= {"without_cell": int((domains.cell < 0).sum()), "clipped": sum(part.clipped for part in parts)}
    return readable(result, survey.codebook)


@dataclass(frozen=True, eq=False)
class _Part:
    table: pd.DataFrame
    clipped: int


def _check_arguments(statistic: str, power: float | str) -> None:
    if statistic not in STATISTICS:
        raise EstimationError(f"statistic must be 'share', 'mean' or 'total'; got {statistic!r}, {nearest(str(statistic), STATISTICS)}")
    if power != TUNED and not (isinstance(power, int | float) and 0 <= power <= 1):
        raise EstimationError(f"power must be 'tuned' or a number from 0 (direct estimate) to 1 (difference estimator); got {power!r}")


def _estimate(
    survey: Survey,
    question: Question,
    cells: PredictionCells,
    people: pd.DataFrame,
    domains: CellDomains,
    *,
    statistic: str,
    power: float | str,
    lonely_psu: str,
) -> _Part:
    name = question.question_id
    if name not in cells.shares:
        raise EstimationError(f"questions: {name!r} was not simulated; {nearest(name, cells.questions)}")
    if tuple(cells.codes[name]) != tuple(question.codes):
        raise EstimationError(f"question {name!r}: simulated options {list(cells.codes[name])} are not the survey's {list(question.codes)}")
    predicted = cells.shares[name][..., : len(question.codes)]
    answers, rows_of = _answers(survey, question, statistic)
    if statistic != "share":
        predicted = (predicted @ np.array(question.codes, dtype=float))[..., None]
    design, sample = question_sample(survey, question, lonely_psu)
    rows = np.flatnonzero(rows_of[sample] & (domains.code[sample] >= 0))
    kept = sample[rows]
    members = Members(design, rows, domains.code[kept], len(domains.ids))
    own = predicted[cells.fold[kept], domains.cell[kept]]
    wanted, added, size = _population_means(predicted, people, cells, domains, members, cells.fold[kept])
    found = _combined(members, answers[kept], own, wanted, added, power)
    if statistic == "share":
        return _share_part(question, domains, members, found)
    return _Part(_estimate_table(name, domains, members, found, size if statistic == "total" else None), 0)


def _answers(survey: Survey, question: Question, statistic: str) -> tuple[Array, np.ndarray]:
    """Return answers as numbers, shape (respondents, columns), and who gave a valid one."""
    valid = survey.reasons[question.question_id].isna().to_numpy()
    if statistic != "share":
        return np.nan_to_num(answers_on_a_scale(survey, question))[:, None], valid
    chosen = pd.Index(list(question.codes)).get_indexer(pd.Index(survey.data[question.question_id]))
    return (chosen[:, None] == np.arange(len(question.codes))).astype(float), valid


def _population_means(
    predicted: Array, people: pd.DataFrame, cells: PredictionCells, domains: CellDomains, members: Members, fold: np.ndarray
) -> tuple[Array, Array, pd.DataFrame]:
    """Return the predictions' population means by background, the population table's variance of them, and its people."""
    numbers = people.reindex(cells.backgrounds).fillna(0.0)
    unknown = [cell for cell in people.index if people.loc[cell, PEOPLE] > 0 and cell not in cells.backgrounds]
    if unknown:
        raise EstimationError(f"population has people in {first_few(unknown)}, which simulated lacks; simulate these backgrounds")
    inside = domains.of_cell[:, None] == np.arange(len(domains.ids))
    count = numbers[PEOPLE].to_numpy()[:, None] * inside
    total = count.sum(0)
    if not (total > 0).all():
        nobody = [identifier for identifier, size in zip(domains.ids, total, strict=True) if not size > 0]
        raise EstimationError(f"population has nobody in {first_few(nobody)}, where respondents are; add them to population")
    weight = np.zeros((len(domains.ids), len(predicted)))
    np.add.at(weight, (members.domain, fold), members.weights)
    mixed = np.einsum("df,fck->dck", weight / np.maximum(weight.sum(1, keepdims=True), 1e-300), predicted)
    means = np.einsum("cd,dck->dk", count / total, mixed)
    spread = numbers[VARIANCE].to_numpy()[:, None] * inside
    away = ((mixed - means[:, None]) * inside.T[..., None]).swapaxes(0, 1)
    variance = table_variance(numbers, away) / np.square(total)[:, None]
    return means, variance, pd.DataFrame({PEOPLE: total, VARIANCE: spread.sum(0)}, index=list(domains.ids))


@dataclass(frozen=True, eq=False)
class _Found:
    """Estimates and variances, shape (backgrounds, columns); power, shape (backgrounds,)."""

    estimate: Array
    variance: Array
    direct_variance: Array
    power: Array


def _combined(members: Members, answers: Array, own: Array, wanted: Array, added: Array, power: float | str) -> _Found:
    columns = answers.shape[1]
    means, variances = weighted_ratios(members, np.hstack([answers, own, answers + own]))
    direct, sampled = means[:, :columns], means[:, columns : 2 * columns]
    of_answers, of_own, of_both = variances[:, :columns], variances[:, columns : 2 * columns], variances[:, 2 * columns :]
    covariance = (of_both - of_answers - of_own) / 2
    if power == TUNED:
        explained, spread = covariance.sum(1), (of_own + added).sum(1)
        chosen = np.clip(np.divide(explained, spread, out=np.zeros(len(spread)), where=spread > 1e-300), 0, 1)
    else:
        chosen = np.full(len(direct), float(power))
    factor = chosen[:, None]
    variance = of_answers + factor**2 * (of_own + added) - 2 * factor * covariance
    return _Found(direct + factor * (wanted - sampled), np.maximum(variance, 0.0), of_answers, chosen)


def _share_part(question: Question, domains: CellDomains, members: Members, found: _Found) -> _Part:
    below = (found.estimate < 0).any(axis=1)
    shares = np.clip(found.estimate, 0, None)
    shares /= shares.sum(axis=1, keepdims=True)
    std_error, (n, n_eff) = np.sqrt(found.variance), members.counts()
    low, high = share_intervals(shares, std_error, members.degrees_of_freedom, n_eff)
    size = len(question.codes)
    table = pd.DataFrame(
        {
            QUESTION: question.question_id,
            BACKGROUND: np.repeat(np.array(domains.ids, dtype=object), size),
            OPTION: list(question.codes) * len(domains.ids),
            ORDER: np.tile(np.arange(size), len(domains.ids)),
            SHARE: shares.ravel(),
            STD_ERROR: std_error.ravel(),
            CONF_LOW: low.ravel(),
            CONF_HIGH: high.ravel(),
            N: np.repeat(n, size),
            N_EFF: np.repeat(n_eff, size),
            SOURCE: "prediction_powered",
        },
        columns=DISTRIBUTION_COLUMNS,
    )
    return _Part(table.assign(**_gains(found, n_eff)), int(below.sum()))


def _estimate_table(name: str, domains: CellDomains, members: Members, found: _Found, people: pd.DataFrame | None) -> pd.DataFrame:
    """Return means, or totals over the people of each background."""
    mean, variance, df = found.estimate[:, 0], found.variance[:, 0], members.degrees_of_freedom
    n, n_eff = members.counts()
    gains = _gains(found, n_eff)
    deff = np.full(len(mean), np.nan)
    if people is not None:
        size, unsure = people[PEOPLE].to_numpy(), people[VARIANCE].to_numpy()
        mean, variance = size * mean, size**2 * variance + unsure * mean**2
        gains[DIRECT_ERROR] = np.sqrt(size**2 * found.direct_variance[:, 0] + unsure * found.estimate[:, 0] ** 2)
    std_error = np.sqrt(variance)
    low, high = mean_intervals(mean, std_error, df)
    table = pd.DataFrame(
        dict(zip(ESTIMATE_COLUMNS, (name, list(domains.ids), mean, std_error, low, high, df, n, n_eff, deff), strict=True))
    )
    assert table[ESTIMATE].notna().all(), "every background has respondents"
    return table.assign(**gains)


def _gains(found: _Found, n_eff: Array) -> dict[str, Array]:
    """Return power, the direct standard error, and effective respondents gained (over all columns of an estimate together)."""
    columns = found.estimate.shape[1]
    direct, own = found.direct_variance.sum(1), found.variance.sum(1)
    gained = n_eff * (np.divide(direct, own, out=np.ones(len(own)), where=own > 0) - 1)
    return {
        POWER: np.repeat(found.power, columns),
        DIRECT_ERROR: np.sqrt(found.direct_variance).ravel(),
        GAINED: np.repeat(gained, columns),
    }
