"""What a comparison of methods adds up to: means, paired differences and respondents saved, with intervals over seeds and questions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from surveysim.errors import EvaluationError, first_few, nearest
from surveysim.evaluation.summaries import data_saved, log_n_at, non_increasing
from surveysim.tables.cells import Array
from surveysim.tables.intervals import Z_95, mean_intervals
from surveysim.tables.schema import CONF_HIGH, CONF_LOW, ESTIMATE, METRIC, QUESTION, SOURCE, STD_ERROR, N, require_columns

BEST_CLASSICAL = "best classical"
DRAWS, ENDS = 999, (0.025, 0.975)  # of curves, for the interval of a saving
SEED_COLUMN = "seed"
NEEDED = [N, "seed", "method", QUESTION, METRIC, ESTIMATE]


def summarise_comparison(scores: pd.DataFrame, *, metric: str = "wasserstein") -> pd.DataFrame:
    """Average the scores of `compare_methods` over questions and seeds.

    Parameters
    ----------
    scores : DataFrame
        As of `compare_methods`.
    metric : str

    Returns
    -------
    DataFrame
        A row per `n` and `method`: `estimate`, `std_error`, `conf_low`, `conf_high` (95%, over seeds and questions
        at once: two-way random effects), `n_questions`, `n_seeds`.

    Raises
    ------
    EvaluationError
        If no score is of this metric.
    TableError
        If a column is absent.

    References
    ----------
    Satterthwaite (1946), doi:10.2307/3002019; Searle, Casella, McCulloch (1992), Variance Components, chapter 4.

    Examples
    --------
    >>> import pandas as pd, surveysim as ss
    >>> errors = {(200, "raw"): 0.12, (200, "mrp"): 0.06, (800, "raw"): 0.06, (800, "mrp"): 0.05}
    >>> scores = pd.DataFrame(
    ...     {"n": n, "method": method, "seed": seed, "question_id": q, "metric": "wasserstein", "estimate": error + seed / 1000}
    ...     for (n, method), error in errors.items() for seed in (1, 2) for q in ("q1", "q2")
    ... )
    >>> ss.summarise_comparison(scores)[["n", "method", "n_questions", "n_seeds"]].values.tolist()
    [[200, 'raw', 2, 2], [200, 'mrp', 2, 2], [800, 'raw', 2, 2], [800, 'mrp', 2, 2]]
    """
    rows = []
    for (n, method), table in _tables(scores, metric):
        low, high, error = crossed_interval(table)
        size = {"n_questions": table.shape[0], "n_seeds": table.shape[1]}
        mean = float(np.nanmean(table.to_numpy()))
        rows.append({N: n, "method": method, METRIC: metric, ESTIMATE: mean, STD_ERROR: error, CONF_LOW: low, CONF_HIGH: high, **size})
    return pd.DataFrame(rows)


def paired_differences(scores: pd.DataFrame, *, reference: str, metric: str = "wasserstein") -> pd.DataFrame:
    """Return how every method differs from a reference method on the same questions and seeds.

    Parameters
    ----------
    scores : DataFrame
        As of `compare_methods`.
    reference : str
        A method, or ``"best classical"``: at each n the classical method with the smallest mean error in these very scores,
        a choice in the reference's favour.
    metric : str

    Returns
    -------
    DataFrame
        A row per `n` and `method`: `reference`, `estimate` (method less reference, negative where the method is closer to the
        truth) and `ratio` (mean error over the reference's), each with its 95% interval over seeds and questions
        (`conf_low`, `conf_high`; `ratio_low`, `ratio_high`, by linearisation); NaN where the reference's is 0.

    Raises
    ------
    EvaluationError
        If the reference is not among the methods at some n, was scored on other questions or seeds, or no score is of this metric.
    TableError
        If a column is absent.

    References
    ----------
    Satterthwaite (1946), doi:10.2307/3002019; Searle, Casella, McCulloch (1992), Variance Components, chapter 4.

    Examples
    --------
    >>> import pandas as pd, surveysim as ss
    >>> errors = {(200, "raw"): 0.12, (200, "mrp"): 0.06, (800, "raw"): 0.06, (800, "mrp"): 0.05}
    >>> scores = pd.DataFrame(
    ...     {"n": n, "method": method, "seed": seed, "question_id": q, "metric": "wasserstein", "estimate": error + seed / 1000}
    ...     for (n, method), error in errors.items() for seed in (1, 2) for q in ("q1", "q2")
    ... )
    >>> paired = ss.paired_differences(scores, reference="raw")
    >>> paired.estimate.round(3).tolist(), paired.ratio.round(2).tolist()
    ([-0.06, -0.01], [0.51, 0.84])
    """
    tables = dict(_tables(scores, metric))
    best = _best_classical(tables) if reference == BEST_CLASSICAL else {}
    rows = []
    for (n, method), table in tables.items():
        name = best.get(n, reference)
        if (n, name) not in tables:
            raise EvaluationError(f"reference {name!r} has no scores at n = {n}; {nearest(name, {key[1] for key in tables})}")
        theirs = tables[n, name]
        same = theirs.index.equals(table.index) and theirs.columns.equals(table.columns)
        if not (same and (theirs.isna() == table.isna()).all(axis=None)):
            raise EvaluationError(f"{method!r} and {name!r} were scored on other questions or seeds at n = {n}; complete both")
        if method != name:
            rows.append({N: n, "method": method, "reference": name, METRIC: metric, **_paired(table, theirs)})
    return pd.DataFrame(rows)


def _paired(table: pd.DataFrame, reference: pd.DataFrame) -> dict[str, float]:
    """Difference and ratio of the means of two question x seed tables, with intervals."""
    scale = float(np.nanmean(reference.to_numpy()))
    difference = table - reference
    mean = float(np.nanmean(difference.to_numpy()))
    low, high, error = crossed_interval(difference)
    found = {ESTIMATE: mean, STD_ERROR: error, CONF_LOW: low, CONF_HIGH: high}
    if scale == 0:
        return found | dict.fromkeys(("ratio", "ratio_low", "ratio_high"), np.nan)
    ratio = 1 + mean / scale
    ratio_low, ratio_high, _ = crossed_interval(table - ratio * reference)
    return found | {"ratio": ratio, "ratio_low": ratio + ratio_low / scale, "ratio_high": ratio + ratio_high / scale}


def savings(scores: pd.DataFrame, *, reference: str, metric: str = "wasserstein") -> pd.DataFrame:
    """Return the share of respondents every method saves over a reference method, from the reference's measured curve.

    Parameters
    ----------
    scores : DataFrame
        As of `compare_methods`, with at least two sizes of the reference.
    reference : str
        A method, or ``"best classical"``: then the curve is the smallest mean error of any classical method at each n.
    metric : str

    Returns
    -------
    DataFrame
        A row per `n` and `method`, with `n_needed`, `data_saved` and `bound` as of `data_saved`.

    Raises
    ------
    EvaluationError
        If the reference is not among the methods or has one size only.

    References
    ----------
    Ayer et al. (1955), doi:10.1214/aoms/1177728423 (pooling adjacent violators).

    Examples
    --------
    >>> import pandas as pd, surveysim as ss
    >>> errors = {(200, "raw"): 0.12, (200, "mrp"): 0.06, (800, "raw"): 0.06, (800, "mrp"): 0.05}
    >>> scores = pd.DataFrame(
    ...     {"n": n, "method": method, "seed": seed, "question_id": q, "metric": "wasserstein", "estimate": error + seed / 1000}
    ...     for (n, method), error in errors.items() for seed in (1, 2) for q in ("q1", "q2")
    ... )
    >>> saved = ss.savings(scores, reference="raw")
    >>> saved = saved[(saved.method == "mrp") & (saved.n == 200)].iloc[0]
    >>> round(float(saved.n_needed)), round(float(saved.data_saved), 2), saved.bound  # raw needs 800 where MRP needs 200
    (800, 0.75, 'exact')
    """
    means = summarise_comparison(scores, metric=metric)
    curve = best_classical(scores, metric=metric) if reference == BEST_CLASSICAL else means[means["method"] == reference]
    if curve.empty:
        raise EvaluationError(f"reference {reference!r} is not among the methods; {nearest(reference, means['method'].unique())}")
    return data_saved(curve, means[[N, "method", ESTIMATE]]).assign(reference=reference)


def best_classical(scores: pd.DataFrame, *, metric: str = "wasserstein") -> pd.DataFrame:
    """Return the rows of `summarise_comparison` of the classical method with the smallest mean error, one at each n.

    Raises
    ------
    EvaluationError
        If no classical method was scored at some n, or no score is of this metric.
    """
    means = summarise_comparison(scores, metric=metric)
    return means[means["method"] == means[N].map(_best_classical(dict(_tables(scores, metric))))]


def saving_intervals(curve: pd.DataFrame, *, method: str, reference: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """Return a 95% interval of what a method saves over a reference at each of its sizes, by drawing both curves again.

    Rows with `question_id` and `seed` are drawn by questions and by seeds, with replacement, the same for both curves (the pigeonhole
    bootstrap, which is conservative); other curves of several rows a size by their rows, and a single row normally by its interval.

    Parameters
    ----------
    curve : DataFrame
        `source n estimate`, of one metric, with `question_id` and `seed`, or `conf_low` and `conf_high`, where known.
    method : str
    reference : sequence of str
        One source, or several, of which the best at each n counts in every draw.
    seed : int

    Returns
    -------
    DataFrame
        `n saved_low saved_high`, a row per size of the method. An end that lies outside the reference's curve is missing, for nothing is
        extrapolated; both are missing where no interval is known.

    References
    ----------
    Owen (2007), doi:10.1214/07-AOAS122.
    """
    rng = np.random.default_rng(seed)
    drawn = _drawn_curves(curve[curve[SOURCE].isin([method, *reference])], rng)
    sizes = sorted({n for name, n in drawn if name in reference})
    best = np.array([np.min([drawn[name, n] for name in reference if (name, n) in drawn], axis=0) for n in sizes])  # (sizes, draws)
    rows = []
    for n in sorted(n for name, n in drawn if name == method):
        ours = drawn[method, n]
        if not np.isfinite(best).all() or not np.isfinite(ours).all() or not (np.ptp(ours) > 0 or np.ptp(best) > 0):
            rows.append((n, np.nan, np.nan))
            continue
        curves = [non_increasing(each, np.ones(len(sizes))) for each in best.T]
        needed = np.exp([log_n_at(error, each, np.log(sizes)) for error, each in zip(ours, curves, strict=True)])
        needed[[error > each[0] for error, each in zip(ours, curves, strict=True)]] = 0.0
        needed[[error < each[-1] for error, each in zip(ours, curves, strict=True)]] = np.inf
        low, high = np.quantile(needed, ENDS, method="inverted_cdf")
        ends = (1 - n / min(low, sizes[-1]) if low > 0 else np.nan, 1 - n / max(high, sizes[0]) if np.isfinite(high) else np.nan)
        rows.append((n, *ends))
    return pd.DataFrame(rows, columns=[N, "saved_low", "saved_high"])


def _drawn_curves(curve: pd.DataFrame, rng: np.random.Generator) -> dict[tuple[str, float], Array]:
    """Return (source, n) -> errors drawn again, of shape (draws,)."""
    crossed = QUESTION in curve and SEED_COLUMN in curve
    counts = {}
    for name in (QUESTION, SEED_COLUMN) if crossed else ():
        values = pd.unique(curve[name])
        counts[name] = pd.DataFrame(rng.multinomial(len(values), np.full(len(values), 1 / len(values)), DRAWS), columns=values)
    found = {}
    for (source, n), own in curve.groupby([SOURCE, N], sort=False):
        values = own[ESTIMATE].to_numpy(float)
        if crossed:
            weight = counts[QUESTION][own[QUESTION]].to_numpy() * counts[SEED_COLUMN][own[SEED_COLUMN]].to_numpy()
            total = weight.sum(1)
            drawn = np.divide(weight @ values, total, out=np.full(DRAWS, values.mean()), where=total > 0)
        elif len(values) > 1:
            drawn = rng.choice(values, (DRAWS, len(values))).mean(1)
        else:
            ends = own[[CONF_LOW, CONF_HIGH]].to_numpy(float)[0] if {CONF_LOW, CONF_HIGH} <= set(own) else np.array([np.nan, np.nan])
            drawn = values[0] + rng.standard_normal(DRAWS) * (ends[1] - ends[0]) / (2 * Z_95)
        found[source, float(n)] = drawn
    return found


def classical_in(scores: pd.DataFrame) -> list[str]:
    """Return the classical methods among the scores."""
    from surveysim.baselines.methods import BASELINES

    return [name for name in dict.fromkeys(scores["method"]) if name in BASELINES]


def crossed_interval(table: pd.DataFrame) -> tuple[float, float, float]:
    """95% interval and standard error of the mean of a question x seed table, where questions and seeds are both drawn.

    With all cells present: the two-way random effects variance ``(MS_questions + MS_seeds - MS_rest) / (questions x seeds)``, and
    Satterthwaite's degrees of freedom. With other questions in every seed, the seeds' means are the observations.

    Parameters
    ----------
    table : DataFrame
        Questions by seeds.

    References
    ----------
    Satterthwaite (1946), doi:10.2307/3002019; Searle, Casella, McCulloch (1992), Variance Components, chapter 4.
    """
    values = table.to_numpy(float)
    variance, freedom = _seed_variance(values) if np.isnan(values).any() else _crossed_variance(values)
    if not freedom > 0:
        return np.nan, np.nan, np.nan
    centre, error = float(np.nanmean(values)), float(np.sqrt(variance))
    low, high = mean_intervals(np.array(centre), np.array(error), np.array(freedom))
    return float(low), float(high), error


def _seed_variance(values: Array) -> tuple[float, float]:
    means = np.nanmean(values, axis=0)
    return (float(means.var(ddof=1)) / len(means), len(means) - 1.0) if len(means) > 1 else (np.nan, 0.0)


def _crossed_variance(values: Array) -> tuple[float, float]:
    questions, seeds = values.shape
    cells = questions * seeds
    if min(questions, seeds) < 2:
        return (float(values.var(ddof=1)) / cells, cells - 1.0) if cells > 1 else (np.nan, 0.0)
    rows, columns = values.mean(1, keepdims=True), values.mean(0, keepdims=True)
    rest = ((values - rows - columns + values.mean()) ** 2).sum() / ((questions - 1) * (seeds - 1))
    squares = np.array([seeds * rows.var(ddof=1), questions * columns.var(ddof=1), rest])
    degrees = np.array([questions - 1, seeds - 1, (questions - 1) * (seeds - 1)])
    total = squares[0] + squares[1] - squares[2]
    if total <= squares[:2].max():  # one way varies no more than chance: the other alone counts
        place = int(squares[:2].argmax())
        return float(squares[place] / cells), float(degrees[place])
    return float(total / cells), float(total**2 / (squares**2 / degrees).sum())


def _best_classical(tables: dict[tuple[int, str], pd.DataFrame]) -> dict[int, str]:
    from surveysim.baselines.methods import BASELINES

    means = {key: float(np.nanmean(table.to_numpy())) for key, table in tables.items() if key[1] in BASELINES}
    sizes = {n for n, _ in tables}
    absent = sizes - {n for n, _ in means}
    if absent:
        raise EvaluationError(f"reference 'best classical': no classical method was scored at n = {first_few(sorted(absent))}")
    return {n: min((key for key in means if key[0] == n), key=means.__getitem__)[1] for n in sizes}


def _tables(scores: pd.DataFrame, metric: str) -> Iterator[tuple[tuple[int, str], pd.DataFrame]]:
    """Yield each (n, method) with its question x seed table."""
    require_columns(scores, NEEDED, "scores")
    chosen = scores[scores[METRIC] == metric]
    if chosen.empty:
        raise EvaluationError(f"scores: none is of metric {metric!r}; {nearest(metric, scores[METRIC].unique())}")
    bad = chosen.index[~np.isfinite(chosen[[N, ESTIMATE]].to_numpy(float)).all(axis=1)]
    if len(bad):
        raise EvaluationError(
            f"scores: {N} or {ESTIMATE} of metric {metric!r} is missing or infinite in row {first_few(bad)}; drop these rows"
        )
    chosen = chosen.assign(**{ESTIMATE: chosen[ESTIMATE].to_numpy(float)})  # of a nullable type what is not there would be NA
    for key, group in chosen.groupby([N, "method"], sort=False):
        yield key, group.pivot_table(index=QUESTION, columns="seed", values=ESTIMATE)
