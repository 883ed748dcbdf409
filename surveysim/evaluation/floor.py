"""What a score is held against: a fresh human sample, which no estimate can be asked to beat, and the nulls, which any has to beat."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from numbers import Real

import numpy as np
import pandas as pd

from surveysim.codebook.backgrounds import traits_in
from surveysim.codebook.matching import scales_of
from surveysim.codebook.readable import readable
from surveysim.codebook.toml_file import CodebookLike, codebook_if_any
from surveysim.errors import EvaluationError, quoted
from surveysim.evaluation.metrics import METRICS, ORDERED_ONLY, require_metrics
from surveysim.evaluation.scores import CELL_WEIGHT, cell_weights, score_arrays, score_table
from surveysim.tables.cells import Array, Cells, to_cells
from surveysim.tables.schema import BACKGROUND, CELL, N_EFF, OPTION, QUESTION, SHARE, N, check_distributions


def noise_floor(
    reference: pd.DataFrame,
    *,
    n: pd.DataFrame | float | None = None,
    metrics: str | Sequence[str] = ("wasserstein", "total_variation"),
    codebook: CodebookLike | None = None,
    ordinal: str | Collection[str] | None = None,
    weights: pd.DataFrame | Mapping[str, float] | None = None,
    draws: int = 50,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the score that a fresh human sample would be expected to get against this reference.

    In every draw both the fresh sample and the reference are multinomial samples from the reference's shares, with
    their effective sizes: the reference has noise of its own, which no estimate can escape.

    Parameters
    ----------
    reference : DataFrame
        A distributions table with `n_eff` (or `n`).
    n : DataFrame or float, optional
        Size of the fresh sample in each cell. Default: as large as the reference. A distributions table (the training
        sample): its `n_eff` in each cell, where cells that it never sampled are left out and counted in `attrs`. A
        number: so many effective respondents a cell; infinite: an estimate that equals the population.
    metrics, codebook, ordinal, weights
        As in `evaluate`.
    draws : int
        Number of random draws to average over, at least 2.
    seed : int

    Returns
    -------
    DataFrame
        A scores table as of `evaluate`; `std_error` and interval describe the spread of a single draw.

    Raises
    ------
    EvaluationError
        If a metric is unknown, `draws` is below 2, the reference has no sizes, or `n` is not positive.
    TableError
        If a table breaks its contract.

    References
    ----------
    Efron (1979), doi:10.1214/aos/1176344552 (parametric bootstrap).

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> truth = ss.response_distributions(survey, by=["gender", "age3"], questions=["Q8_8"])
    >>> fresh = ss.noise_floor(truth, codebook=survey.codebook, metrics="wasserstein")
    >>> perfect = ss.noise_floor(truth, n=float("inf"), codebook=survey.codebook, metrics="wasserstein")
    >>> bool(0 < perfect.estimate.mean() < fresh.estimate.mean() < 0.03)
    True
    """
    names = require_metrics(metrics, tuple(METRICS))
    codebook = codebook_if_any(codebook)
    if draws < 2:
        raise EvaluationError(f"draws must be at least 2; got {draws}")
    check_distributions(reference, "reference")
    ordered = scales_of(reference[QUESTION], codebook, ordinal, needed=bool(set(names) & ORDERED_ONLY))
    truth = to_cells(reference[reference[SHARE].notna()], what="reference")
    if N not in reference and N_EFF not in reference:
        raise EvaluationError("reference has neither n nor n_eff, so its noise is unknown; add one of them")
    sizes = _fresh_sizes(truth, n)
    keep = (sizes > 0) & (truth.n_eff > 0)
    stacked = floor_draws(truth, sizes, names, draws=draws, seed=seed)
    values = {name: (stack.mean(0), stack.std(0, ddof=1)) for name, stack in stacked.items()}
    scores = score_table(truth, values, names, ordered, keep)
    scores[CELL_WEIGHT] = cell_weights(scores, reference, weights)
    scores.attrs.update(never_sampled=int(((truth.n_eff > 0) & (sizes <= 0)).sum()))
    return readable(scores, codebook, like=[reference])


