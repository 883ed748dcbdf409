"""`harmonise`: a table of another wave, survey or simulator put into a codebook's questions, options, traits and levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from surveysim.codebook.backgrounds import background_id, parse_background_id, traits_in
from surveysim.codebook.codebook import Codebook, Question, Trait
from surveysim.codebook.matching import plain
from surveysim.codebook.questions import Level
from surveysim.codebook.readable import readable
from surveysim.codebook.toml_file import CodebookLike, codebook_if_any, load_codebook
from surveysim.errors import CodebookError, EstimationError, first_few, nearest
from surveysim.survey.crosswalk import Source, read_crosswalk
from surveysim.tables.intervals import share_intervals
from surveysim.tables.names import names_of
from surveysim.tables.schema import (
    BACKGROUND,
    CONF_HIGH,
    CONF_LOW,
    DISTRIBUTION_COLUMNS,
    N_EFF,
    OPTION,
    ORDER,
    POOLED,
    QUESTION,
    SHARE,
    SOURCE,
    STD_ERROR,
    N,
    check_distributions,
    require_columns,
)

CELL = [QUESTION, BACKGROUND, SOURCE]


def harmonise(
    table: pd.DataFrame,
    codebook: CodebookLike,
    *,
    by: str | Sequence[str] | None = None,
    crosswalk: pd.DataFrame | str | Path | None = None,
    wave: str = "prior",
    labels: CodebookLike | None = None,
) -> pd.DataFrame:
    """Put a distributions table into the questions, options, traits and levels of a codebook, so that it can be a prior.

    Options are matched by code; where the codes are others, by label, if `labels` is the codebook the table was made with; else as
    `crosswalk` says. Several options may become one: their shares are summed. A scale of another length is never stretched.
    A trait's finer levels become the coarser ones that `crosswalk` names: cells are averaged by their n. Cells that nobody answered in
    are left out. A coarser trait of the same
    variable becomes a finer one by itself: every finer level has its coarser level's shares, and an even part of its n.

    Parameters
    ----------
    table : DataFrame
        A distributions table.
    codebook : str, Path, Codebook or Survey
        Of the sample.
    by : str or sequence of str, optional
        Traits to have; default those of the table, as the crosswalk renames them.
    crosswalk : DataFrame or path of a TOML file, optional
        In the form of `pool_waves`: which variable of the table is which item of the codebook, and which of its codes (a question's) or
        level names (a trait's) is which of the item's.
    wave : str
        The table's name in the crosswalk.
    labels : str, Path, Codebook or Survey, optional
        The codebook that the table was made with.

    Returns
    -------
    DataFrame
        A distributions table; standard errors and intervals are made anew from `n_eff` where cells or options were put together, and
        missing where the table states no n. ``attrs["left_out"]`` names the questions that the codebook lacks.

    Raises
    ------
    EstimationError
        If no question is in the codebook, options or levels cannot be matched, or a trait of `by` is none that the table has.
    CodebookError
        If the crosswalk cannot be read, contradicts itself, or names an unknown item, variable or code.
    TableError
        If `table` breaks its contract.

    References
    ----------
    Wolf, Schneider, Behr, Joye (2016), The SAGE Handbook of Survey Methodology, chapter 33, on ex-post harmonisation.

    Examples
    --------
    >>> import pandas as pd, surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> other = ss.response_distributions(survey, by=["age3"], questions=["Q8_8"]).replace({"question_id": {"Q8_8": "trust"}})
    >>> cross = pd.DataFrame({"wave": "prior", "variable": ["trust"], "pooled": ["Q8_8"]})
    >>> prior = ss.harmonise(other, survey.codebook, by="age6", crosswalk=cross)
    >>> prior.question_id.unique().tolist(), prior.background_id.nunique()
    (['Q8_8'], 6)
    """
    require_columns(check_distributions(table, "table"), [N, N_EFF], "table")
    codebook = load_codebook(codebook)
    items = read_crosswalk(crosswalk, [wave])
    sources = {name: given[wave] for name, given in items.items() if wave in given}
    _check_items(sources, codebook, table)
    kept, left = _questions(table, codebook, sources, codebook_if_any(labels))
    wanted = None if by is None else list(names_of(by, "by", error=EstimationError))
    out = _levels(kept, codebook, sources, wanted)
    out = _with_errors(out)
    out.attrs = {**table.attrs, "left_out": left}
    return readable(check_distributions(out, "the harmonised table"), codebook, like=[table])


def _check_items(sources: Mapping[str, Source], codebook: Codebook, table: pd.DataFrame) -> None:
    known = (*codebook.questions, *codebook.traits)
    own = [*table[QUESTION].unique(), *traits_in(table[BACKGROUND].unique())]
    for name, source in sources.items():
        if name not in known:
            raise CodebookError(f"crosswalk: {codebook.name} has no question or trait {name!r}; {nearest(name, known)}")
        if source.variable not in own:
            raise CodebookError(f"crosswalk: the table has no question or trait {source.variable!r}; {nearest(source.variable, own)}")


def _questions(
    table: pd.DataFrame, codebook: Codebook, sources: Mapping[str, Source], labels: Codebook | None
) -> tuple[pd.DataFrame, list[str]]:
    """The table's rows in the codebook's questions and options, and the questions left out."""
    renamed = {source.variable: name for name, source in sources.items() if name in codebook.questions}
    parts, left = [], []
    for name, rows in table[table[SHARE].notna()].groupby(QUESTION, sort=False):
        target = renamed.get(str(name), str(name))
        if target not in codebook.questions:
            left.append(str(name))
            continue
        question = codebook.question(target)
        codes = _option_codes(str(name), rows, question, sources.get(target), labels)
        place = {code: order for order, code in enumerate(question.codes)}
        parts.append(rows.assign(**{QUESTION: target, OPTION: rows[OPTION].map(codes), ORDER: rows[OPTION].map(codes).map(place)}))
    if not parts:
        raise EstimationError(
            f"table has none of the questions of {codebook.name}; it has {first_few(left)}: say with crosswalk= which is which"
        )
    whole = pd.concat(parts, ignore_index=True)
    return _filled(
        whole.groupby([*CELL, OPTION, ORDER], sort=False, as_index=False).agg({SHARE: "sum", N: "first", N_EFF: "first"}), codebook
    ), left


def _option_codes(
    name: str, rows: pd.DataFrame, question: Question, source: Source | None, labels: Codebook | None
) -> dict[object, object]:
    """Each of a question's codes in the table -> the codebook's code."""
    own, by_text = list(rows[OPTION].unique()), {plain(code): code for code in question.codes}
    if source is not None and source.codes is not None:
        mapped = {code: source.codes.get(plain(code)) for code in own}
        lost = [code for code, pooled in mapped.items() if pooled is None or plain(pooled) not in by_text]
        if lost:
            raise CodebookError(
                f"crosswalk: option {first_few(lost)} of {name!r} becomes none of {first_few(question.codes, 12)}; complete its codes"
            )
        return {code: by_text[plain(pooled)] for code, pooled in mapped.items()}
    if {plain(code) for code in own} == set(by_text):
        return {code: by_text[plain(code)] for code in own}
    if labels is not None and name in labels.questions:
        theirs = labels.question(name)
        words = {plain(label): code for code, label in zip(question.codes, question.labels, strict=True)}
        named = dict(zip(map(plain, theirs.codes), map(plain, theirs.labels), strict=True))
        found = {code: words.get(named.get(plain(code), "")) for code in own}
        if set(map(plain, found.values())) == set(by_text) and len(found) == len(by_text):
            return dict(found)
    raise EstimationError(_other_scale(name, own, question))


def _other_scale(name: str, own: Sequence[object], question: Question) -> str:
    return (
        f"question {name!r} has options {first_few(own, 12)} in the table and {first_few(question.codes, 12)} in the codebook; name in "
        "crosswalk= the codebook's code of each, or give labels= the codebook it was made with: a scale is never stretched"
    )


def _filled(rows: pd.DataFrame, codebook: Codebook) -> pd.DataFrame:
    """Every option of every cell, with share 0 where the table has none."""
    cells = rows.drop_duplicates(CELL)[[*CELL, N, N_EFF]]
    scales = pd.DataFrame(
        [(name, code, order) for name in rows[QUESTION].unique() for order, code in enumerate(codebook.question(name).codes)],
        columns=[QUESTION, OPTION, ORDER],
    )
    whole = cells.merge(scales, on=QUESTION).merge(rows[[*CELL, ORDER, SHARE]], on=[*CELL, ORDER], how="left")
    return whole.assign(**{SHARE: whole[SHARE].fillna(0.0)})


def _levels(rows: pd.DataFrame, codebook: Codebook, sources: Mapping[str, Source], by: list[str] | None) -> pd.DataFrame:
    """The rows with the codebook's traits and levels, cells that become one averaged by their n."""
    renamed = {source.variable: name for name, source in sources.items() if name in codebook.traits}
    ids = rows[BACKGROUND].unique()
    own = traits_in(ids)
    targets = {trait: _target(trait, renamed, codebook, by) for trait in own}
    if by is not None:
        absent = [name for name in by if name not in targets.values()]
        if absent:
            raise EstimationError(
                f"by: the table has no trait that is {first_few(absent)}; it has {first_few(own)}: name in crosswalk= which is which"
            )
    new = {identifier: _new_ids(str(identifier), targets, codebook, sources) for identifier in ids}
    spread = pd.DataFrame([(old, each, 1 / len(found)) for old, found in new.items() for each in found], columns=[BACKGROUND, "to", "part"])
    laid = rows.merge(spread, on=BACKGROUND)
    laid = laid.assign(**{N: laid[N] * laid["part"], N_EFF: laid[N_EFF] * laid["part"], BACKGROUND: laid["to"]})
    laid = laid.assign(counted=laid[SHARE] * laid[N])
    rules = {"plain": (SHARE, "mean"), "counted": ("counted", "sum"), N: (N, "sum"), N_EFF: (N_EFF, "sum")}
    found = laid.groupby([*CELL, OPTION, ORDER], sort=False, as_index=False).agg(**rules)
    share = (found["counted"] / found[N].where(found[N] > 0)).fillna(found["plain"])  # cells that state no n count alike
    return found.assign(**{SHARE: share, N: found[N].round().astype(int)}).drop(columns=["plain", "counted"])


def _target(trait: str, renamed: Mapping[str, str], codebook: Codebook, by: list[str] | None) -> str:
    """The codebook's trait that one of the table becomes."""
    if trait in renamed:
        return renamed[trait]
    if trait in codebook.traits and (by is None or trait in by):
        return trait
    finer = [name for name in by or () if trait in codebook.traits and _parents(codebook.trait(name), codebook.trait(trait)) is not None]
    if finer:
        return finer[0]
    raise EstimationError(f"the table's trait {trait!r} is none of {first_few(by or codebook.traits, 12)}; name in crosswalk= which it is")


def _parents(fine: Trait, coarse: Trait) -> dict[str, str] | None:
    """The coarser level that each finer level of one variable lies in; None where one lies in none."""
    if fine.variable != coarse.variable or fine.name == coarse.name:
        return None
    found = {}
    for level in fine.levels:
        around = [other.name for other in coarse.levels if _lies_in(level, other)]
        if len(around) != 1:
            return None
        found[level.name] = around[0]
    return found


def _lies_in(fine: Level, coarse: Level) -> bool:
    if fine.range is not None and coarse.range is not None:
        return coarse.range[0] <= fine.range[0] and fine.range[1] <= coarse.range[1]
    return bool(fine.codes) and set(fine.codes) <= set(coarse.codes)


def _new_ids(identifier: str, targets: Mapping[str, str], codebook: Codebook, sources: Mapping[str, Source]) -> list[str]:
    """The codebook's backgrounds that one of the table becomes: several where a level is coarser."""
    made: list[dict[str, str]] = [{}]
    for trait, level in parse_background_id(identifier).items():
        target = codebook.trait(targets[trait])
        made = [{**each, target.name: name} for each in made for name in _new_levels(trait, level, target, codebook, sources)]
    return [background_id({name: each[name] for name in codebook.traits if name in each}) if each else POOLED for each in made]


def _new_levels(trait: str, level: str, target: Trait, codebook: Codebook, sources: Mapping[str, Source]) -> list[str]:
    source = sources.get(target.name)
    if source is not None and source.codes is not None:
        named = source.codes.get(level)
        if named not in target.level_names:
            raise CodebookError(
                f"crosswalk: level {level!r} of trait {trait!r} becomes none of {first_few(target.level_names, 12)}; complete its codes"
            )
        return [str(named)]
    if level in target.level_names:
        return [level]
    parents = _parents(target, codebook.trait(trait)) if trait in codebook.traits else None
    if parents is not None:
        return [name for name, parent in parents.items() if parent == level]
    raise EstimationError(
        f"trait {trait!r} has level {level!r} in the table, which is none of {first_few(target.level_names, 12)}; name in crosswalk= "
        "which level becomes which"
    )


def _with_errors(rows: pd.DataFrame) -> pd.DataFrame:
    """Standard errors and intervals of simple random sampling with the effective n; missing without one."""
    share, n_eff = rows[SHARE].to_numpy(float), rows[N_EFF].to_numpy(float)
    known = n_eff > 1
    error = np.sqrt(np.divide(share * (1 - share), n_eff - 1, out=np.full(len(rows), np.nan), where=known))
    low, high = share_intervals(share[:, None], error[:, None], np.full(len(rows), np.inf), n_eff)
    limits = {CONF_LOW: np.where(known, low[:, 0], np.nan), CONF_HIGH: np.where(known, high[:, 0], np.nan)}
    stated = rows.assign(**{STD_ERROR: error, **limits})[DISTRIBUTION_COLUMNS]
    return stated.sort_values([QUESTION, BACKGROUND, ORDER], kind="stable", ignore_index=True)
