"""Simulated cells laid over a survey's respondents: the value predicted for each, and the background each counts in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from surveysim.codebook.backgrounds import background_id, parse_background_id
from surveysim.errors import EstimationError, first_few
from surveysim.estimation.poststratification import cell_traits
from surveysim.inference.cross_fitting import CrossFit
from surveysim.survey.domains import Domains, observed_domains
from surveysim.survey.survey import Survey
from surveysim.tables.cells import Array, to_cells
from surveysim.tables.names import known_names_of
from surveysim.tables.other_respondents import FOLD, require_other_respondents
from surveysim.tables.schema import BACKGROUND, POOLED, QUESTION, SHARE, require_columns


@dataclass(frozen=True, eq=False)
class PredictionCells:
    """Simulated shares by fold, and the fold of every respondent.

    Attributes
    ----------
    table : DataFrame
        As given.
    traits : list of str
        Of the cells.
    questions, backgrounds : tuple of str
    codes : mapping of question to option codes
    shares : mapping of question to array, shape (folds, backgrounds, options)
    fold : int array, shape (respondents,)
    """

    table: pd.DataFrame
    traits: list[str]
    questions: tuple[str, ...]
    backgrounds: tuple[str, ...]
    codes: dict[str, tuple[object, ...]]
    shares: dict[str, Array]
    fold: np.ndarray


@dataclass(frozen=True, eq=False)
class CellDomains:
    """Where respondents and cells count.

    Attributes
    ----------
    cell : int array, shape (respondents,)
        Simulated cell of each; -1 without a level of some trait.
    code : int array, shape (respondents,)
        Background of each; -1 likewise.
    of_cell : int array, shape (cells,)
        Background of each simulated cell; -1 where nobody was sampled in it.
    ids : tuple of str
        Names of the backgrounds.
    """

    cell: np.ndarray
    code: np.ndarray
    of_cell: np.ndarray
    ids: tuple[str, ...]


def prediction_cells(survey: Survey, simulated: pd.DataFrame | CrossFit, independent: bool) -> PredictionCells:
    """Lay out simulated cells, fold by fold.

    Raises
    ------
    EstimationError
        If the cells may have been learnt from these respondents, lack shares, or were cross-fitted on another survey.
    TableError
        If the table breaks its contract.
    """
    if isinstance(simulated, CrossFit):
        table, fold = simulated.simulated, simulated.fold
        if len(fold) != len(survey):
            raise EstimationError(
                f"simulated was cross-fitted on {len(fold):,} respondents, the survey has {len(survey):,}; give that survey"
            )
        tables = [table[table[FOLD] == place].drop(columns=FOLD) for place in sorted(table[FOLD].unique())]
    else:
        require_columns(simulated, [QUESTION, BACKGROUND, SHARE], "simulated")
        if FOLD in simulated:
            raise EstimationError(
                "simulated has a column 'fold'; give the whole result of cross_fit, which knows the fold of each respondent"
            )
        require_other_respondents(simulated, independent)
        table, fold, tables = simulated, np.zeros(len(survey), dtype=np.int64), [simulated]
    laid_out = [to_cells(each, what="simulated") for each in tables]
    first = laid_out[0]
    empty = [
        str(name) for cells in laid_out for name in cells.questions if not np.allclose(cells.shares[cells.questions.index(name)].sum(-1), 1)
    ]
    if empty:
        raise EstimationError(
            f"simulated has cells without shares in question {first_few(dict.fromkeys(empty))}; simulate every background"
        )
    shares = {name: np.stack([cells.shares[place] for cells in laid_out]) for place, name in enumerate(first.questions)}
    codes = dict(zip(first.questions, first.codes, strict=True))
    return PredictionCells(table, cell_traits(tables[0]), first.questions, first.backgrounds, codes, shares, fold)


def cell_domains(survey: Survey, cells: PredictionCells, by: str | Sequence[str]) -> CellDomains:
    """Find every respondent's simulated cell, and the background over the traits `by`.

    Raises
    ------
    EstimationError
        If a trait of `by` is none of the cells', or respondents are in cells that were not simulated.
    CodebookError, BackgroundError
        If the survey lacks a trait.
    """
    names = known_names_of(by, "by", cells.traits, error=EstimationError, lacking="the simulated cells have no trait", needed=False)
    found = observed_domains(survey, cells.traits) if cells.traits else Domains((POOLED,), np.zeros(len(survey), dtype=np.int64))
    lacking = [cell for cell in found.ids if cell not in cells.backgrounds]
    if lacking:
        raise EstimationError(f"respondents are in {first_few(lacking)}, which simulated lacks; simulate these backgrounds")
    place = np.append(pd.Index(cells.backgrounds).get_indexer(pd.Index(found.ids)), -1)
    cell = place[found.code]
    levels = [parse_background_id(identifier) for identifier in cells.backgrounds]
    into = [background_id({name: own[name] for name in names}) if names else POOLED for own in levels]
    observed = {into[position] for position in np.unique(cell[cell >= 0])}
    ids = tuple(name for name in dict.fromkeys(into) if name in observed)
    of_cell = pd.Index(ids).get_indexer(pd.Index(into))
    return CellDomains(cell, np.append(of_cell, -1)[cell], of_cell, ids)
