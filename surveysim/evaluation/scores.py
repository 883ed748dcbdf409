"""How close estimated response distributions come to a reference, cell by cell."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from surveysim.codebook.backgrounds import traits_in
from surveysim.codebook.matching import scales_of
from surveysim.codebook.readable import readable
from surveysim.codebook.toml_file import CodebookLike, codebook_if_any
from surveysim.errors import EvaluationError, first_few
from surveysim.evaluation.metrics import METRICS, NOMINAL_SUBSTITUTE, ORDERED_ONLY, require_metrics
from surveysim.tables.cells import Array, Cells, to_cells
from surveysim.tables.facts import is_simulated, simulated_rows
from surveysim.tables.intervals import ANYWHERE, normal_intervals
from surveysim.tables.names import names_of
from surveysim.tables.population_shares import population_shares
from surveysim.tables.schema import (
    BACKGROUND,
    CELL,
    CONF_HIGH,
    CONF_LOW,
    ESTIMATE,
    METRIC,
    N_EFF,
    QUESTION,
    SCORE_COLUMNS,
    SHARE,
    SOURCE,
    STD_ERROR,
    N,
    check_distributions,
    require_columns,
)
from surveysim.tables.weighting_record import RECORD, weighted_across

DEBIASED = "debiased_squared_error"  # squared_error less the reference's own sampling variance; can fall below 0
KNOWN_METRICS = (*METRICS, DEBIASED)
CELL_WEIGHT = "weight"
STEP = 1e-6  # share moved to one option when a score's derivative is taken


def evaluate(
    estimated: pd.DataFrame,
    reference: pd.DataFrame,
    *,
    metrics: str | Sequence[str] = ("wasserstein", "total_variation"),
    codebook: CodebookLike | None = None,
    ordinal: str | Collection[str] | None = None,
    by: str | Sequence[str] | None = None,
    weights: pd.DataFrame | Mapping[str, float] | None = None,
    on: str = "all",
) -> pd.DataFrame:
    """Score estimated distributions against a reference, cell by cell.

    Parameters
    ----------
    estimated : DataFrame
        A distributions table without empty cells.
    reference : DataFrame
        A distributions table of one source. Cells without respondents (missing shares) are no truth and are left out;
        `attrs` counts them.
    metrics : str or sequence of str
        Names of `METRICS`, and ``"debiased_squared_error"``: the squared error less the sampling variance of the
        reference, ``share (1 - share) / (n_eff - 1)``; its expectation is the error against the population.
    codebook : str, Path, Codebook or Survey, optional
        Says which questions are ordered.
    ordinal : str or collection of str, optional
        Ids of the ordered questions, in place of `codebook`. All others are nominal: there a metric for ordered options
        (wasserstein) is replaced by total_variation, and named so.
    by : str or sequence of str, optional
        Columns of `estimated` that tell several tables stacked in one apart, such as ``"source"``; they lead the result.
    weights : DataFrame or mapping, optional
        Population share of each background: a frame with `background_id` and `population_share`, or a mapping. Default:
        the reference's `n`; where it states none, all cells count alike.
    on : {"all", "shared"}
        "all": a cell that only one of the tables holds is an error. "shared": it is left out and counted in `attrs`.

    Returns
    -------
    DataFrame
        A row per question x background x metric (and `by`) with `estimate std_error conf_low conf_high` and `weight`.
        `std_error` and the 95% interval speak of the reference's sampling error alone (delta method with `n_eff`), and
        are missing where `n_eff` is unknown. `attrs`: `reference_empty`, `only_estimated`, `only_reference`, and
        `weights_applied`, the steps of weighting.

    Raises
    ------
    EvaluationError
        If a metric is unknown; the types of questions are needed and not given; the tables hold different cells or
        options; the reference is simulated and the estimate is not; an estimated cell is empty; several sources come without
        `by`; or a background has no weight.
    TableError
        If a table breaks its contract, or its cells were weighted over before.

    References
    ----------
    Vallender (1974), doi:10.1137/1118101 (the Wasserstein distance on a line).

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> train, truth = ss.hold_out_respondents(survey, n_train=400, seed=0)
    >>> tables = [ss.response_distributions(part, by=["gender"]) for part in (train, truth)]
    >>> scores = ss.evaluate(*tables, codebook=survey.codebook)
    >>> sorted(scores.metric.unique())
    ['total_variation', 'wasserstein']
    """
    names = require_metrics(metrics, KNOWN_METRICS)
    codebook = codebook_if_any(codebook)
    check_distributions(reference, "reference")
    require_columns(estimated, [SOURCE], "estimated")
    refuse_exchanged(estimated, reference, "estimated", "reference")
    ordered = scales_of(reference[QUESTION], codebook, ordinal, needed=bool(set(names) & ORDERED_ONLY))
    answered = reference[reference[SHARE].notna()]
    empty = len(reference[CELL].drop_duplicates()) - len(answered[CELL].drop_duplicates())
    parts, counts = [], {"reference_empty": empty, "only_estimated": 0, "only_reference": 0}
    for keys, table in _tables(estimated, by):
        ours, truth, only = on_same_cells(table, answered, reference, on)
        part = _score(ours, truth, names, ordered)
        parts.append(part.assign(**keys)[[*keys, *part.columns]])
        counts = {name: max(count, only.get(name, 0)) for name, count in counts.items()}
    scores = pd.concat(parts, ignore_index=True)
    scores[CELL_WEIGHT] = cell_weights(scores, answered, weights)
    scores.attrs.update(counts)
    scores.attrs[RECORD] = _weighting(estimated, weights)
    return readable(scores, codebook, like=[reference])


def refuse_exchanged(estimated: pd.DataFrame, reference: pd.DataFrame, one: str, other: str) -> None:
    """Refuse to hold respondents' answers against simulated ones as their truth: the two tables stand in each other's place.

    Raises
    ------
    EvaluationError
        If the reference says that it is simulated, and the estimate that it is not; the message names the arguments `one` and `other`.
    """
    told = simulated_rows(estimated)
    if told is not None and not told.any() and is_simulated(reference):
        raise EvaluationError(
            f"{other} is simulated and {one} is a survey's: give {one} first and {other}, what respondents answered, second; if "
            f"as_distributions made {other} of respondents' answers, give it simulated=False"
        )


def score_arrays(estimated: Array, reference: Array, mask: np.ndarray, names: Sequence[str]) -> dict[str, Array]:
    """Return metric -> scores of shape (questions, backgrounds), for shares of shape (questions, backgrounds, options)."""
    wanted = dict.fromkeys([name for name in names if name in METRICS])
    if set(names) & ORDERED_ONLY:
        wanted.setdefault(NOMINAL_SUBSTITUTE)
    return {name: METRICS[name](estimated, reference, mask=mask[:, None]) for name in wanted}


def _weighting(estimated: pd.DataFrame, weights: pd.DataFrame | Mapping[str, float] | None) -> list[dict[str, object]]:
    """Return the steps of weighting with the cell weights as the last; refuse cells that were weighted over before."""
    traits = traits_in(estimated[BACKGROUND].unique())
    about = weights.attrs if isinstance(weights, pd.DataFrame) else {}
    label = "respondents of the reference" if weights is None else str(about.get("weight", about.get("source", "weights given")))
    return weighted_across(estimated, traits, label)[RECORD]


def _tables(estimated: pd.DataFrame, by: Sequence[str] | None) -> Iterator[tuple[dict[str, object], pd.DataFrame]]:
    keys = names_of(() if by is None else by, "by", estimated.columns, error=EvaluationError, needed=False)
    require_columns(estimated, [*keys, SOURCE], "estimated")
    if not keys:
        sources = estimated[SOURCE].unique()
        if len(sources) > 1:
            raise EvaluationError(f"estimated holds {len(sources)} sources ({first_few(sources)}); select one, or give by='source'")
        yield {}, estimated
        return
    for values, table in estimated.groupby(keys, sort=False, observed=True):
        yield dict(zip(keys, values, strict=True)), table


def on_same_cells(estimated: pd.DataFrame, answered: pd.DataFrame, reference: pd.DataFrame, on: str) -> tuple[Cells, Cells, dict[str, int]]:
    """Both tables on the same cells: those that the reference answered."""
    if on not in ("all", "shared"):
        raise EvaluationError(f"on must be 'all' or 'shared'; got {on!r}")
    check_distributions(estimated, "estimated")
    ours, theirs, truths = (pd.MultiIndex.from_frame(table[CELL].drop_duplicates()) for table in (estimated, reference, answered))
    only_ours, only_theirs = ours.difference(theirs), truths.difference(ours)
    if on == "all" and (len(only_ours) or len(only_theirs)):
        raise EvaluationError(
            f"the tables hold different cells: only estimated has {_cells(only_ours)}; only reference has {_cells(only_theirs)}; "
            "give both the same questions and backgrounds, or on='shared' to score what they share"
        )
    shared = truths.intersection(ours)
    if not len(shared):
        raise EvaluationError("estimated and reference share no cell with respondents; compare question_id and background_id")
    picked = [table[pd.MultiIndex.from_frame(table[CELL]).isin(shared)] for table in (estimated, answered)]
    if picked[0][SHARE].isna().any():
        cells = picked[0].loc[picked[0][SHARE].isna(), CELL].drop_duplicates()
        raise EvaluationError(
            f"estimated has no shares in {_cells(pd.MultiIndex.from_frame(cells))}; estimate them, or drop these rows and give on='shared'"
        )
    truth = to_cells(picked[1], what="reference")
    mine = _same_layout(to_cells(picked[0], what="estimated"), truth)
    return mine, truth, {"only_estimated": len(only_ours), "only_reference": len(only_theirs)}


def _same_layout(cells: Cells, like: Cells) -> Cells:
    """`cells` with questions, backgrounds and options in the order of `like`."""
    own = dict(zip(cells.questions, cells.codes, strict=True))
    other = [q for q, codes in zip(like.questions, like.codes, strict=True) if tuple(own[q]) != tuple(codes)]
    if other:
        theirs = dict(zip(like.questions, like.codes, strict=True))
        shown = [f"{q} (estimated {list(own[q])}, reference {list(theirs[q])})" for q in other]
        raise EvaluationError(f"the options of {first_few(shown)} differ, or stand in another order; align option_code and option_order")
    rows = [cells.questions.index(q) for q in like.questions]
    columns = [cells.backgrounds.index(b) for b in like.backgrounds]
    pick = np.ix_(rows, columns)
    return Cells(like.questions, like.backgrounds, like.codes, like.orders, cells.shares[pick], cells.n[pick], cells.n_eff[pick], like.mask)


def _score(ours: Cells, truth: Cells, names: Sequence[str], ordered: frozenset[str]) -> pd.DataFrame:
    keep = (truth.shares.sum(-1) > 0.5) & (ours.shares.sum(-1) > 0.5)  # a ragged set of cells: the others hold no shares
    filler = truth.mask / truth.mask.sum(-1, keepdims=True)
    p, q = (np.where(keep[..., None], cells.shares, filler[:, None]) for cells in (ours, truth))
    values = {name: (score, _standard_error(name, p, q, truth)) for name, score in score_arrays(p, q, truth.mask, names).items()}
    if DEBIASED in names:
        noise = np.divide(1 - (q**2).sum(-1), truth.n_eff - 1, out=np.full(keep.shape, np.nan), where=truth.n_eff > 1)
        values[DEBIASED] = (METRICS["squared_error"](p, q, mask=truth.mask[:, None]) - noise, _standard_error("squared_error", p, q, truth))
    return score_table(truth, values, names, ordered, keep)


def _standard_error(name: str, p: Array, q: Array, truth: Cells) -> Array:
    """Delta method: the spread over respondents of the score's derivative towards their answer, over root n_eff."""
    mask = truth.mask[:, None]
    base = METRICS[name](p, q, mask=mask)
    slopes = np.zeros_like(q)
    for option in range(q.shape[-1]):
        valid = truth.mask[:, option, None, None]
        towards = np.where(valid, (1 - STEP) * q + STEP * (np.arange(q.shape[-1]) == option), q)
        slopes[..., option] = (METRICS[name](p, towards, mask=mask) - base) / STEP
    spread = (q * slopes**2).sum(-1) - (q * slopes).sum(-1) ** 2
    known = truth.n_eff > 0
    return np.sqrt(np.divide(np.clip(spread, 0, None), truth.n_eff, out=np.full(base.shape, np.nan), where=known))


