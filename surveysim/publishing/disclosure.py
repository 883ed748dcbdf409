"""Disclosure control of tables: cells of few respondents withheld or rounded, before anything is given to others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np
import pandas as pd

from surveysim.design.row_covariance import without_sums
from surveysim.errors import TableError, first_few
from surveysim.publishing.cell_rule import (
    DOMINANCE,
    KEY,
    UNSAID,
    Rule,
    by_weight,
    largest_weights_from,
    primary_reasons,
    sizes_told,
)
from surveysim.publishing.margin_sums import margin_equations
from surveysim.publishing.small_cells import Sizes, complementary, counting, exposed_cells, rounded_table, solved
from surveysim.tables.names import known_names_of
from surveysim.tables.schema import (
    BACKGROUND,
    ESTIMATE,
    LARGEST_WEIGHT,
    MIN_N,
    N_EFF,
    NESTED,
    OPTION,
    OPTION_LABEL,
    ORDER,
    QUESTION,
    SHARE,
    SOURCE,
    SUPPRESSED,
    N,
    check_distributions,
    require_columns,
)
from surveysim.tables.stacking import PARTS

DISCLOSURE = "disclosure"  # in attrs
DERIVABLE = "follows from other cells"
DIRECT = ("survey", "raw")  # sources whose shares are those of the cell's respondents
KEPT = frozenset({QUESTION, BACKGROUND, SOURCE, OPTION, ORDER, "fold", OPTION_LABEL})


def protect(
    table: pd.DataFrame,
    *,
    min_n: int = MIN_N,
    how: str = "suppress",
    min_count: int = 0,
    min_n_eff: float | None = None,
    dominance: float = DOMINANCE,
    model_based: str | Sequence[str] = (),
    published: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Withhold, or round, what a table says of small cells.

    A cell is a question in a background. ``how="suppress"``: all numbers of a cell become missing (primary suppression), all its
    options together, since the last would follow from the others, if it has 1 to ``min_n - 1`` respondents, fewer than `min_n_eff`
    effective ones, or one with more than `dominance` of its weight: the shares of 160 respondents of whom one has nearly all the
    weight are that one's answer. Where the table holds margins as well, further cells are withheld (secondary suppression) until no
    withheld cell follows from wholes and their other parts, nor has but one size left by the bounds of all sums together. A trait
    that lies within another (region in country) makes margins too: survey verbs record it, else names of levels tell
    (``18-24`` in ``18-34``, ``DE1`` in ``DE``). ``how="round"``: numbers of respondents become multiples of `min_n`, in every
    cell, and shares those of rounded numbers behind the options, so that nothing in the table speaks of fewer.

    A cell of 0 respondents says nothing of anybody and stays, so a simulated background that was never sampled does. Shares of
    a cell that was sampled are treated as the sample's, whatever made them: a composite or a shrunken share gives the direct one
    back to whoever knows the other. Name in `model_based` the sources for which that is not so; of them shares stay, and all other
    numbers are withheld, since a standard error tells how many respondents there were; rounded, a cell without respondents then
    looks like one that is rounded to 0, and standard errors have two digits.

    What it does not do: two tables, each protected, may betray a cell together (pass the first as `published` when you protect
    the second, or ask `audit_disclosure`); a share of 0 or 1 tells of everyone in its cell, however many
    (``attrs["disclosure"]["unanimous"]`` counts them). The rules of the data's owner come first; `min_n` 10 is the rule of thumb of
    the ONS for outputs of research.

    Parameters
    ----------
    table : DataFrame
        A distributions or estimates table, with `n`.
    min_n : int
        Fewest respondents of a published cell; when rounding, the base: 5 or 10 are usual.
    how : {"suppress", "round"}
    min_count : int
        Fewest respondents behind an option, as share times n (with weights, nearly); 0: any number. A cell with a smaller one
        is withheld whole. An option that nobody chose does not count.
    min_n_eff : float, optional
        Fewest effective respondents of a published cell; default half of `min_n`; 0: any. Where the table has no `n_eff`, nothing is
        asked.
    dominance : float
        Largest share (0-1) of a cell's weight that one respondent may have: `largest_weight` of the table or, where it has none, the
        most that `n_eff` allows, ``1/n + sqrt((1 - 1/n) (1/n_eff - 1/n))``, which is at most ``n_eff^(-1/2)``. 1: any.
    model_based : str or sequence of str
        Sources of `table` whose shares are not those of the cell's own respondents. Shares of a survey are, and cannot be named.
    published : DataFrame, optional
        A table that is out already, with `n`: neither cells withheld here nor those withheld there may follow from both together.
        Put several under one another with `stack`. A `table` that was protected before is looked at again.

    Returns
    -------
    DataFrame
        The table with a column `suppressed`: why a cell's numbers are missing, empty where they are not; without `largest_weight`,
        which speaks of one respondent. `attrs["disclosure"]` says how, and the number of cells, withheld for either reason, and from
        what the largest weights are known.

    Raises
    ------
    TableError
        If a table lacks `n` or `n` is missing in a cell with numbers; an argument is unknown or out of range, or `model_based` names a
        survey's own shares; `table` was protected less strictly before; or a cell follows from `published` whatever is withheld.

    References
    ----------
    Hundepool et al. (2012), Statistical Disclosure Control, chapter 4-5, Wiley, doi:10.1002/9781118348239. Cox (1980),
    doi:10.1080/01621459.1980.10477481.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> small, _ = ss.hold_out_respondents(survey, n_train=200, seed=0)
    >>> cells = ss.response_distributions(small, by=["race", "education"], questions=["Q8_8"])
    >>> shown = ss.protect(cells)
    >>> bool((shown.loc[shown.suppressed == "", "n"] >= 10).all()), shown.attrs["disclosure"]["primary"]
    (True, 4)
    """
    rule = Rule(how, min_n, min_count, min_n / 2 if min_n_eff is None else min_n_eff, dominance)
    cells = cells_of(table)
    sources = cells[SOURCE].unique()
    model_based = known_names_of(model_based, "model_based", sources, error=TableError, lacking="table has no source", needed=False)
    if direct := [name for name in model_based if name in DIRECT]:
        raise TableError(f"model_based names {first_few(map(repr, direct))}, whose shares are the respondents' own answers; leave it out")
    done = table.attrs.get(DISCLOSURE)
    if done and rule.kept_by(done):
        if how == "round" or (published is None and rule.weights_kept_by(done)):
            return table
    elif done and done.get("how") != "none":
        raise TableError(f"table was protected before, with {_said(done)}; protect the original with {_said(asdict(rule))}")
    if how == "round":
        return _rounded(table, cells, rule, model_based)
    return _suppressed(table, cells, rule, model_based, published)


