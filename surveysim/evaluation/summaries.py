"""What scores add up to: means over cells and questions, respondents saved, and whether backgrounds differ as they should."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from surveysim.codebook.matching import scales_of
from surveysim.codebook.toml_file import CodebookLike, codebook_if_any
from surveysim.errors import EvaluationError, first_few
from surveysim.evaluation.metrics import total_variation, wasserstein
from surveysim.evaluation.scores import CELL_WEIGHT, on_same_cells
from surveysim.tables.cells import Array, Cells, between_variance
from surveysim.tables.facts import say_prior
from surveysim.tables.intervals import mean_intervals
from surveysim.tables.names import names_of
from surveysim.tables.schema import (
    BACKGROUND,
    CONF_HIGH,
    CONF_LOW,
    ESTIMATE,
    METRIC,
    QUESTION,
    SHARE,
    SOURCE,
    STD_ERROR,
    N,
    check_distributions,
    require_columns,
    require_numbers,
)

TAIL = 0.1  # share of the weight of a question's backgrounds that the tail mean is over


def summarise_scores(
    scores: pd.DataFrame,
    *,
    by: str | Sequence[str] | None = None,
    interval: str = "t",
    draws: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Average scores over backgrounds within a question, then over questions.

    Parameters
    ----------
    scores : DataFrame
        As of `evaluate`; `weight` says what a background counts for (default: all alike).
    by : str or sequence of str, optional
        Further columns to keep apart, such as ``"source"``, or ``["source", "question_id"]``: then each question's mean, without
        an interval.
    interval : {"t", "bootstrap"}
        95% interval over questions: Student's t, or percentiles of the mean over questions drawn with replacement.
    draws, seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        A row per metric (and `by`): `estimate`, `std_error`, `conf_low`, `conf_high` (missing with a single question),
        `n_questions`, `n_backgrounds`.

    Raises
    ------
    EvaluationError
        If `interval` is unknown, a question's weights are negative or all zero, or the scores are of several sources or methods, which
        `by` does not keep apart.
    TableError
        If a column is absent.

    References
    ----------
    Efron (1979), doi:10.1214/aos/1176344552 (bootstrap).

    Examples
    --------
    >>> import pandas as pd, surveysim as ss
    >>> cell = {"background_id": "all", "metric": "wasserstein"}
    >>> scores = pd.DataFrame([{**cell, "question_id": "q1", "estimate": 0.1}, {**cell, "question_id": "q2", "estimate": 0.3}])
    >>> float(ss.summarise_scores(scores).estimate.iloc[0])
    0.2
    """
    if interval not in ("t", "bootstrap"):
        raise EvaluationError(f"interval must be 't' or 'bootstrap'; got {interval!r}")
    require_columns(scores, [QUESTION, BACKGROUND, METRIC, ESTIMATE], "scores")
    keys = [*names_of(() if by is None else by, "by", scores.columns, error=EvaluationError, needed=False), METRIC]
    _refuse_mixed(scores, keys)
    questions = question_means(scores, by=keys)
    rows = []
    rng = np.random.default_rng(seed)
    for values, group in questions.groupby(keys, sort=False, observed=True):
        means = group[ESTIMATE].to_numpy(float)
        spread = len(means) > 1 and np.isfinite(means).all()  # an infinite mean of a divergence has no error
        error = means.std(ddof=1) / np.sqrt(len(means)) if spread else np.nan
        low, high = _interval(means, error, interval, draws, rng)
        sizes = {"n_questions": len(means), "n_backgrounds": int(group["n_backgrounds"].max())}
        numbers = {ESTIMATE: means.mean(), STD_ERROR: error, CONF_LOW: low, CONF_HIGH: high}
        rows.append({**dict(zip(keys, values, strict=True)), **numbers, **sizes})
    return pd.DataFrame(rows, columns=[*keys, ESTIMATE, STD_ERROR, CONF_LOW, CONF_HIGH, "n_questions", "n_backgrounds"])