def floor_draws(truth: Cells, sizes: Array, names: Sequence[str], *, draws: int, seed: int) -> dict[str, Array]:
    """Return metric -> scores of fresh samples, shape (draws, questions, backgrounds), for sizes of shape (questions, backgrounds)."""
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(draws):
        copy = _sample(truth, truth.n_eff, rng)
        drawn.append(score_arrays(_sample(truth, sizes, rng), copy, truth.mask, names))
    return {name: np.stack([draw[name] for draw in drawn]) for name in drawn[0]}


def marginal_for_all(table: pd.DataFrame, *, weight: str | None = None) -> pd.DataFrame:
    """Give every background a question's mean shares over all of them, weighted by a column (`n`) or all alike.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.evaluation.floor import marginal_for_all
    >>> cells = {"question_id": "q", "background_id": ["a=1", "a=2"], "option_code": 1, "share": [0.2, 0.6], "n": [30, 10]}
    >>> marginal_for_all(pd.DataFrame(cells), weight="n").share.round(2).tolist()
    [0.3, 0.3]
    """
    own = table[weight] if weight else pd.Series(1.0, index=table.index)
    keys = [table[name] for name in (QUESTION, OPTION)]
    return table.assign(share=(table[SHARE] * own).groupby(keys).transform("sum") / own.groupby(keys).transform("sum"))


def other_background(ids: Sequence[str], rng: np.random.Generator) -> dict[str, str]:
    """Return for every background another one, at random, among those of the same traits; one alone stays as it is."""
    source: dict[str, str] = {}
    traits = pd.Series([" ".join(traits_in([name])) for name in ids])
    for _, group in pd.Series(list(ids), dtype=object).groupby(traits.to_numpy(), sort=False):
        names = rng.permutation(group.unique())
        source |= dict(zip(names, np.roll(names, 1), strict=True))
    return source


def shuffled_backgrounds(table: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Give every background the shares of another one with the same traits, the same other in all questions; none keeps its own.

    A question without that other background keeps its own shares.

    Examples
    --------
    >>> import pandas as pd
    >>> from surveysim.evaluation.floor import shuffled_backgrounds
    >>> cells = {"question_id": "q", "background_id": ["a=1", "a=2"], "option_code": 1, "share": [0.2, 0.6]}
    >>> shuffled_backgrounds(pd.DataFrame(cells), seed=0).share.tolist()
    [0.6, 0.2]
    """
    source = other_background(table[BACKGROUND].unique(), np.random.default_rng(seed))
    given = table.set_index([QUESTION, OPTION, BACKGROUND])[SHARE]
    wanted = pd.MultiIndex.from_arrays([table[QUESTION], table[OPTION], table[BACKGROUND].map(source)])
    found = given.reindex(wanted).to_numpy(float)
    lacking = pd.Series(np.isnan(found)).groupby([table[name].to_numpy() for name in CELL]).transform("any")
    return table.assign(share=np.where(lacking, table[SHARE], found))


def _fresh_sizes(truth: Cells, n: pd.DataFrame | float | None) -> Array:
    if n is None:
        return truth.n_eff
    if isinstance(n, pd.DataFrame):
        check_distributions(n, "n")
        sample = to_cells(n[n[QUESTION].isin(truth.questions)], backgrounds=truth.backgrounds, what="n")
        sizes = dict(zip(sample.questions, sample.n_eff, strict=True))
        return np.stack([sizes.get(question, np.zeros(len(truth.backgrounds))) for question in truth.questions])
    if not isinstance(n, Real) or not float(n) > 0:
        raise EvaluationError(f"n must be positive, a number of respondents, or a distributions table; got {quoted(n)}")
    return np.full(truth.n_eff.shape, float(n))


def _sample(truth: Cells, sizes: Array, rng: np.random.Generator) -> Array:
    """Shares of a multinomial sample of the given size in each cell; the truth itself where the size is infinite."""
    uniform = truth.mask / truth.mask.sum(-1, keepdims=True)
    shares = np.where((truth.shares.sum(-1) > 0.5)[..., None], truth.shares, uniform[:, None])
    whole = np.maximum(np.rint(np.where(np.isfinite(sizes), sizes, 1)), 1).astype(int)
    drawn = rng.multinomial(whole, shares / shares.sum(-1, keepdims=True)) / whole[..., None]
    return np.where(np.isfinite(sizes)[..., None], drawn, shares)
