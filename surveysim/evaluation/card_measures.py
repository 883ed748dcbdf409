"""The measures of a scorecard: what a table of shares gets right about a truth, beside noise floor, nulls and each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from surveysim.codebook.backgrounds import parse_background_id, traits_in
from surveysim.design.outcomes import adjusted_p_values, t_outcome
from surveysim.errors import DesignError
from surveysim.evaluation.floor import floor_draws, other_background
from surveysim.evaluation.metrics import total_variation
from surveysim.evaluation.scores import CELL_WEIGHT, evaluate, on_same_cells, score_arrays
from surveysim.evaluation.summaries import diagnose, error_quantiles, question_means, tail_mean
from surveysim.tables.cells import Array, Cells
from surveysim.tables.intervals import ANYWHERE, OF_A_SHARE, Z_95, mean_intervals
from surveysim.tables.schema import (
    BACKGROUND,
    CELL,
    CONF_HIGH,
    CONF_LOW,
    DISTRIBUTION_KEYS,
    ESTIMATE,
    METRIC,
    N_EFF,
    QUESTION,
    SHARE,
    SOURCE,
    STD_ERROR,
    N,
)

QUANTILES = {"median_error": 0.5, "error_90": 0.9}
POSITIVE = (0.0, np.inf)
SIGNED = (-1.0, 1.0)
DERANGEMENTS = 50  # of the backgrounds, that the mean of the shuffled null is over


@dataclass(frozen=True, eq=False)
class Judged:
    """A table and the truth on the same cells.

    Attributes
    ----------
    name : str
    table, truth_table : DataFrame
    ours, truth : Cells
    weight : array, shape (questions, backgrounds)
        Sums to 1 over the backgrounds of a question; 0 where there is no cell.
    scores : DataFrame
        As of `evaluate`.
    ordered : array of bool, shape (questions,)
    """

    name: str
    table: pd.DataFrame
    truth_table: pd.DataFrame
    ours: Cells
    truth: Cells
    weight: Array
    scores: pd.DataFrame
    ordered: np.ndarray

    @property
    def shares(self) -> tuple[Array, Array]:
        """Shares of both sides, all options alike where there is no cell."""
        filler = (self.truth.mask / self.truth.mask.sum(-1, keepdims=True))[:, None]
        there = (self.weight > 0)[..., None]
        return np.where(there, self.ours.shares, filler), np.where(there, self.truth.shares, filler)

    def rows_of(self, metric: str) -> np.ndarray:
        """Return which questions a metric of the scores is of."""
        found = set(self.scores.loc[self.scores[METRIC] == metric, QUESTION])
        return np.array([question in found for question in self.truth.questions])


def judged(
    name: str,
    table: pd.DataFrame,
    truth: pd.DataFrame,
    *,
    metrics: Sequence[str],
    ordered: frozenset[str],
    weights: pd.DataFrame | Mapping[str, float] | None,
) -> Judged:
    """Lay a table beside the truth, and score its cells.

    Raises
    ------
    EvaluationError, TableError
        As of `evaluate`.
    """
    scores = evaluate(table, truth, metrics=metrics, ordinal=ordered, weights=weights)
    ours, cells, _ = on_same_cells(table, truth[truth[SHARE].notna()], truth, "all")
    given = scores.drop_duplicates(CELL)
    weight = np.zeros(cells.n.shape)
    row, column = pd.Index(cells.questions).get_indexer(given[QUESTION]), pd.Index(cells.backgrounds).get_indexer(given[BACKGROUND])
    weight[row, column] = given[CELL_WEIGHT]
    total = weight.sum(-1, keepdims=True)
    weight = np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)
    return Judged(name, table, truth, ours, cells, weight, scores, np.array([question in ordered for question in cells.questions]))


def measures_of(one: Judged, *, draws: int, seed: int) -> pd.DataFrame:
    """Return every measure of one table: a row each, with its mean over questions, 95% interval, and p value where it is tested."""
    rows = []
    for metric in one.scores[METRIC].unique():
        rows += [{METRIC: metric, **row} for row in _distances(one, metric, draws=draws, seed=seed)]
    rows += [*_options(one, draws=draws, seed=seed), *_differences(one), *_coverage(one)]
    bias = subgroups_of(one)
    for trait, own in bias.groupby("trait", sort=False):
        by_question = own.pivot_table(index=QUESTION, values="distance", aggfunc="mean")["distance"]
        rows.append({"measure": f"subgroup_error_{trait}", **over_questions(by_question.to_numpy(float), OF_A_SHARE)})
    return pd.DataFrame(rows).assign(**{SOURCE: one.name})


def floor_measures(one: Judged, sizes: Array, name: str, *, draws: int, seed: int) -> pd.DataFrame:
    """Return the distances that a fresh sample of these sizes would have: the mean of each measure over draws."""
    names = list(one.scores[METRIC].unique())
    drawn = floor_draws(one.truth, sizes, names, draws=draws, seed=seed)
    rows = []
    for metric in names:
        errors = drawn[metric][:, one.rows_of(metric)]
        weight = one.weight[one.rows_of(metric)]
        means = {"distance": (errors * weight).sum(-1)}
        means |= {key: np.array([error_quantiles(each, weight, level) for each in errors]) for key, level in QUANTILES.items()}
        means["worst_tenth"] = np.array([tail_mean(each, weight) for each in errors])
        rows += [{METRIC: metric, "measure": key, **over_questions(value.mean(0), POSITIVE)} for key, value in means.items()]
    return pd.DataFrame(rows).assign(**{SOURCE: name})


def over_questions(values: Array, bounds: tuple[float, float] = ANYWHERE) -> dict[str, float]:
    """Return the mean over questions with its 95% t interval; missing values are no questions."""
    known = values[np.isfinite(values)]
    mean = float(known.mean()) if len(known) else np.nan
    error = float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else np.nan
    low, high = mean_intervals(np.array(mean), np.array(error), np.array(len(known) - 1.0), bounds=bounds)
    return {ESTIMATE: mean, STD_ERROR: error, CONF_LOW: float(low), CONF_HIGH: float(high), "n_questions": len(known)}


def _distances(one: Judged, metric: str, *, draws: int, seed: int) -> list[dict[str, object]]:
    """Mean, quantiles and tail of a distance; the same with the table's own mean for everybody, and with its backgrounds exchanged."""
    asked = one.rows_of(metric)
    p, q = (shares[asked] for shares in one.shares)
    weight, mask = one.weight[asked], one.truth.mask[asked]

    def errors(estimated: Array) -> Array:
        return score_arrays(estimated, q, mask, [metric])[metric]

    own = errors(p)
    rows = {"distance": (own * weight).sum(-1), **{key: error_quantiles(own, weight, level) for key, level in QUANTILES.items()}}
    rows["worst_tenth"] = tail_mean(own, weight)
    rows["distance_own_mean"] = (errors(np.broadcast_to(np.einsum("qb,qbk->qk", weight, p)[:, None], p.shape)) * weight).sum(-1)
    found = [{"measure": key, **over_questions(value, POSITIVE)} for key, value in rows.items()]
    groups = _same_traits(one.truth.backgrounds)
    if max(map(len, groups)) < 2:
        return found
    there = weight > 0
    rng = np.random.default_rng(seed)

    def exchanged(order: np.ndarray) -> Array:
        moved = np.where((there & there[:, order])[..., None], p[:, order], p)  # a question without that other keeps its own
        return (errors(moved) * weight).sum(-1)

    place = {name: number for number, name in enumerate(one.truth.backgrounds)}
    others = [other_background(one.truth.backgrounds, rng) for _ in range(min(draws, DERANGEMENTS))]
    shuffled = np.mean([exchanged(np.array([place[other[name]] for name in place])) for other in others], axis=0)
    observed, at_random = rows["distance"].mean(), []
    for _ in range(draws):
        order = np.arange(len(place))
        for group in groups:
            order[group] = rng.permutation(group)
        at_random.append(exchanged(order).mean())
    p_value = (1 + int((np.array(at_random) <= observed + 1e-12).sum())) / (1 + draws)
    return [*found, {"measure": "distance_shuffled", **over_questions(shuffled, POSITIVE), "p_value": p_value}]


