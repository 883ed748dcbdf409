"""Classical estimates of response distributions: what any model has to beat on the same sample.

Every method takes the sample's distributions table and the backgrounds to estimate, sampled or not, and returns a
distributions table with its own name as `source`. Cells enter as effective counts, ``n_eff * share``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import pandas as pd

from surveysim.baselines.fitting import TrainingCells, check_takes_prior, fitted_table, training_cells, warn_of_misleading_prior
from surveysim.baselines.knowledge import NOTHING, Knowledge, Levels, told
from surveysim.baselines.predictors import check_uses_predictors
from surveysim.baselines.prior import PriorLike, prior_of
from surveysim.baselines.regressions import _concentration, boosted_shares, choose_penalty, cumulative_ridge, multinomial_ridge
from surveysim.codebook.backgrounds import traits_in
from surveysim.codebook.matching import scales_of
from surveysim.codebook.readable import readable
from surveysim.codebook.toml_file import CodebookLike, codebook_if_any
from surveysim.errors import EstimationError, nearest
from surveysim.tables.cells import Array, Cells
from surveysim.tables.draws import check_draws
from surveysim.tables.schema import BACKGROUND, QUESTION, require_columns

Baseline = Callable[..., pd.DataFrame]

TILTED_OPTIONS = 5  # mean_tilt: scales with at least so many options get the tilted mean
POSTERIORS = ("mrp", "mean_tilt", "low_rank")


def estimate_baseline(
    training: pd.DataFrame,
    backgrounds: pd.DataFrame,
    *,
    method: str = "mrp",
    ordinal: str | Collection[str] | None = None,
    codebook: CodebookLike | None = None,
    levels: Levels | None = None,
    group_predictors: pd.DataFrame | None = None,
    prior: PriorLike | None = None,
    seed: int = 0,
    draws: int = 0,
) -> pd.DataFrame:
    """Estimate the distributions of all backgrounds asked for by a classical method.

    Parameters
    ----------
    training : DataFrame
        A distributions table of the sample, with `n_eff` (or `n`).
    backgrounds : DataFrame
        A row per background, with `background_id`, over the traits of the training table; sampled or not.
    method : str
        A name of `BASELINES`.
    ordinal : str or collection of str, optional
        Ids of the ordered questions, in place of `codebook`; without either all are nominal.
    codebook : str, Path, Codebook or Survey, optional
        Says which questions and which traits are ordered, and in which order a trait's levels stand.
    levels : mapping of str to sequence of str, optional
        Ordered traits and all their levels in order, in place of `codebook`; without either the levels of every trait are exchangeable.
    group_predictors : DataFrame, optional
        Numbers known of the levels of a trait (a country's income), or of combinations of several traits' levels: columns of level names,
        named as the traits, and numeric columns. Not for raw, pooled and shrunken.
    prior : DataFrame, Survey, or several of them, optional
        Shares known before the sample, of an earlier wave or any simulator, for mrp, mean_tilt and low_rank: the estimate starts from its
        cells and is moved by the sample (`surveysim.baselines.moved_prior`). A table without `n` states no error.
    seed : int
        Deals cells into folds where a method cross-validates, and makes the draws.
    draws : int
        Draws from the posterior of the methods that have one (mrp, mean_tilt, low_rank), as columns ``draw_1``, ...: `poststratify` needs
        them for standard errors of sums over cells, whose errors go together.

    Returns
    -------
    DataFrame
        A distributions table with ``source=method``; `n` and `n_eff` are the training sample's. `attrs["never_sampled"]`
        counts backgrounds without any respondent; `attrs["prior"]` says by question what the prior was worth;
        `attrs["group_predictors"]` names the predictors, and the levels that lack them. `std_error` is missing where the method has none.

    Raises
    ------
    EstimationError
        If the method is unknown, has no posterior to draw from, the traits differ, nobody answered a question, or fewer
        respondents than options did; if `levels` lacks a level or has one twice, or `group_predictors` is not for the method, has no
        column of a trait, an unknown or repeated level, or a predictor that is constant, missing or not numeric; if `prior` is not for the
        method, lacks a question, or has other options or traits.
    TableError
        If a table breaks its contract.

    References
    ----------
    Gelman and Little (1997), Survey Methodology 23(2), 127-135. Ghitza and Gelman (2013), doi:10.1111/ajps.12004.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> train, truth = ss.hold_out_respondents(survey, n_train=400, seed=0)
    >>> sample = ss.response_distributions(train, by=["gender", "age3"], questions=["Q8_8"])
    >>> grid = ss.background_grid(survey.codebook, by=["gender", "age3"])
    >>> estimate = ss.estimate_baseline(sample, grid, method="mrp", ordinal=["Q8_8"])
    >>> estimate.source.unique().tolist(), len(estimate)
    (['mrp'], 24)
    """
    if method not in BASELINES:
        raise EstimationError(f"method: there is no baseline {method!r}; {nearest(str(method), BASELINES)}")
    require_columns(training, [QUESTION, BACKGROUND], "training")
    check_uses_predictors(method, group_predictors)
    before = None
    if prior is not None:
        check_takes_prior(method)
        before = prior_of(prior, traits_in(training[BACKGROUND].unique()), list(training[QUESTION].unique()))
    codebook = codebook_if_any(codebook)
    known = told(training, backgrounds, codebook=codebook, levels=levels, predictors=group_predictors, prior=before)
    scales = scales_of(training[QUESTION], codebook, ordinal, needed=False)
    table = fitted_baseline(training, backgrounds, method=method, ordinal=scales, known=known, seed=seed, draws=draws)
    if "prior" in table.attrs:
        warn_of_misleading_prior(table.attrs["prior"])
    return readable(table, codebook, simulated=True, like=[training])


def fitted_baseline(
    training: pd.DataFrame, backgrounds: pd.DataFrame, *, method: str, ordinal: Collection[str], known: Knowledge, seed: int, draws: int
) -> pd.DataFrame:
    """Return what `estimate_baseline` does, with what is known besides the sample put together already.

    Raises
    ------
    EstimationError
        If draws are asked of a method that has no posterior, or as of the method.
    """
    check_draws(draws)
    if draws and method not in POSTERIORS:
        raise EstimationError(f"method {method!r} has no posterior to draw from; use one of {', '.join(POSTERIORS)}")
    drawn = {"draws": draws} if draws else {}
    return BASELINES[method](training, backgrounds, ordinal=ordinal, knowledge=known, seed=seed, **drawn)


def raw(
    training: pd.DataFrame,
    backgrounds: pd.DataFrame,
    *,
    ordinal: str | Collection[str] | None = None,
    knowledge: Knowledge = NOTHING,
    seed: int = 0,
) -> pd.DataFrame:
    """The sample's own shares; a cell without respondents gets the pooled shares, counted in ``attrs["filled_from_pooled"]``."""
    sample = training_cells(training, backgrounds, ordinal=ordinal, knowledge=knowledge)
    empty = sample.cells.n_eff <= 0
    shares = np.where(empty[..., None], sample.pooled[:, None], sample.cells.shares)
    table = sample.to_table(shares, source="raw")
    table.attrs["filled_from_pooled"] = int(empty[:, sample.asked].sum())
    return table


def pooled(
    training: pd.DataFrame,
    backgrounds: pd.DataFrame,
    *,
    ordinal: str | Collection[str] | None = None,
    knowledge: Knowledge = NOTHING,
    seed: int = 0,
) -> pd.DataFrame:
    """One distribution a question for every background: the mean of the sampled cells, each weighted by `n_eff`."""
    sample = training_cells(training, backgrounds, ordinal=ordinal, knowledge=knowledge)
    return sample.to_table(np.broadcast_to(sample.pooled[:, None], sample.cells.shares.shape), source="pooled")


def shrunken(
    training: pd.DataFrame,
    backgrounds: pd.DataFrame,
    *,
    ordinal: str | Collection[str] | None = None,
    knowledge: Knowledge = NOTHING,
    seed: int = 0,
) -> pd.DataFrame:
    """Cells shrunk towards the pooled shares, which count as many answers as maximise the Dirichlet-multinomial likelihood.

    References
    ----------
    Minka (2012), Estimating a Dirichlet distribution; Fay and Herriot (1979), doi:10.2307/2286322, for the idea.
    """
    sample = training_cells(training, backgrounds, ordinal=ordinal, knowledge=knowledge)
    counts, centre = sample.cells.counts, sample.pooled_positive
    worth = _concentration(counts, centre, sample.cells.mask)[:, None, None]
    total = counts.sum(-1, keepdims=True) + worth
    shares = (counts + worth * centre[:, None]) / total
    return sample.to_table(shares, source="shrunken", std_error=np.sqrt(shares * (1 - shares) / (total + 1)))


def ridge(
    training: pd.DataFrame,
    backgrounds: pd.DataFrame,
    *,
    ordinal: str | Collection[str] | None = None,
    knowledge: Knowledge = NOTHING,
    seed: int = 0,
) -> pd.DataFrame:
    """Multinomial logit regression on main effects (of ordered traits also lines), ridge penalty cross-validated over training cells."""
    sample = training_cells(training, backgrounds, ordinal=ordinal, knowledge=knowledge)
    return sample.to_table(_regression(sample, multinomial_ridge, np.ones(len(sample.ordered), bool), seed), source="ridge")


def cumulative(
    training: pd.DataFrame,
    backgrounds: pd.DataFrame,
    *,
    ordinal: str | Collection[str] | None = None,
    knowledge: Knowledge = NOTHING,
    seed: int = 0,
) -> pd.DataFrame:
    """Proportional-odds regression on main effects with a cross-validated ridge penalty; nominal questions as in `ridge`."""
    sample = training_cells(training, backgrounds, ordinal=ordinal, knowledge=knowledge)
    shares = np.zeros_like(sample.cells.shares)
    for fit, rows in ((cumulative_ridge, sample.ordered), (multinomial_ridge, ~sample.ordered)):
        if rows.any():
            shares[rows] = _regression(sample, fit, rows, seed)
    return sample.to_table(shares, source="cumulative")


def mrp(
    training: pd.DataFrame,
    backgrounds: pd.DataFrame,
    *,
    ordinal: str | Collection[str] | None = None,
    knowledge: Knowledge = NOTHING,
    seed: int = 0,
    draws: int = 0,
) -> pd.DataFrame:
    """Multilevel regression: partially pooled main effects, two-way interactions and cell effects on every contrast of the options.

    An ordered trait also has a line and a random walk over its levels; predictors of groups have a line and a smooth surface.
    Variances by marginal likelihood, each question's leaning on all questions'. Post-stratify the result for the "P".

    References
    ----------
    Gelman and Little (1997), Survey Methodology 23(2), 127-135; Ghitza and Gelman (2013), doi:10.1111/ajps.12004.
    """
    sample = training_cells(training, backgrounds, ordinal=ordinal, knowledge=knowledge)
    return _multilevel(sample, "mrp", draws, seed)


def mean_tilt(
    training: pd.DataFrame,
    backgrounds: pd.DataFrame,
    *,
    ordinal: str | Collection[str] | None = None,
    knowledge: Knowledge = NOTHING,
    seed: int = 0,
    draws: int = 0,
) -> pd.DataFrame:
    """As `mrp`, but scales of five or more options are the pooled shares tilted exponentially to the estimated mean."""
    sample = training_cells(training, backgrounds, ordinal=ordinal, knowledge=knowledge)
    return _multilevel(sample, "mean_tilt", draws, seed)


def low_rank(
    training: pd.DataFrame,
    backgrounds: pd.DataFrame,
    *,
    ordinal: str | Collection[str] | None = None,
    knowledge: Knowledge = NOTHING,
    seed: int = 0,
    draws: int = 0,
) -> pd.DataFrame:
    """As `mrp`, and patterns over backgrounds that many questions share are learned from all of them: a soft low-rank regression."""
    sample = training_cells(training, backgrounds, ordinal=ordinal, knowledge=knowledge)
    return _multilevel(sample, "low_rank", draws, seed)


def boosting(
    training: pd.DataFrame,
    backgrounds: pd.DataFrame,
    *,
    ordinal: str | Collection[str] | None = None,
    knowledge: Knowledge = NOTHING,
    seed: int = 0,
) -> pd.DataFrame:
    """Gradient-boosted trees on one-hot traits, one model a question (needs scikit-learn)."""
    sample = training_cells(training, backgrounds, ordinal=ordinal, knowledge=knowledge)
    shares = boosted_shares(sample.cells.counts, sample.indicators(), sample.cells.mask, sample.pooled_positive, seed)
    return sample.to_table(shares, source="boosting")


BASELINES: dict[str, Baseline] = {
    "raw": raw,
    "pooled": pooled,
    "shrunken": shrunken,
    "ridge": ridge,
    "cumulative": cumulative,
    "mrp": mrp,
    "mean_tilt": mean_tilt,
    "low_rank": low_rank,
    "boosting": boosting,
}
"""Classical estimates of the same sample, by name: `simulate` and `estimate_baseline` take the names as ``method``.

Examples
--------
>>> import pandas as pd
>>> import surveysim as ss
>>> survey = ss.load_example("nonvoters2020")
>>> train, rest = ss.hold_out_respondents(survey, n_train=400, seed=1)
>>> tables = [ss.simulate(train, ["gender", "age3"], questions=["Q8_8"], method=name) for name in ("raw", "pooled", "mrp")]
>>> truth = ss.response_distributions(rest, by=["gender", "age3"], questions=["Q8_8"])
>>> scores = ss.evaluate(pd.concat(tables), truth, metrics=["wasserstein"], codebook=survey.codebook, by="source")
>>> ss.summarise_scores(scores, by="source").sort_values("estimate").source.tolist()[0]
'mrp'
"""


def _multilevel(sample: TrainingCells, method: str, draws: int, seed: int) -> pd.DataFrame:
    tilted = sample.ordered & (sample.cells.mask.sum(-1) >= TILTED_OPTIONS) & (method == "mean_tilt")
    return fitted_table(sample, sample.kernels(), source=method, tilt_only=tilted, learn=method == "low_rank", draws=draws, seed=seed)


def _regression(sample: TrainingCells, fit: Callable[..., Array], rows: np.ndarray, seed: int) -> Array:
    counts, mask, start = sample.cells.counts[rows], sample.cells.mask[rows], sample.pooled_positive[rows]
    columns = sample.indicators()
    return fit(counts, columns, choose_penalty(fit, counts, columns, mask, start, seed), mask, start)


def uniform(sampled: Cells, unasked: Cells) -> Array:
    """Every option alike, shape (questions, backgrounds, options) of `unasked`."""
    shares = unasked.mask / unasked.mask.sum(-1, keepdims=True)
    return np.broadcast_to(shares[:, None], unasked.shares.shape)


def length_matched(sampled: Cells, unasked: Cells) -> Array:
    """Mean pooled shares, by position, of the sampled questions with as many options; uniform where there is none."""
    counts = sampled.counts.sum(1)
    pooled = counts / counts.sum(-1, keepdims=True)
    shares = np.array(uniform(sampled, unasked))
    for row, size in enumerate(unasked.mask.sum(-1)):
        alike = sampled.mask.sum(-1) == size
        if alike.any():
            shares[row, :, :size] = pooled[alike, :size].mean(0)
    return shares


BLIND = {"uniform": uniform, "length-matched": length_matched}
