"""A post-stratification frame for multilevel models in R: a row per cell of the population, its traits, its people, its answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from surveysim.codebook.backgrounds import background_id, parse_background_id
from surveysim.codebook.toml_file import CodebookLike, load_codebook
from surveysim.errors import TableError, first_few, nearest
from surveysim.estimation.margins import Margins
from surveysim.estimation.population import PEOPLE, population_traits
from surveysim.estimation.poststratification import cell_numbers, joint_table
from surveysim.publishing.disclosure import DISCLOSURE
from surveysim.publishing.exports import protected, write_facts, write_for_programs
from surveysim.survey.survey import Survey
from surveysim.tables.cells import to_cells
from surveysim.tables.names import names_of
from surveysim.tables.schema import BACKGROUND, MIN_N, N_EFF, QUESTION, SOURCE, SUPPRESSED, N, check_distributions, require_columns
from surveysim.whole_files import checked_target

CELL, TRIALS = "cell", "trials"
NOT_IN_A_NAME = re.compile(r"\W")  # of a column in R


def export_poststratification(
    population: pd.DataFrame | Survey | Margins,
    path: str | Path,
    *,
    by: str | Sequence[str] | None = None,
    codebook: CodebookLike | None = None,
    responses: pd.DataFrame | None = None,
    structure: pd.DataFrame | Survey | None = None,
    min_n: int = MIN_N,
) -> Path:
    """Write a population's cells as R's `brms` and `rstanarm` take them: trait columns, `N`, and the answers of a survey's cells.

    A row per cell: `cell` (the background_id), a column per trait (level names, in the codebook's order, so that
    ``factor(x, levels = unique(x))`` has that order), `N` (people, or their share). With `responses` also `trials`, the effective
    respondents, and ``y_<code>``, how many of them chose each option: ``n_eff share``, in whole numbers that add up to `trials`.
    Counts of a weighted survey are these and not the respondents' own: the weights and the design are in them. A cell without
    respondents has 0; one that is withheld has none (NA): the model is fitted without it and predicts it.

    Assumptions: answers within a cell are exchangeable, and the design's effect on a cell is that of a smaller simple random
    sample of `n_eff`.

    Levels stand as they are, also those that a spreadsheet would take for a formula, since R compares them with those of other
    frames; a warning names them. For a spreadsheet use `export_table`.

    Parameters
    ----------
    population : DataFrame, Survey or mapping
        As of `poststratify`.
    path : str or Path
        Ends in .csv. The file appears when it is complete; ``<file>.json`` beside it says the source, and levels in order.
    by : str or sequence of str, optional
        Traits; default those of `population` (needed for a survey and for margins).
    codebook : str, Path, Codebook or Survey, optional
        Orders the levels; without one they stand as they come.
    responses : DataFrame, optional
        A distributions table of one question and one source, of the same cells.
    structure : DataFrame or Survey, optional
        That margins are raked from.
    min_n : int
        Fewest respondents of a cell whose answers are told; 0: any. Where the population is itself a survey's, no cell of fewer
        may be in it.

    Returns
    -------
    Path

    Raises
    ------
    ReadError
        If the extension is not .csv or the folder does not exist.
    TableError
        If a table breaks its contract; `responses` holds several questions or sources, or respondents in cells that the
        population lacks; `by` is needed; or the population is of a survey and has cells of fewer than `min_n` respondents.
    BackgroundError, CodebookError
        If a trait is unknown.

    References
    ----------
    Ghitza and Gelman (2013), doi:10.1111/ajps.12004 (effective numbers of answers by cell). Gelman and Little (1997), Survey
    Methodology 23, 127-135. Burkner (2017), doi:10.18637/jss.v080.i01 (brms).

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pandas as pd, surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> by = ["gender", "education"]
    >>> answers = ss.response_distributions(survey, by=by, questions=["Q8_8"])
    >>> people = ss.read_population("us_adults_2014_2018")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     frame = pd.read_csv(ss.export_poststratification(people, Path(folder) / "cells.csv", by=by, responses=answers))
    >>> frame.columns.tolist()
    ['cell', 'gender', 'education', 'N', 'trials', 'y_1', 'y_2', 'y_3', 'y_4']
    """
    target = checked_target(path, (".csv",))
    if by is None and not isinstance(population, pd.DataFrame):
        raise TableError("give by=, the traits of the cells: a survey or margins do not say which")
    traits = names_of(population_traits(population) if by is None else by, "by", error=TableError)  # type: ignore[arg-type]
    table = joint_table(population, structure, traits)
    people = cell_numbers(table, traits)[PEOPLE]
    _refuse_small_cells(table, traits, min_n)
    frame = pd.DataFrame([parse_background_id(cell) for cell in people.index])
    if set(frame) != set(traits):
        raise TableError(f"the population's cells have traits {first_few(frame.columns)}, by= asks for {first_few(traits)}; name the same")
    frame = frame[traits]
    frame = frame.assign(**{"N": people.to_numpy()}).set_index(people.index.rename(CELL))
    book = None if codebook is None else load_codebook(codebook)
    levels = {name: list(frame[name].unique()) if book is None else list(book.trait(name).level_names) for name in traits}
    places = {name: {level: place for place, level in enumerate(of)} for name, of in levels.items()}
    frame = frame.sort_values(traits, key=lambda column: column.map(places[str(column.name)].__getitem__), kind="stable")
    facts: dict[str, object] = {**table.attrs, "levels": levels, DISCLOSURE: {"how": "suppress" if min_n else "none", "min_n": min_n}}
    if responses is not None:
        shown, counts = _counts(responses, people.index, min_n)
        frame, facts = frame.join(counts), {**facts, **shown.attrs}
    write_for_programs(target, frame.reset_index(), "R")
    write_facts(target, facts)
    return target


def _refuse_small_cells(table: pd.DataFrame, traits: Sequence[str], min_n: int) -> None:
    if N not in table or not min_n or not set(traits) <= set(table):
        return
    ids = [background_id(dict(zip(traits, row, strict=True))) for row in table[list(traits)].astype(str).itertuples(index=False)]
    size = table[N].groupby(np.array(ids, dtype=object), sort=False).sum()
    small = size.index[(size > 0) & (size < min_n)]
    if len(small):
        raise TableError(
            f"population rests on fewer than {min_n} respondents in {first_few(small)}; take a census table, join levels, or say min_n=0"
        )


def _counts(responses: pd.DataFrame, cells: pd.Index, min_n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the answers, protected, and their counts: a row per cell, `trials` and a column per option."""
    check_distributions(responses, "responses")
    require_columns(responses, [N, N_EFF], "responses")
    for column in (QUESTION, SOURCE):
        found = responses[column].unique()
        if len(found) > 1:
            raise TableError(f"responses holds {column} {first_few(found)}; keep one")
    strange = [cell for cell in responses.loc[responses[N] > 0, BACKGROUND].unique() if cell not in cells]
    if strange:
        raise TableError(f"responses has respondents in {first_few(strange)}, which population lacks; {nearest(strange[0], cells)}")
    shown = protected(responses, min_n=min_n, how="suppress")
    laid = to_cells(shown, backgrounds=list(cells), what="responses")
    whole = _whole_numbers(laid.shares[0], np.rint(laid.n_eff[0]))
    names = [TRIALS, *(NOT_IN_A_NAME.sub("_", f"y_{code}") for code in laid.codes[0])]
    hidden = set(shown.loc[shown[SUPPRESSED] != "", BACKGROUND]) if SUPPRESSED in shown else set()
    table = pd.DataFrame(np.column_stack([whole.sum(1), whole]), index=cells, columns=names)
    return shown, table.mask(pd.Series(cells.isin(list(hidden)), index=cells), axis=0).astype("Int64")


def _whole_numbers(shares: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """Return counts of every option that add up to `trials`, by largest remainder."""
    exact = shares * trials[:, None]
    whole = np.floor(exact + 1e-9)
    lacking = (np.where(shares.sum(1) > 0, trials, 0.0) - whole.sum(1)).astype(int)
    order = np.argsort(np.argsort(-(exact - whole), axis=1, kind="stable"), axis=1, kind="stable")
    return np.asarray(whole + (order < lacking[:, None]))