def _said(done: dict[str, object]) -> str:
    return f"how={done['how']!r} and min_n={done['min_n']}"


def cells_of(table: pd.DataFrame, what: str = "table") -> pd.DataFrame:
    """Return a row per cell: question, source, background, `n`, and what is known of its weights and of why it was withheld.

    A table of estimates has the source ``"survey"``.
    """
    require_columns(table, [QUESTION, BACKGROUND, N], what)
    if SHARE in table:
        check_distributions(table, what)
    else:
        require_columns(table, [ESTIMATE], what)
    told = table[SHARE if SHARE in table else ESTIMATE].notna()
    columns = {SOURCE: "survey", N_EFF: np.nan, LARGEST_WEIGHT: np.nan, SUPPRESSED: ""}
    cells = table.assign(**{name: table.get(name, default) for name, default in columns.items()}, _told=told)
    cells[SUPPRESSED] = cells[SUPPRESSED].fillna("").astype(str)
    unknown = cells.loc[cells["_told"] & cells[N].isna() & (cells[SUPPRESSED] == ""), KEY]
    if len(unknown):
        rows = unknown.drop_duplicates().astype(str).agg(" / ".join, axis=1)
        raise TableError(f"{what}: n is missing in {first_few(rows)}; a cell of unknown size cannot be protected")
    return cells.drop_duplicates(KEY)[[*KEY, N, N_EFF, LARGEST_WEIGHT, SUPPRESSED]].reset_index(drop=True)