def _refuse_mixed(scores: pd.DataFrame, keys: Sequence[str]) -> None:
    """Refuse to average over several sources or methods, of which nobody knows which the mean speaks of."""
    for column in (SOURCE, "method"):
        found = scores[column].unique() if column in scores and column not in keys else []
        if len(found) > 1:
            raise EvaluationError(
                f"scores holds {len(found)} values of {column!r} ({first_few(found)}), and a mean over them speaks of none; give "
                f"by={column!r}, or select one"
            )


def question_means(scores: pd.DataFrame, *, by: Sequence[str] = (METRIC,)) -> pd.DataFrame:
    """Return the weighted mean score over backgrounds of every question, a row per `by` x question.

    Raises
    ------
    EvaluationError
        If a question's weights are negative, missing or all zero.
    TableError
        If a column is absent.
    """
    require_columns(scores, [QUESTION, BACKGROUND, *by, ESTIMATE], "scores")
    weight = require_numbers(scores, CELL_WEIGHT, "scores") if CELL_WEIGHT in scores else np.ones(len(scores))
    if not (weight >= 0).all():
        raise EvaluationError(f"scores: weight must be >= 0; it is not in {first_few(scores.index[~(weight >= 0)])} (row labels)")
    frame = scores.assign(_weight=weight, _product=weight * scores[ESTIMATE])
    groups = frame.groupby(list(dict.fromkeys([*by, QUESTION])), sort=False, observed=True)
    means = groups.agg(_weight=("_weight", "sum"), _product=("_product", "sum"), n_backgrounds=(BACKGROUND, "nunique")).reset_index()
    empty = means.loc[means["_weight"] <= 0, QUESTION]
    if len(empty):
        raise EvaluationError(f"scores: all backgrounds of question {first_few(empty)} have weight 0; give them weights or drop it")
    means[ESTIMATE] = means["_product"] / means["_weight"]
    return means.drop(columns=["_weight", "_product"])


