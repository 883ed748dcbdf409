"""`AreaCells`: direct and simulated shares of the same cells as arrays, with what the area-level model needs to know of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from surveysim.baselines.fitting import PRIOR_ANSWERS
from surveysim.errors import EstimationError, first_few
from surveysim.tables.cells import Array, Cells, to_cells
from surveysim.tables.draws import draw_columns
from surveysim.tables.other_respondents import paired_folds
from surveysim.tables.schema import BACKGROUND, N_EFF, OPTION, QUESTION, SHARE, STD_ERROR, check_distributions, require_columns

POOLED_PART = 0.1  # of the pooled shares in a cell's metric: an option that the simulation rules out still has a variance
MOST_RELIABLE = 1.5  # effective respondents above which a cell's standard error says anything about the design effect


@dataclass(frozen=True, eq=False)
class AreaCells:
    """Direct and simulated cells, fold by fold.

    Attributes
    ----------
    layout : Cells
        Questions, backgrounds and options of the simulated table; `n` and `n_eff` are the direct table's, over all folds.
    direct, simulated : array, shape (folds, questions, backgrounds, options)
    metric : array, same shape
        Positive shares p: errors are taken to have a covariance proportional to ``diag(p) - pp'``.
    sampling : array, shape (folds, questions, backgrounds)
        Sampling variance in units of one respondent's: design effect over `n_eff`; infinite where nobody was sampled.
    multipliers : array, same shape
        Of the model variance: the simulated table's own variance in the same units, or 1.
    design_effect : float
    stated : bool
        Whether the simulated table states standard errors.
    draws : array, shape (folds, questions, backgrounds, options, draws), optional
        Of the simulated shares, less these shares.
    """

    layout: Cells
    direct: Array
    simulated: Array
    metric: Array
    sampling: Array
    multipliers: Array
    design_effect: float
    stated: bool
    draws: Array | None = None

    @property
    def sampled(self) -> npt.NDArray[np.bool_]:
        """True in cells with respondents, shape (folds, questions, backgrounds)."""
        return np.isfinite(self.sampling)


def area_cells(direct: pd.DataFrame, simulated: pd.DataFrame, *, independent: bool = False) -> AreaCells:
    """Lay direct and simulated shares over one another.

    Parameters
    ----------
    direct, simulated : DataFrame
        As of `surveysim.composite`.
    independent : bool
        True states that the simulated shares were learnt from other respondents.

    Raises
    ------
    EstimationError
        If the simulated cells were learnt from respondents and nothing says that these are others, or a direct cell is
        not simulated.
    TableError
        If a table breaks its contract, or one has folds and the other has not.
    """
    require_columns(direct, [N_EFF], "direct")
    require_columns(simulated, [SHARE], "simulated")
    pairs = paired_folds(direct, simulated, independent=independent)
    layout = to_cells(pairs[0][1], what="simulated")
    ours = [_laid_out(table, layout, "direct") for table, _ in pairs]
    theirs = [_laid_out(table, layout, "simulated") for _, table in pairs]
    shares, models = (np.stack([cells.shares for cells in tables]) for tables in (ours, theirs))
    n_eff = np.stack([cells.n_eff for cells in ours])
    metric = _metric(models, shares, n_eff, layout.mask)
    errors = np.stack([_errors(table, layout) for table, _ in pairs])
    effect = _design_effect(errors, metric, n_eff, layout.mask)
    own = np.stack([_errors(table, layout) for _, table in pairs])
    stated = bool(np.isfinite(own).all())
    multipliers = _in_units(np.nan_to_num(own), metric, layout.mask) if stated else np.ones(n_eff.shape)
    sampling = np.where(n_eff > 0, effect / np.where(n_eff > 0, n_eff, 1), np.inf)
    both = Cells(**{**vars(layout), "n": sum(cells.n for cells in ours), "n_eff": n_eff.sum(0)})
    draws = _draws([table for _, table in pairs], models, layout) if stated and draw_columns(simulated) else None
    return AreaCells(both, shares, models, metric, sampling, np.maximum(multipliers, 1e-12), effect, stated, draws)


def _laid_out(table: pd.DataFrame, layout: Cells, what: str) -> Cells:
    """Arrays of a table in the layout of the simulated cells."""
    check_distributions(table, what)
    wanted = {(q, code) for q, codes in zip(layout.questions, layout.codes, strict=True) for code in codes}
    unknown = [cell for cell in table[BACKGROUND].unique() if cell not in layout.backgrounds]
    strange = {key for key in zip(table[QUESTION], table[OPTION], strict=True) if key not in wanted}
    if unknown or strange:
        raise EstimationError(
            f"{what} has cells that simulated lacks: {first_few(unknown) or 'none'}; options: "
            f"{first_few(sorted(map(str, strange))) or 'none'}; simulate them, or leave them out of {what}"
        )
    absent = [question for question in layout.questions if question not in set(table[QUESTION])]
    if absent:
        raise EstimationError(f"{what} lacks question {first_few(absent)}, which simulated has; give both tables the same questions")
    found = to_cells(table, backgrounds=layout.backgrounds, what=what)
    order = [found.questions.index(question) for question in layout.questions]
    if [found.codes[place] for place in order] != list(layout.codes):
        raise EstimationError(f"{what}: its options stand in another order than simulated's; give both the same option_order")
    if what == "simulated" and not np.allclose(found.shares.sum(-1), 1):
        raise EstimationError("simulated has cells without shares; simulate every question in every background")
    return Cells(**{**vars(layout), "shares": found.shares[order], "n": found.n[order], "n_eff": found.n_eff[order]})


def _metric(models: Array, shares: Array, n_eff: Array, mask: np.ndarray) -> Array:
    counts = (shares * n_eff[..., None]).sum((0, 2)) + PRIOR_ANSWERS * mask / mask.sum(-1, keepdims=True)
    pooled = counts / counts.sum(-1, keepdims=True)
    return (1 - POOLED_PART) * models + POOLED_PART * pooled[:, None]


def _errors(table: pd.DataFrame, layout: Cells) -> Array:
    """Standard errors in the layout; missing where the table has none."""
    out = np.full(layout.shares.shape, np.nan)
    out[np.broadcast_to(~layout.mask[:, None], out.shape)] = 0.0
    if STD_ERROR in table:
        out[_places(table, layout)] = table[STD_ERROR].to_numpy(float)
    return out


def _draws(tables: list[pd.DataFrame], shares: Array, layout: Cells) -> Array:
    names = draw_columns(tables[0])
    out = np.repeat(shares[..., None], len(names), axis=-1)
    for fold, table in enumerate(tables):
        out[fold][_places(table, layout)] = table[names].to_numpy(float)
    return out - shares[..., None]


def _places(table: pd.DataFrame, layout: Cells) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Question, background and option of every row, as positions in the layout."""
    row, column = pd.Index(layout.questions).get_indexer(table[QUESTION]), pd.Index(layout.backgrounds).get_indexer(table[BACKGROUND])
    places = {(q, code): k for q, codes in zip(layout.questions, layout.codes, strict=True) for k, code in enumerate(codes)}
    option = np.array([places[key] for key in zip(table[QUESTION], table[OPTION], strict=True)], dtype=int)
    return row, column, option


def _in_units(errors: Array, metric: Array, mask: np.ndarray) -> Array:
    """Squared standard errors of a cell in units of one respondent's variance: mean over the contrasts of its options."""
    safe = np.where(mask[:, None], metric, 1.0)
    return (errors**2 / safe).sum(-1) / (mask.sum(-1) - 1)[:, None]


def _design_effect(errors: Array, metric: Array, n_eff: Array, mask: np.ndarray) -> float:
    """Mean of the stated variances over that of as many independent respondents, weighted by `n_eff`; 1 without standard errors.

    A linearised variance of n respondents is low by ``(n - 1) / n``, which is put back.
    """
    usable = (n_eff > MOST_RELIABLE) & np.isfinite(errors).all(-1)
    if not usable.any():
        return 1.0
    stated = _in_units(np.nan_to_num(errors), metric, mask) * n_eff / np.maximum(n_eff - 1, MOST_RELIABLE - 1)
    return float((stated * n_eff)[usable].sum() / usable.sum())
