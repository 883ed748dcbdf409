"""The sampling design of a survey that its release keeps in a file of its own, merged by the respondents' ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd

from surveysim.errors import DesignError, first_few, nearest
from surveysim.files.frames import frame_columns, is_frame
from surveysim.files.rawfile import RawFile, Wanted, as_floats
from surveysim.files.readers import read_columns
from surveysim.survey.assembly import joined_ids, marked_as_made
from surveysim.survey.survey import Survey, check_survey
from surveysim.tables.names import names_of
from surveysim.tables.schema import PSU, RESPONDENT_ID, STRATUM

PROBABILITY = "prob"
STRATA = ("stratum", "stratify")  # ESS rounds 7 and 8, and before
UNMATCHED = ("fail", "alone")
DesignFile: TypeAlias = pd.DataFrame | str | Path


def add_design(
    survey: Survey,
    file: DesignFile | Sequence[DesignFile],
    *,
    ids: str | Sequence[str] | None = None,
    nest: str | None = None,
    unmatched: str = "fail",
) -> Survey:
    """Add strata and PSUs from a design file of the release: the sample design data files of the European Social Survey before round 9.

    Such a file has a row per respondent with the variables of the respondent's id (`cntry`, `idno`), `psu`, `stratum` or `stratify`, and
    `prob`, the probability of selection. Countries number their persons, PSUs and strata alike, so rows are matched by country and
    person, and labels are taken within countries. A respondent whose `psu` is empty was drawn directly, and is a PSU; an empty stratum is
    one for all of its country. Weights stay as they are.

    Parameters
    ----------
    survey : Survey
        Without strata and PSUs of its own.
    file : path or DataFrame, or a sequence of them
        One file of all countries, or one a country.
    ids : str or sequence of str, optional
        Variables that identify respondents in the file; default the codebook's `respondent_id`.
    nest : str, optional
        Variable that PSUs and strata are numbered within; default the codebook's, or all of `ids` but the last.
    unmatched : {"fail", "alone"}
        Respondents of whom the file has no row: an error, or a stratum of their own in their country where each is a PSU.

    Returns
    -------
    Survey
        The same respondents with `stratum` and `psu`, and `prob` where the file has it (``1 / prob`` is the design weight up to scale).
        Notes count the rows that matched and name respondents and rows of the file that did not.

    Raises
    ------
    SurveySimError
        If `survey` is no `Survey`.
    ReadError
        If a file cannot be read.
    CodebookError
        If a file lacks a variable.
    DesignError
        If the survey has a design already; an id stands twice in the file; no id matches, or, with ``unmatched="fail"``, not every
        respondent's; or a probability is not in 0-1.

    References
    ----------
    Lynn (2019), ESS round 8 sample design data file: user guide. Kaminska and Lynn (2017), Survey-based cross-country comparisons where
    countries vary in sample design, Journal of Official Statistics 33, 123-136, doi:10.1515/jos-2017-0007.

    Examples
    --------
    >>> import pandas as pd
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> design = pd.DataFrame({"RespId": survey.data["respondent_id"], "psu": survey.data["respondent_id"] // 10, "stratify": 1})
    >>> ss.add_design(survey, design).design.description
    '1 strata, 1,108 PSUs, Taylor linearisation'
    """
    check_survey(survey)
    if unmatched not in UNMATCHED:
        raise DesignError(f"unmatched must be 'fail' or 'alone'; got {unmatched!r}, {nearest(str(unmatched), UNMATCHED)}")
    _refuse_designed(survey)
    names = list(survey.codebook.respondent_id if ids is None else names_of(ids, "ids", error=DesignError))
    if not names:
        raise DesignError(f"codebook {survey.codebook.name!r} names no respondent_id; say with ids= which variables of the file are the id")
    within = nest or survey.codebook.design.nest or (names[0] if len(names) > 1 else "")
    listed = [file] if isinstance(file, str | Path) or is_frame(file) else list(file)
    rows = pd.concat([_file_rows(one, names, within) for one in listed], ignore_index=True)
    return _merged(survey, rows, unmatched)


def _refuse_designed(survey: Survey) -> None:
    there = [name for name in (STRATUM, PSU) if name in survey.data]
    if there:
        raise DesignError(f"survey has {first_few(there)} already; to take another, read it with a codebook whose [design] names none")
    if survey.design.replicates is not None:
        raise DesignError("survey has replicate weights, which hold the design; add_design is for a survey without any")


def _file_rows(file: DesignFile, names: Sequence[str], within: str) -> pd.DataFrame:
    """Return id, nest, stratum, PSU and probability of one file's rows; missing where the file has none."""
    required = tuple(dict.fromkeys([*names, *([within] if within else []), PSU]))
    wanted = Wanted(required, (*STRATA, PROBABILITY))
    raw = frame_columns(file, wanted) if is_frame(file) else read_columns(Path(str(file)), wanted)
    found = {name.lower(): raw.columns[name] for name in wanted.pick(raw.known or list(raw.columns), raw.source)}
    absent = wanted.lacking(found)
    if absent:
        raise DesignError(f"file {raw.source} lacks {first_few(absent)}; {nearest(absent[0], raw.known or tuple(raw.columns))}")
    strata = [found[name] for name in STRATA if name in found]
    rows = pd.DataFrame({"id": _texts(joined_ids([found[name.lower()] for name in names])), PSU: _labels(found[PSU])})
    rows["nest"] = _labels(found[within.lower()]) if within else ""
    rows[STRATUM] = _labels(strata[0]) if strata else None
    rows[PROBABILITY] = _probabilities(found, raw)
    twice = rows.loc[rows["id"].duplicated(), "id"]
    if len(twice):
        raise DesignError(f"file {raw.source}: {len(twice)} ids stand twice or more: {first_few(twice.unique())}; keep one row each")
    return rows


def _labels(values: object) -> np.ndarray:
    """Return labels as text, whole numbers without a point, None where there is none."""
    column = pd.Series(values).astype(object)  # type: ignore[call-overload]
    empty = column.isna() | column.astype(str).str.strip().isin(["", "."])
    return pd.Series(_texts(column.to_numpy()), dtype=object).where(~empty, None).to_numpy(object)


def _texts(values: np.ndarray) -> np.ndarray:
    return np.array([str(int(one)) if isinstance(one, float) and one.is_integer() else str(one).strip() for one in values.tolist()], object)


def _probabilities(found: dict[str, object], raw: RawFile) -> np.ndarray:
    if PROBABILITY not in found:
        return np.full(raw.n_rows, np.nan)
    values = as_floats(found[PROBABILITY])  # type: ignore[arg-type]
    bad = (values <= 0) | (values > 1)
    if bad.any():
        raise DesignError(f"file {raw.source}: {int(bad.sum())} values of prob are not in 0-1: {first_few(values[bad])}; mend them first")
    return values


def _merged(survey: Survey, rows: pd.DataFrame, unmatched: str) -> Survey:
    twice = rows.loc[rows["id"].duplicated(), "id"]
    if len(twice):
        raise DesignError(f"file: {len(twice)} ids stand in two of the files: {first_few(twice.unique())}; give each country once")
    ids = pd.Index(_texts(survey.data[RESPONDENT_ID].to_numpy()))
    place = pd.Index(rows["id"]).get_indexer(ids)
    known, others = place >= 0, ~rows["id"].isin(ids)
    odd = first_few(rows["id"][others])
    lost = f"{int((~known).sum()):,} of {len(ids):,} respondents have no row in the file: {first_few(ids[~known])}"
    if not known.any():
        raise DesignError(f"no id of the file is a respondent's: the file has {first_few(rows['id'])}, the survey {first_few(ids)}")
    if unmatched == "fail" and not known.all():
        raise DesignError(
            f"{lost}; {int(others.sum()):,} rows of the file are of nobody: {odd or 'none'}; take the edition of the file "
            "that belongs to the data, or say unmatched='alone'"
        )
    own = rows.iloc[np.where(known, place, 0)].reset_index(drop=True)
    layer, unit = own["nest"].where(known, "unmatched"), own[PSU].where(known)
    direct = unit.isna().to_numpy()
    stratum = (layer + "-" + own[STRATUM].where(known).fillna("all").astype(str)).str.removeprefix("-")
    psu = (layer + "-" + unit.astype(object).where(~direct, "respondent " + pd.Series(ids))).str.removeprefix("-")
    data = survey.data.assign(**{STRATUM: stratum.to_numpy(object), PSU: psu.to_numpy(object)})
    if rows[PROBABILITY].notna().any():
        data[PROBABILITY] = own[PROBABILITY].where(known).to_numpy(float)
    told = [f"design added: {int(known.sum()):,} of {len(ids):,} respondents have a row"]
    told += [] if known.all() else [f"{lost}; each is a PSU in a stratum of their own"]
    told += [f"{int(others.sum()):,} rows of the design file are of no respondent: {odd}"] if others.any() else []
    drawn = int((direct & known).sum())
    told += [f"{drawn:,} respondents have no PSU in the design file: each is one"] if drawn else []
    return replace(survey, data=marked_as_made(data), notes=(*survey.notes, *told))