def _same_traits(backgrounds: Sequence[str]) -> list[np.ndarray]:
    """Return the positions of the backgrounds that name the same traits, set by set."""
    traits = pd.Series([" ".join(traits_in([name])) for name in backgrounds])
    return [np.asarray(place) for place in traits.groupby(traits, sort=False).indices.values()]


def _options(one: Judged, *, draws: int, seed: int) -> list[dict[str, object]]:
    """Whether the most frequent answer, and the order of options, are the truth's; tested by relabelling the options of each question.

    The same relabelling holds in all backgrounds of a question, which are no independent witnesses of which options are popular.
    """
    tops, ranks = [], []
    for p, q, mask, weight in zip(*one.shares, one.truth.mask, one.weight, strict=True):
        p, q = p[:, mask], q[:, mask]
        first = np.arange(p.shape[1]) == p.argmax(-1)[:, None]
        among = q >= q.max(-1, keepdims=True) - 1e-12
        tops.append(np.einsum("b,bk,bl->kl", weight, first, among))
        ranks.append(np.einsum("b,bk,bl->kl", weight, _unit_ranks(p), _unit_ranks(q)))
    rng = np.random.default_rng(seed)
    rows = []
    for measure, tables, bounds in (("top_answer", tops, OF_A_SHARE), ("option_rank", ranks, SIGNED)):
        by_question = np.array([np.trace(table) for table in tables])
        relabelled = [np.mean([table[rng.permutation(len(table)), np.arange(len(table))].sum() for table in tables]) for _ in range(draws)]
        p_value = (1 + int((np.array(relabelled) >= by_question.mean() - 1e-12).sum())) / (1 + draws)
        rows.append({"measure": measure, **over_questions(by_question, bounds), "p_value": p_value})
    return rows