def _rounded(table: pd.DataFrame, cells: pd.DataFrame, rule: Rule, model_based: Sequence[str]) -> pd.DataFrame:
    if SHARE not in table:
        raise TableError("how='round' is for shares; of estimates use how='suppress'")
    why = _in_rows(by_weight(cells, rule), cells, table)
    shown = rounded_table(table, rule.min_n, model_based)
    why = np.where(shown[SUPPRESSED] == "", why, "")  # what is rounded away looks like what was never there
    shown[SUPPRESSED] = np.where(why != "", why, shown[SUPPRESSED])
    rounded_n = shown[N]
    shown = _without_numbers(shown, why != "", model_based).assign(**{N: rounded_n})
    return _noted(shown, {**asdict(rule), "min_count": 0, LARGEST_WEIGHT: largest_weights_from(cells)}, model_based)


def _suppressed(
    table: pd.DataFrame, cells: pd.DataFrame, rule: Rule, model_based: Sequence[str], published: pd.DataFrame | None
) -> pd.DataFrame:
    why = primary_reasons(table, cells, rule)
    out = None if published is None else cells_of(published, "published")
    recorded = recorded_nesting([table, *([] if published is None else [published])])
    for (question, source), part in cells.groupby([QUESTION, SOURCE], sort=False):
        own = part.assign(**{SUPPRESSED: why[part.index]})
        why[part.index] = _follows(own, _out_already(out, question, source), recorded, rule.min_n, f"{question} ({source})")
    shown = table.assign(**{SUPPRESSED: _in_rows(why, cells, table)})
    shown = _without_numbers(shown, (shown[SUPPRESSED] != "").to_numpy(), model_based).drop(columns=LARGEST_WEIGHT, errors="ignore")
    return _noted(shown, {**asdict(rule), LARGEST_WEIGHT: largest_weights_from(cells)}, model_based)


def _in_rows(of_cells: pd.Series, cells: pd.DataFrame, table: pd.DataFrame) -> np.ndarray:
    keys = pd.MultiIndex.from_frame(table.assign(**{SOURCE: table.get(SOURCE, "survey")})[KEY])
    return of_cells.set_axis(pd.MultiIndex.from_frame(cells[KEY])).reindex(keys).to_numpy()


def _without_numbers(shown: pd.DataFrame, hidden: np.ndarray, model_based: Sequence[str]) -> pd.DataFrame:
    """Return the table without the numbers of the hidden rows; of model-based sources shares stay."""
    numbers = [name for name in shown.select_dtypes("number").columns if name not in KEPT]
    of_model = shown.get(SOURCE, pd.Series("survey", index=shown.index)).isin(list(model_based)).to_numpy()
    for names, rows in ((numbers, hidden & ~of_model), ([name for name in numbers if name != SHARE], hidden & of_model)):
        shown[names] = shown[names].astype(float).mask(rows[:, None] & np.ones((1, len(names)), dtype=bool))
    return shown


def recorded_nesting(tables: Sequence[pd.DataFrame]) -> dict[str, list[str]]:
    """Return which levels lie within which, as survey verbs recorded it in tables and in the parts of stacked ones."""
    within: dict[str, list[str]] = {}
    for table in tables:
        for about in (table.attrs, *table.attrs.get(PARTS, [])):
            within.update(about.get(NESTED) or {})
    return within


def _out_already(published: pd.DataFrame | None, question: object, source: object) -> pd.DataFrame:
    """Return what is out of a question: a row per background, of the same source where there is one; told wherever one row tells."""
    if published is None:
        return pd.DataFrame(columns=[BACKGROUND, N, SUPPRESSED])
    same = published[(published[QUESTION] == question) & (published[N].notna() | (published[SUPPRESSED] != ""))]
    order = pd.DataFrame({"hidden": same[N].isna(), "other": same[SOURCE] != source})
    return same.loc[order.sort_values(["hidden", "other"], kind="stable").index].drop_duplicates(BACKGROUND)


