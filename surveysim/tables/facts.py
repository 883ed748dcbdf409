"""What a table of results says about itself in words: whether simulated, by which weight, of whom, with which model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from surveysim.errors import TableError, first_few
from surveysim.html import facts_line, frame_table
from surveysim.tables.reading_order import in_reading_order
from surveysim.tables.schema import (
    BACKGROUND,
    BASIS,
    CONF_HIGH,
    CONF_LOW,
    ESTIMATE,
    LARGEST_WEIGHT,
    METRIC,
    N_EFF,
    OPTION,
    OPTION_LABEL,
    ORDER,
    PRIOR_ALONE,
    QUESTION,
    SHARE,
    SIMULATED,
    SOURCE,
    STD_ERROR,
    N,
    require_columns,
)
from surveysim.tables.stacking import PARTS
from surveysim.tables.weighting_record import NOT_RECORDED, weights_applied

STATUS = "status"
LOUD = "SIMULATED"
NUMBERS = (SHARE, ESTIMATE, STD_ERROR, N, N_EFF, CONF_LOW, CONF_HIGH)  # in the order of `show`
FACTS = "facts"  # in the attrs of simulated respondents: what they say of themselves, in words
OBSERVED = {"survey": "Survey estimates", "official": "Official estimates"}
NEEDED = {"survey": "survey", "weight": "weight", "denominator": "denominator", "design": "design"}  # fact -> name in attrs
OF_A_CHOICE = {"chosen": "choice", "its error": "error_of_choice"}
OF_A_MODEL = {"method": "method", "model": "model", "model SHA-256": "model_sha256", "seed": "seed"}


def is_estimate(table: pd.DataFrame) -> bool:
    """Say whether a table holds estimates of the population (shares, means, shifts), and no scores or counts."""
    return METRIC not in table and bool({SHARE, ESTIMATE, "shift"} & set(table.columns))


def is_simulated(table: pd.DataFrame) -> bool:
    """Say whether the table records, in its column or its ``attrs``, that no respondent gave any of these answers."""
    told = simulated_rows(table)
    return bool(table.attrs.get(SIMULATED, False)) if told is None else bool(told.all())


def simulated_rows(table: pd.DataFrame) -> pd.Series | None:
    """Return of every row whether it says that it is simulated; None where the table has no such column, or no row."""
    if SIMULATED not in table or table.empty:
        return None
    return table[SIMULATED].astype(str).str.lower().isin(["true", "1", "1.0"])


def table_facts(table: pd.DataFrame) -> dict[str, str]:
    """Return what a table records about itself, in words.

    Parameters
    ----------
    table : DataFrame
        A table of any verb; the facts stand in its ``attrs`` and in the columns `n`, `n_eff` and `source`.

    Returns
    -------
    dict
        Of a table of estimates always `status`, `survey`, `weight`, `weighting`, `denominator`, `design`, `n` and `n_eff`, where need
        be ``"not recorded"``; of a simulated one `method`, `model`, `model SHA-256` and `seed` as well, and `never sampled` where
        it records that. Of any other what it records.

    Raises
    ------
    TableError
        If it is no DataFrame.

    Examples
    --------
    >>> import surveysim as ss
    >>> from surveysim.tables.facts import table_facts
    >>> survey = ss.load_example("nonvoters2020")
    >>> facts = table_facts(ss.response_distributions(survey, by=["gender"], questions=["Q8_8"]))
    >>> facts["status"], facts["weight"], facts["n"]
    ('Survey estimates', 'weight', '2,880 to 2,927 respondents a cell')
    """
    require_columns(table, [], "table")
    about = table.attrs
    if is_simulated(table) and FACTS in about:
        said = {STATUS: f"{LOUD} respondents ({about.get('method', 'a model')}): no row is a person", **about[FACTS]}
        return {**said, **_recorded(about, {**NEEDED, **OF_A_MODEL}), **_beyond(about), **_of_prior(about)}
    if not is_estimate(table):
        return {**_recorded(about, {**NEEDED, **OF_A_CHOICE, **OF_A_MODEL}), **_of_prior(about)}
    facts = {STATUS: status(table), **{name: str(about.get(key) or NOT_RECORDED) for name, key in NEEDED.items()}}
    facts |= _recorded(about, {"domain": "domain"})
    facts |= {"weighting": _weighting(table), N: cell_sizes(table, N), N_EFF: cell_sizes(table, N_EFF)}
    if not is_simulated(table):
        return {**facts, **_recorded(about, OF_A_MODEL)}
    said = {name: about.get(key) for name, key in OF_A_MODEL.items()}
    if "model" in about and about["model"] is None:
        said |= {"model": "none: a classical estimate", "model SHA-256": ""}
    said |= {**_beyond(about), **_of_prior(about)}
    if BASIS in table and (table[BASIS] == PRIOR_ALONE).any():
        said[PRIOR_ALONE] = f"{first_few(table.loc[table[BASIS] == PRIOR_ALONE, QUESTION].unique())}: nobody in the sample was asked"
    return {**facts, **{name: NOT_RECORDED if value is None else str(value) for name, value in said.items()}}


def status(table: pd.DataFrame) -> str:
    """Return whether the numbers of a table of estimates are simulated, observed, or not known to be either."""
    sources = [str(source) for source in table[SOURCE].unique()] if SOURCE in table else []
    if is_simulated(table):
        made_by = first_few(sources) or table.attrs.get("method", "a model")
        return f"{LOUD} ({made_by}): estimates of a method, not counts of respondents' answers"
    parts = [part for part in table.attrs.get(PARTS, []) if part.get("simulated")]
    if parts:
        made_by = first_few(dict.fromkeys(str(part.get("method", "a model")) for part in parts))
        return f"{len(parts)} of {len(table.attrs[PARTS])} tables {LOUD} ({made_by}); sources: {first_few(sources) or NOT_RECORDED}"
    told = simulated_rows(table)
    if told is not None and told.any():
        made_by = first_few(table.loc[told, SOURCE].unique()) if SOURCE in table else "a model"
        return f"{int(told.sum()):,} of {len(told):,} rows {LOUD} ({made_by}); sources: {first_few(sources) or NOT_RECORDED}"
    if len(sources) == 1 and sources[0] in OBSERVED:
        return OBSERVED[sources[0]]
    if not sources and table.attrs.get("design"):
        return OBSERVED["survey"]
    return f"not recorded whether simulated (source: {first_few(sources) or NOT_RECORDED})"


def cell_sizes(table: pd.DataFrame, column: str) -> str:
    """Return the range of `n` or `n_eff` over the cells of a table, in words."""
    if column not in table or not table[column].notna().any() or table.attrs.get("n_stated") is False:
        return NOT_RECORDED
    keys = [name for name in (QUESTION, BACKGROUND, SOURCE) if name in table]
    sizes = table.drop_duplicates(keys)[column].astype(float)
    low, high = f"{sizes.min():,.0f}", f"{sizes.max():,.0f}"
    whose = f"{table.attrs.get('n_of', 'respondents')} a cell" if column == N else "a cell"
    empty = int((sizes <= 0).sum())
    unsampled = f"; {empty:,} of {len(sizes):,} cells have none" if empty and column == N else ""
    return f"{low if low == high else f'{low} to {high}'} {whose}{unsampled}"


def reach_in_words(found: Mapping[str, Any]) -> str:
    """Put what `surveysim.simulation.unseen.beyond_training` found into words; empty where every background was learnt from.

    Examples
    --------
    >>> from surveysim.simulation.unseen import beyond_training
    >>> from surveysim.tables.facts import reach_in_words
    >>> reach_in_words(beyond_training(["a=1|b=1", "a=2|b=2"], ["a=1|b=1", "a=1|b=2"]))
    '1 of 2 backgrounds, at most 1 of 2 traits from the nearest one sampled; levels of nobody in the sample: a=2'
    """
    if not found["backgrounds"]:
        return ""
    away = f"at most {found['traits_apart']} of {found['traits']} traits from the nearest one sampled"
    levels = [f"{trait}={level}" for trait, names in found["levels"].items() for level in names]
    unseen = f"; levels of nobody in the sample: {first_few(levels)}" if levels else ""
    return f"{found['backgrounds']:,} of {found['of']:,} backgrounds, {away}{unseen}"


def say_prior(made: pd.DataFrame, *, of: pd.DataFrame) -> pd.DataFrame:
    """Let what was made of a table say what prior the table has, and, in a column, whether it misleads."""
    about = of.attrs.get("prior")
    if not about:
        return made
    misleads = prior_is_ignored(about) or about.get("left_out", {}).get("misleads")
    told = made.assign(prior_misleads=pd.Series([misleads] * len(made), index=made.index, dtype=object))
    told.attrs["prior"] = about
    return told


def prior_is_ignored(about: Mapping[str, Any]) -> bool:
    """Return whether a prior's differences between backgrounds are more probably of no use than of some, over its questions."""
    ignored = about.get("ignored") or [0.0]
    return sum(ignored) > len(ignored) / 2