def data_saved(curve: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Return the share of respondents that a method saves over a reference method: ``1 - n / n_needed``.

    `n_needed` is the number of respondents with which the reference method reaches the method's error, read off the
    reference method's measured curve: error averaged by n, made non-increasing (pooling adjacent violators), and
    interpolated linearly in log n. Nothing is extrapolated: outside the curve the result is a bound.

    Parameters
    ----------
    curve : DataFrame
        Columns `n` (respondents) and `estimate` (error) of the reference method; several rows of one n are averaged.
    scores : DataFrame
        Columns `n` and `estimate` of the method, a row per size; further columns are kept in the result.

    Returns
    -------
    DataFrame
        `scores` with `n_needed`, `data_saved` (negative where the method needs more respondents) and `bound`: "exact";
        "at_least" where the error lies below the curve (the reference needs more than its largest n); "at_most" where it
        lies above (its smallest n already does better).

    Raises
    ------
    EvaluationError
        If the curve has fewer than two sizes, or an n is not positive or an error missing.
    TableError
        If a column is absent.

    References
    ----------
    Ayer et al. (1955), doi:10.1214/aoms/1177728423 (pooling adjacent violators).

    Examples
    --------
    >>> import pandas as pd, surveysim as ss
    >>> curve = pd.DataFrame({"n": [100, 400, 1600], "estimate": [0.12, 0.06, 0.03]})
    >>> saved = ss.data_saved(curve, pd.DataFrame({"n": [100], "estimate": [0.06]}))
    >>> float(saved.data_saved.iloc[0]), saved.bound.iloc[0]
    (0.75, 'exact')
    """
    for name, frame in (("curve", curve), ("scores", scores)):
        require_columns(frame, [N, ESTIMATE], name)
        if not (frame[N].to_numpy(float) > 0).all() or not np.isfinite(frame[ESTIMATE].to_numpy(float)).all():
            raise EvaluationError(f"{name}: every n must be positive and every estimate present")
    measured = curve.groupby(N)[ESTIMATE].agg(["mean", "size"]).sort_index()
    if len(measured) < 2:
        raise EvaluationError(f"curve has {len(measured)} size of sample; a curve needs at least two")
    error = non_increasing(measured["mean"].to_numpy(float), measured["size"].to_numpy(float))
    log_n = np.log(measured.index.to_numpy(float))
    target = scores[ESTIMATE].to_numpy(float)
    needed = np.exp([log_n_at(each, error, log_n) for each in target])
    bound = np.where(target < error[-1], "at_least", np.where(target > error[0], "at_most", "exact"))
    return scores.assign(n_needed=needed, data_saved=1 - scores[N].to_numpy(float) / needed, bound=bound)


def diagnose(
    estimated: pd.DataFrame,
    reference: pd.DataFrame,
    *,
    codebook: CodebookLike | None = None,
    ordinal: str | Collection[str] | None = None,
    on: str = "all",
) -> pd.DataFrame:
    """Say for every question whether the estimate's backgrounds differ as much, and in the same order, as the truth's.

    Parameters
    ----------
    estimated, reference : DataFrame
        Distributions tables of one source each; backgrounds count by the reference's `n_eff`.
    codebook, ordinal, on
        As in `evaluate`.

    Returns
    -------
    DataFrame
        A row per question: `variance_estimated`, `variance_reference` (between backgrounds, summed over options; the
        reference's less its sampling variance), `variance_ratio` (above 1: differences are exaggerated, as by a
        stereotype; missing where the reference shows no variance beyond its noise), `worst_decile` (mean error of the
        tenth of the backgrounds with the largest; Wasserstein, or total variation if nominal), `rank_agreement`
        (Spearman correlation over backgrounds of the mean position; if nominal, mean over options of that of the shares),
        `n_backgrounds`; where the estimate has a prior `prior_misleads`: by its check on backgrounds left out, or because
        its differences are probably of no use (None: too few backgrounds for the check).

    Raises
    ------
    EvaluationError
        If the types of questions are not given, or the tables hold different cells or options.
    TableError
        If a table breaks its contract.

    References
    ----------
    Spearman (1904), doi:10.2307/1412159.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> train, rest = ss.hold_out_respondents(survey, n_train=400, seed=0)
    >>> by, asked = ["gender", "age3"], ["Q8_8"]
    >>> truth = ss.response_distributions(rest, by=by, questions=asked)
    >>> raw = ss.response_distributions(train, by=by, questions=asked)
    >>> found = ss.diagnose(raw, truth, codebook=survey.codebook).iloc[0]
    >>> f"{found.variance_ratio:.1f}", int(found.n_backgrounds)  # the noise of 400 respondents looks like differences
    ('1.6', 6)
    """
    check_distributions(reference, "reference")
    ordered = scales_of(reference[QUESTION], codebook_if_any(codebook), ordinal)
    ours, truth, _ = on_same_cells(estimated, reference[reference[SHARE].notna()], reference, on)
    rows = [_diagnose_question(ours, truth, q, truth.questions[q] in ordered) for q in range(len(truth.questions))]
    return say_prior(pd.DataFrame(rows), of=estimated)


def tail_mean(errors: Array, weight: Array, tail: float = TAIL) -> Array:
    """Return each question's mean error of the backgrounds with the largest, that together have `tail` of the weight; one counts in part.

    Parameters
    ----------
    errors, weight : array, shape (questions, backgrounds)
        Weights sum to 1 over backgrounds.
    tail : float

    References
    ----------
    Rockafellar and Uryasev (2002), doi:10.1016/S0378-4266(02)00271-6 (the mean of a tail where values have unequal weights).

    Examples
    --------
    >>> import numpy as np
    >>> from surveysim.evaluation.summaries import tail_mean
    >>> tail_mean(np.array([[0.1, 0.3, 0.2]]), np.array([[0.5, 0.1, 0.4]]), tail=0.2).round(2).tolist()
    [0.25]
    """
    order = np.argsort(-errors, axis=-1, kind="stable")
    sorted_weight = np.take_along_axis(weight, order, -1)
    before = np.cumsum(sorted_weight, axis=-1) - sorted_weight
    part = np.clip(tail - before, 0, sorted_weight)
    return np.asarray((part * np.take_along_axis(errors, order, -1)).sum(-1) / tail)


def error_quantiles(errors: Array, weight: Array, level: float) -> Array:
    """Return each question's smallest error that backgrounds of at least `level` of the weight do not exceed, shape (questions,)."""
    order = np.argsort(errors, axis=-1, kind="stable")
    reached = np.cumsum(np.take_along_axis(weight, order, -1), axis=-1) >= level - 1e-12
    return np.asarray(np.take_along_axis(errors, np.take_along_axis(order, reached.argmax(-1)[:, None], -1), -1)[:, 0])


def log_n_at(target: float, error: Array, log_n: Array) -> float:
    """Smallest log n at which the non-increasing `error` reaches `target`; an end of the curve where it never does, or always."""
    reached = np.flatnonzero(error <= target)
    if not len(reached):
        return float(log_n[-1])
    after = reached[0]
    if after == 0:
        return float(log_n[0])
    part = (error[after - 1] - target) / (error[after - 1] - error[after])
    return float(log_n[after - 1] + part * (log_n[after] - log_n[after - 1]))


def _diagnose_question(ours: Cells, truth: Cells, q: int, ordered: bool) -> dict[str, object]:
    keep = (truth.shares[q].sum(-1) > 0.5) & (ours.shares[q].sum(-1) > 0.5)
    mask = truth.mask[q]
    p, r = ours.shares[q][keep][:, mask], truth.shares[q][keep][:, mask]
    sizes = truth.n_eff[q][keep]
    weight = sizes / sizes.sum() if sizes.sum() > 0 else np.full(len(p), 1 / max(len(p), 1))
    noise = np.divide(1 - (r**2).sum(-1), sizes - 1, out=np.zeros(len(r)), where=sizes > 1)
    simulated = between_variance(p, weight)
    true = between_variance(r, weight) - float(weight @ ((1 - weight) * noise))
    errors = (wasserstein if ordered else total_variation)(p, r)
    worst = np.sort(errors)[::-1][: max(1, round(len(errors) / 10))]
    positions = np.arange(mask.sum())
    columns = [(p @ positions, r @ positions)] if ordered else list(zip(p.T, r.T, strict=True))
    return {
        QUESTION: truth.questions[q],
        "variance_estimated": simulated,
        "variance_reference": true,
        "variance_ratio": simulated / true if true > 0 else np.nan,
        "worst_decile": worst.mean(),
        "rank_agreement": _mean_rank_agreement(columns),
        "n_backgrounds": int(keep.sum()),
    }


def _mean_rank_agreement(columns: list[tuple[Array, Array]]) -> float:
    """Mean Spearman correlation; a column that does not vary on one side agrees with nothing (0)."""
    agreements = []
    for left, right in columns:
        ranks = [pd.Series(side.round(12)).rank().to_numpy() for side in (left, right)]
        varied = all(np.ptp(rank) > 0 for rank in ranks)
        agreements.append(float(np.corrcoef(*ranks)[0, 1]) if varied else 0.0)
    return float(np.mean(agreements))


def _interval(means: Array, error: float, interval: str, draws: int, rng: np.random.Generator) -> tuple[float, float]:
    if len(means) < 2:
        return np.nan, np.nan
    if interval == "t":
        low, high = mean_intervals(means.mean(), np.array(error), np.array(len(means) - 1))
        return float(low), float(high)
    drawn = means[rng.integers(len(means), size=(draws, len(means)))].mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def non_increasing(values: Array, weights: Array) -> Array:
    """The non-increasing sequence nearest to `values` in weighted least squares."""
    from scipy.optimize import isotonic_regression

    return np.asarray(isotonic_regression(values, weights=weights, increasing=False).x)