def score_table(
    truth: Cells, values: Mapping[str, tuple[Array, Array]], names: Sequence[str], ordered: frozenset[str], keep: np.ndarray
) -> pd.DataFrame:
    """Return a scores table of the cells in `keep`, from metric -> (score, standard error), each (questions, backgrounds)."""
    is_ordered = np.array([question in ordered for question in truth.questions])
    chosen: dict[str, np.ndarray] = {}
    for name in names:
        fits = is_ordered if name in ORDERED_ONLY else np.ones(len(is_ordered), bool)
        chosen[name] = chosen.get(name, np.zeros(len(is_ordered), bool)) | fits
        if not fits.all():
            chosen[NOMINAL_SUBSTITUTE] = chosen.get(NOMINAL_SUBSTITUTE, np.zeros(len(is_ordered), bool)) | ~fits
    parts = []
    for name, rows in chosen.items():
        row, column = np.nonzero(keep & rows[:, None])
        score, error = (array[row, column] for array in values[name])
        low, high = normal_intervals(score, error, bounds=ANYWHERE if name == DEBIASED else (0.0, np.inf))
        parts.append(
            pd.DataFrame(
                {
                    QUESTION: np.array(truth.questions, dtype=object)[row],
                    BACKGROUND: np.array(truth.backgrounds, dtype=object)[column],
                    METRIC: name,
                    ESTIMATE: score,
                    STD_ERROR: error,
                    CONF_LOW: low,
                    CONF_HIGH: high,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)[SCORE_COLUMNS]


def cell_weights(scores: pd.DataFrame, reference: pd.DataFrame, weights: pd.DataFrame | Mapping[str, float] | None) -> np.ndarray:
    """Return the weight of every row of `scores`: population shares as given, or the reference's respondents.

    Raises
    ------
    EvaluationError
        If a background has no weight.
    """
    if weights is None:
        column = next((name for name in (N, N_EFF) if name in reference and (reference[name] > 0).any()), None)  # else none is stated
        if column is None:
            return np.ones(len(scores))
        sizes = reference.drop_duplicates(CELL).set_index(CELL)[column]
        return sizes.reindex(pd.MultiIndex.from_frame(scores[CELL])).to_numpy(float)
    return population_shares(weights, scores[BACKGROUND], "weights", error=EvaluationError)


def _cells(index: pd.MultiIndex) -> str:
    return first_few(f"{question} / {background}" for question, background in index) or "none"