def prior_in_words(about: Mapping[str, Any]) -> str:
    """Put what `surveysim.baselines.fitting.about_prior` found into words.

    Examples
    --------
    >>> from surveysim.tables.facts import prior_in_words
    >>> prior_in_words({"name": "wave 9", "slope": [0.9, 1.2], "left_out": {"difference": 0.01, "std_error": 0.004, "misleads": True}})
    'wave 9; slope of its differences 0.9 to 1.2; MISLEADS: backgrounds left out are missed by more with it than without'
    """
    weights = [f"{name} {weight:.2f}" for name, weight in about.get("weights", {}).items()]
    known = [value for value in about.get("slope", ()) if value is not None]
    slopes = [f"{value:.2g}" for value in (min(known), max(known))] if known else ["not known: it has no differences"]
    said = [about["name"], *([f"weights {', '.join(weights)}"] if weights else [])]
    said += [f"slope of its differences {' to '.join(dict.fromkeys(slopes))}"] if "slope" in about else []
    if prior_is_ignored(about):
        said.append("IGNORED but for its level: its differences between backgrounds are not the sample's")
    if about.get("left_out", {}).get("misleads"):
        said.append("MISLEADS: backgrounds left out are missed by more with it than without")
    return "; ".join(said)


def _beyond(about: Mapping[str, Any]) -> dict[str, str]:
    return {"never sampled": reach_in_words(about["beyond_training"])} if about.get("beyond_training") else {}