def _follows(own: pd.DataFrame, out: pd.DataFrame, recorded: Mapping[str, Sequence[str]], min_n: int, what: str) -> np.ndarray:
    """Return why each cell of one question and source is to be withheld, empty where it is not."""
    beside = out[~out[BACKGROUND].isin(own[BACKGROUND])]
    backgrounds = [*own[BACKGROUND], *beside[BACKGROUND]]
    elsewhere = out.set_index(BACKGROUND).reindex(backgrounds)
    there, withheld_there = elsewhere[N].to_numpy(float), (elsewhere[SUPPRESSED].fillna("") != "").to_numpy()
    reasons = np.append(own[SUPPRESSED].to_numpy(object), beside[SUPPRESSED].to_numpy(object))
    n = np.append(own[N].to_numpy(float), beside[N].to_numpy(float))
    n = np.where(np.isnan(n), there, n)
    equations = margin_equations(backgrounds, recorded)
    parts = equations.shape[1] - len(n)  # of levels whose borders cross: withheld by everybody
    n, there = (np.append(values, np.full(parts, np.nan)) for values in (n, there))
    reasons, withheld_there = np.append(reasons, np.full(parts, "", dtype=object)), np.append(withheld_there, np.ones(parts, dtype=bool))
    told = n == there  # and not another n of the same background: that of other respondents
    low, high = _sizes(reasons, n, min_n, parts)
    of_parts = np.arange(len(n)) >= len(n) - parts
    mine, known_before = np.arange(len(n)) < len(own), [told | withheld_there]
    if own[N].isna().any():
        known_before.append(mine | of_parts)
    start = ((mine & (reasons != "")) | (withheld_there & ~(n == 0))) & ~told
    sizes = Sizes(n, low, high, fixed=~mine | told, lost=of_parts.copy(), parts=parts)
    sums = equations[counting(equations, sizes, min_n)]
    for members in known_before:
        inside = (members | (sums == 0)).all(1)
        sizes.lost[exposed_cells(sums[inside], sizes, start & members, min_n)] = True
    sizes.fixed[solved(sums, ~told) & ~start] = True  # to withhold what follows from published hides nothing
    hidden, exposed = complementary(equations, sizes, start, min_n=min_n)
    if exposed.any():  # by what the reasons tell, and not by the sums alone?
        reasons = np.where(exposed & mine, UNSAID, reasons)
        low, high = _sizes(reasons, n, min_n, parts)
        hidden, exposed = complementary(equations, replace(sizes, low=low, high=high), hidden, min_n=min_n)
    exposed &= start  # a cell withheld for the sake of others may follow from published: it hides nothing, and harms nobody
    if exposed.any():
        cells = [backgrounds[place] for place in np.flatnonzero(exposed)]
        raise TableError(f"{what}: {first_few(cells)} follow from published, whatever is withheld; join levels")
    return np.where(hidden & (reasons == ""), DERIVABLE, reasons)[: len(own)]


def _sizes(reasons: np.ndarray, n: np.ndarray, min_n: int, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Return between which sizes each cell must lie; a part, and there are some at the end, may be empty."""
    low, high = sizes_told(reasons, n, min_n)
    low[len(n) - parts :] = 0
    return low, high


def _noted(shown: pd.DataFrame, rule: dict[str, object], model_based: Sequence[str]) -> pd.DataFrame:
    """Write what was done into `attrs`."""
    cells = shown.assign(**{SOURCE: shown.get(SOURCE, "survey")}).drop_duplicates(KEY)
    why = cells[SUPPRESSED]
    told = shown[shown[N] > 0] if SHARE in shown else shown.iloc[:0]
    counts = {
        "cells": len(cells),
        "primary": int(((why != "") & (why != DERIVABLE)).sum()),
        "secondary": int((why == DERIVABLE).sum()),
        "unanimous": int(told.get(SHARE, pd.Series(dtype=float)).eq(1).sum()),
    }
    shown.attrs = {**without_sums(shown.attrs), DISCLOSURE: {**rule, **counts, "model_based": list(model_based)}}
    return shown