def _unit_ranks(shares: Array) -> Array:
    """Ranks over options, centred and of length 1, so that products sum to Spearman's correlation; 0 where all options are level."""
    from scipy.stats import rankdata

    ranks = rankdata(shares.round(12), axis=-1)
    ranks = ranks - ranks.mean(-1, keepdims=True)
    length = np.sqrt((ranks**2).sum(-1, keepdims=True))
    return np.divide(ranks, length, out=np.zeros_like(ranks), where=length > 0)


def _differences(one: Judged) -> list[dict[str, object]]:
    """Variance between backgrounds over the truth's, as a ratio of sums with its linearised interval, and agreement of their order."""
    if len(one.truth.backgrounds) < 2:
        return []
    found = diagnose(one.table, one.truth_table, ordinal=set(np.array(one.truth.questions)[one.ordered]))
    ours, theirs = (found[f"variance_{side}"].to_numpy(float) for side in ("estimated", "reference"))
    rank = {"measure": "background_rank", **over_questions(found["rank_agreement"].to_numpy(float), SIGNED)}
    if not theirs.sum() > 0:
        return [rank]
    ratio = ours.sum() / theirs.sum()
    about = over_questions(ratio + (ours - ratio * theirs) / theirs.mean(), POSITIVE)
    return [{"measure": "variance_ratio", **about}, rank]


def _coverage(one: Judged) -> list[dict[str, object]]:
    """How often stated 95% intervals hold the truth, whose own sampling error widens them, and how wide they are."""
    if CONF_LOW not in one.table or CONF_HIGH not in one.table:
        return []
    known = one.table[[*DISTRIBUTION_KEYS, SHARE, CONF_LOW, CONF_HIGH]].dropna()
    both = known.merge(_with_error(one.truth_table), on=DISTRIBUTION_KEYS, suffixes=("", "_true"))
    if both.empty:
        return []
    away = both[f"{SHARE}_true"] - both[SHARE]
    half = np.where(away > 0, both[CONF_HIGH] - both[SHARE], both[SHARE] - both[CONF_LOW])
    held = away.abs() <= np.sqrt(half**2 + (Z_95 * both["_error"]) ** 2) + 1e-12
    questions = both.assign(held=held, width=both[CONF_HIGH] - both[CONF_LOW]).groupby(QUESTION, sort=False)
    return [
        {"measure": "coverage", **over_questions(questions["held"].mean().to_numpy(float), OF_A_SHARE)},
        {"measure": "interval_width", **over_questions(questions["width"].mean().to_numpy(float), OF_A_SHARE)},
    ]