def _of_prior(about: Mapping[str, Any]) -> dict[str, str]:
    return {"prior": prior_in_words(about["prior"])} if isinstance(about.get("prior"), Mapping) else {}


def _weighting(table: pd.DataFrame) -> str:
    steps = weights_applied(table)
    return "; then ".join(f"{step.step}{f' ({step.traits})' if step.traits else ''} by {step.weight}" for step in steps.itertuples())


def _recorded(about: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    return {name: str(about[key]) for name, key in names.items() if about.get(key) not in (None, "")}


def _traits_beside_ids(table: pd.DataFrame) -> list[str]:
    """Return the columns between what was asked and the ids of backgrounds: in reading order these are the traits."""
    names = list(table.columns)
    before = names[: names.index(BACKGROUND)] if BACKGROUND in names else []
    asked = [place for place, name in enumerate(before) if name in (QUESTION, METRIC, OPTION, OPTION_LABEL)]
    return before[asked[-1] + 1 :] if asked else []


@dataclass(frozen=True, eq=False)
class TableView:
    """A table as `show` displays it: HTML in a notebook, text elsewhere.

    Attributes
    ----------
    table : DataFrame
        Unchanged.
    rows : int
        How many rows are displayed.
    """

    table: pd.DataFrame
    rows: int

    @property
    def heading(self) -> str:
        """Whether simulated, and how many rows there are."""
        counted = f"{len(self.table):,} rows" + (f", the first {self.rows} shown" if len(self.table) > self.rows else "")
        return f"{table_facts(self.table).get(STATUS, 'Table')} · {counted}"

    @property
    def facts(self) -> dict[str, str]:
        """What the table records; facts that a table of estimates should record and does not are named in one line."""
        facts = {name: value for name, value in table_facts(self.table).items() if name != STATUS}
        known = {name: value for name, value in facts.items() if value != NOT_RECORDED}
        return {**known, NOT_RECORDED: ", ".join(name for name in facts if name not in known)}

    @property
    def shown(self) -> pd.DataFrame:
        """The rows displayed, numbers beside what they are of: what the heading or another column says already is left out."""
        head, told = self.table.head(self.rows), simulated_rows(self.table)
        said = {
            ORDER: True,
            LARGEST_WEIGHT: True,
            SOURCE: SOURCE in self.table and len(self.table[SOURCE].unique()) == 1 and is_estimate(self.table),
            SIMULATED: told is not None and bool(told.all() or not told.any()),
            OPTION: OPTION_LABEL in head and bool((head[OPTION_LABEL].fillna("") != "").all()),
            BACKGROUND: bool(traits := _traits_beside_ids(head)),
        }
        if BACKGROUND in head:
            names = list(in_reading_order(head, traits).columns)
            keys = names[: names.index(BACKGROUND) + 1]
            head = head[list(dict.fromkeys([*keys, *(name for name in NUMBERS if name in names), *names]))]
        head = head.drop(columns=[name for name, known in said.items() if known and name in head])
        return head.assign(**{N_EFF: head[N_EFF].round(1).astype(str)} if N_EFF in head else {})

    def __repr__(self) -> str:
        said = [f"{name}: {value}" for name, value in self.facts.items() if value]
        return "\n".join([self.heading, *said, self.shown.to_string(index=False, float_format="{:.3f}".format, na_rep="–")])

    def _repr_html_(self) -> str:
        return facts_line(self.heading, self.facts) + frame_table(self.shown)


def show(table: pd.DataFrame, *, rows: int = 12) -> TableView:
    """Display a table of results with what it was made of: weight, denominator, n, design, and, where simulated, model and seed.

    Parameters
    ----------
    table : DataFrame
        Of any verb. A fact that the table does not record (pandas drops ``attrs`` when it puts unlike tables together or merges
        them) is named as not recorded.
    rows : int
        How many rows to display, at least 1.

    Returns
    -------
    TableView
        HTML as the last line of a notebook's cell, text elsewhere; ``.table`` is the table, unchanged.

    Raises
    ------
    TableError
        If `table` is no DataFrame, or `rows` is below 1.

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> view = ss.show(ss.simulate(survey, ["gender"], questions=["Q8_8"], method="mrp"), rows=3)
    >>> view.heading
    "SIMULATED (mrp): estimates of a method, not counts of respondents' answers · 8 rows, the first 3 shown"
    >>> view.facts["weight"], view.facts["denominator"], view.facts["n"]
    ('weight', 'valid answers', '2,880 to 2,927 respondents a cell')
    """
    if rows < 1:
        raise TableError(f"rows must be at least 1; got {rows}")
    table_facts(table)
    return TableView(table, rows)