def _with_error(truth: pd.DataFrame) -> pd.DataFrame:
    """Return the truth's shares with their standard errors: its own, or multinomial ones of `n_eff` (or `n`) respondents."""
    size = next((truth[name] for name in (N_EFF, N) if name in truth), pd.Series(np.nan, index=truth.index)).to_numpy(float)
    share = truth[SHARE].to_numpy(float)
    error = np.sqrt(np.divide(share * (1 - share), size, out=np.full(len(share), np.nan), where=size > 0))
    stated = truth[STD_ERROR].to_numpy(float) if STD_ERROR in truth else error
    known = truth[[*DISTRIBUTION_KEYS, SHARE]].assign(_error=np.where(np.isfinite(stated), stated, error))
    return known[np.isfinite(known["_error"]) & known[SHARE].notna()]


def subgroups_of(one: Judged) -> pd.DataFrame:
    """Return how far every level of every trait is missed as a whole, question by question.

    Returns
    -------
    DataFrame
        A row per trait, level and question: `distance` (total variation of the level's mean shares) and `bias` (mean position of the
        estimate less that of the truth, on a scale from 0, the first option, to 1, the last; missing for nominal questions).
    """
    levels = [parse_background_id(name) for name in one.truth.backgrounds]
    rows = []
    for trait in traits_in(one.truth.backgrounds):
        for level in dict.fromkeys(own[trait] for own in levels if trait in own):
            weight = one.weight * np.array([own.get(trait) == level for own in levels])
            asked = weight.sum(-1) > 0
            share = weight[asked] / weight[asked].sum(-1, keepdims=True)
            p, q = (np.einsum("qb,qbk->qk", share, shares[asked]) for shares in one.shares)
            steps = np.maximum(one.truth.mask[asked].sum(-1) - 1, 1)
            position = ((p - q) * np.arange(p.shape[-1])).sum(-1) / steps
            found = {
                "distance": total_variation(p, q, mask=one.truth.mask[asked]),
                "bias": np.where(one.ordered[asked], position, np.nan),
            }
            rows.append(
                pd.DataFrame({"trait": trait, "level": level, QUESTION: np.array(one.truth.questions, dtype=object)[asked], **found})
            )
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=["trait", "level", QUESTION, "distance", "bias"])


def subgroup_table(one: Judged) -> pd.DataFrame:
    """Return the means of `subgroups_of` over questions: a row per trait, level and measure (`distance`, `bias`), with 95% intervals."""
    rows = []
    for (trait, level), own in subgroups_of(one).groupby(["trait", "level"], sort=False):
        for measure, bounds in (("distance", OF_A_SHARE), ("bias", SIGNED)):
            if own[measure].notna().any():
                about = over_questions(own[measure].to_numpy(float), bounds)
                rows.append({SOURCE: one.name, "trait": trait, "level": level, "measure": measure, **about})
    return pd.DataFrame(rows)


def paired_tests(each: Sequence[Judged]) -> pd.DataFrame:
    """Test every two tables against each other: paired t tests of their errors over questions, p values adjusted after Holm.

    Returns
    -------
    DataFrame
        A row per metric and pair: `source other estimate` (error of `source` less that of `other`) `std_error conf_low conf_high df
        p_value p_adjusted n_questions`. Holm's correction is over the pairs of a metric. With one question there is no test.
    """
    means = {one.name: question_means(one.scores).set_index([METRIC, QUESTION])[ESTIMATE] for one in each}
    rows = []
    for metric in each[0].scores[METRIC].unique():
        for one, other in combinations(means, 2):
            gaps = (means[one][metric] - means[other][metric]).to_numpy(float)
            about = over_questions(gaps)
            rows.append({METRIC: metric, SOURCE: one, "other": other, **about, "df": len(gaps) - 1, "p_value": _t_test(about)})
    found = pd.DataFrame(rows)
    if found.empty:
        return found
    adjusted = [adjusted_p_values(own["p_value"].to_numpy(float), "holm") for _, own in found.groupby(METRIC, sort=False)]
    return found.assign(p_adjusted=np.concatenate(adjusted))


def _t_test(about: Mapping[str, float]) -> float:
    """Return the p value of a mean over questions; missing where there is one question, or no spread."""
    if about["n_questions"] < 2:
        return np.nan
    try:
        return t_outcome(about[ESTIMATE], about[STD_ERROR], about["n_questions"] - 1).p_value
    except DesignError:  # all questions differ alike
        return np.nan
