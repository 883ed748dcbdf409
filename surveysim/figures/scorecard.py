"""`scorecard`: how good simulated shares are, on one page: distances, agreement, coverage, subgroups, nulls and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from surveysim.codebook.codebook import Codebook
from surveysim.codebook.matching import scales_of
from surveysim.codebook.toml_file import CodebookLike, codebook_if_any
from surveysim.errors import EvaluationError, first_few, quoted
from surveysim.evaluation.card_measures import Judged, floor_measures, judged, measures_of, paired_tests, subgroup_table
from surveysim.evaluation.comparison import FLOOR, FRESH_SAMPLE
from surveysim.evaluation.floor import marginal_for_all
from surveysim.evaluation.metrics import METRICS, ORDERED_ONLY, require_metrics
from surveysim.evaluation.scores import refuse_exchanged
from surveysim.figures.scorecard_panels import MARGINAL, draw_scorecard, measure_in_words
from surveysim.figures.style import embedded
from surveysim.html import Section, facts_line, frame_table, page, paragraph
from surveysim.tables.schema import (
    CELL,
    CONF_HIGH,
    CONF_LOW,
    ESTIMATE,
    METRIC,
    N_EFF,
    QUESTION,
    SHARE,
    SOURCE,
    STD_ERROR,
    SUPPRESSED,
    N,
    check_distributions,
)
from surveysim.whole_files import write_whole

RESERVED = (FLOOR, FRESH_SAMPLE, MARGINAL)
COLUMNS = ["measure", METRIC, SOURCE, ESTIMATE, STD_ERROR, CONF_LOW, CONF_HIGH, "p_value", "n_questions"]
HOW = (
    "Means over questions; in brackets 95% t intervals over questions. Within a question backgrounds count by their weight. "
    f"{FLOOR}: the population's own shares against this truth; {FRESH_SAMPLE}: a human sample as large as the truth; "
    f"{MARGINAL}: the truth's mean answer of each question for everybody. "
    "p of options: permutations of the options of each question, the same in all its backgrounds; p of exchanged backgrounds: "
    "permutations of backgrounds of the same traits. Coverage counts the truth's own sampling error. "
    "A truth made of respondents that a method learnt from flatters it."
)


@dataclass(frozen=True, eq=False)
class Scorecard:
    """What `scorecard` found: HTML in a notebook, text elsewhere.

    Attributes
    ----------
    table : DataFrame
        A row per measure, metric and source: `measure metric source estimate std_error conf_low conf_high p_value n_questions`.
    comparisons : DataFrame
        Paired tests of every two sources: `metric source other estimate std_error conf_low conf_high df p_value p_adjusted n_questions`.
    subgroups : DataFrame
        Error and bias of each level of each trait: `source trait level measure estimate std_error conf_low conf_high n_questions`.
    facts : dict
        What the truth is.
    """

    table: pd.DataFrame
    comparisons: pd.DataFrame
    subgroups: pd.DataFrame
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def how(self) -> str:
        """How the numbers are to be read."""
        return HOW

    @property
    def page(self) -> pd.DataFrame:
        """A row per measure and metric, a column per source, in words: ``0.043 (0.031 to 0.055)``."""
        words = self.table.assign(text=[_cell(row) for _, row in self.table.iterrows()])
        wide = words.pivot_table(index=["measure", METRIC], columns=SOURCE, values="text", aggfunc="first", sort=False)
        wide = wide[list(dict.fromkeys(words[SOURCE]))].fillna("").rename_axis(columns=None).reset_index()
        return wide.assign(measure=wide["measure"].map(measure_in_words), metric=wide[METRIC].str.replace("_", " "))

    def __repr__(self) -> str:
        facts = [f"{name}: {value}" for name, value in self.facts.items()]
        return "\n".join(["Scorecard", *facts, self.page.to_string(index=False), HOW])

    def _repr_html_(self) -> str:
        return facts_line("Scorecard", self.facts) + self.html

    @property
    def html(self) -> str:
        """The tables as HTML, without a heading."""
        parts = [frame_table(self.page), paragraph(self.how)]
        if len(self.comparisons):
            parts += [
                paragraph("Differences in error between two sources, with p values adjusted after Holm:"),
                frame_table(self.comparisons),
            ]
        if len(self.subgroups):
            about = "distance: total variation of the level's mean shares; bias: mean position less the truth's, on a scale from 0 to 1."
            parts += [paragraph(f"Levels of traits as a whole. {about}"), frame_table(self.subgroups)]
        return "".join(parts)

    def plot(self) -> Axes:
        """Draw the measures that have one scale for all sources, with their intervals, and return the first panel."""
        return draw_scorecard(self.table)

    def save(self, path: str | Path = "scorecard.html") -> Path:
        """Write figure and tables as one HTML file that loads nothing from elsewhere.

        Raises
        ------
        EvaluationError
            If the name does not end in .html.
        ReadError
            If the folder does not exist.
        """
        target = Path(path)
        if target.suffix.lower() != ".html":
            raise EvaluationError(f"path={str(target)!r}: the scorecard is an HTML file; end its name in .html")
        figure = embedded(self.plot(), "Measures of each source, with 95% intervals over questions where there are several")
        sections = [Section("figure", "Figure", figure), Section("numbers", "Numbers", self.html)]
        names = first_few(name for name in dict.fromkeys(self.table[SOURCE]) if name not in RESERVED)
        banner = "; ".join(f"{name}: {value}" for name, value in self.facts.items())
        text = page(f"Scorecard: {names}", banner, sections)
        return write_whole(target, lambda place: place.write_text(text, encoding="utf-8"))


def scorecard(
    simulated: pd.DataFrame,
    truth: pd.DataFrame,
    *,
    against: Mapping[str, pd.DataFrame] | None = None,
    codebook: CodebookLike | None = None,
    ordinal: str | Sequence[str] | None = None,
    metrics: str | Sequence[str] = ("wasserstein", "total_variation"),
    weights: pd.DataFrame | Mapping[str, float] | None = None,
    on: str = "all",
    draws: int = 199,
    seed: int = 0,
) -> Scorecard:
    """Judge simulated shares by a truth, beside noise floor, opponents and nulls, on one page.

    Parameters
    ----------
    simulated : DataFrame
        A distributions table; several sources in it are several simulators.
    truth : DataFrame
        A distributions table of one source with `n_eff` (or `n`), of respondents that no method learnt from.
    against : mapping of str to DataFrame, optional
        Opponents by name, such as classical estimates from the same sample: tables of one source each.
    codebook : str, Path, Codebook or Survey, optional
    ordinal : str or sequence of str, optional
        As in `evaluate`: which questions are ordered.
    metrics : str or sequence of str
        Names of `METRICS`.
    weights : DataFrame or mapping, optional
        As in `evaluate`: what a background counts for; default the truth's `n`.
    on : {"all", "shared"}
        "all": every table must have the truth's cells. "shared": the cells that all have, and `facts` counts the others.
    draws : int
        Of the noise floor and of the permutation tests, at least 19; the smallest p value is ``1 / (1 + draws)``.
    seed : int

    Returns
    -------
    Scorecard
        ``.table``, ``.comparisons``, ``.subgroups``; HTML in a notebook; ``.plot()``; ``.save(path)`` writes one page. Measures, for each
        source, are means over questions:

        - `distance`, and over backgrounds of a question `median_error`, `error_90` (a tenth of the weight has a larger error) and
          `worst_tenth` (mean error of the backgrounds with the largest, a tenth of the weight; one counts in part);
        - `distance_own_mean`: its own mean shares given to everybody; `distance_shuffled`: its backgrounds exchanged, with the p value of
          a permutation test that it knows nothing of which background is which;
        - `top_answer`: share of backgrounds whose most frequent answer is the truth's; `option_rank`: Spearman correlation over the
          options of a background; p values by relabelling options, the same in all backgrounds of a question;
        - `variance_ratio` (between backgrounds; sum over questions over the truth's, less its sampling variance; 1 is right) and
          `background_rank`, both as of `diagnose`;
        - `coverage` and `interval_width` of stated 95% intervals, the truth's sampling error allowed for;
        - `subgroup_error_<trait>`: total variation of the mean shares of the trait's levels.

    Raises
    ------
    EvaluationError
        If a metric is unknown, `draws` is below 19, an opponent has no name of its own or holds several sources, the tables hold
        different cells, the truth is simulated and `simulated` is not, the truth has no sizes, or the types of questions are not
        given or the codebook lacks one.
    TableError
        If a table breaks its contract.

    References
    ----------
    Holm (1979), https://www.jstor.org/stable/4615733. Phipson and Smyth (2010), doi:10.2202/1544-6115.1585 (permutation p values).
    Rockafellar and Uryasev (2002), doi:10.1016/S0378-4266(02)00271-6 (mean of a tail).

    Examples
    --------
    >>> import surveysim as ss
    >>> survey = ss.load_example("nonvoters2020")
    >>> train, rest = ss.hold_out_respondents(survey, n_train=400, seed=0)
    >>> by, asked = ["gender", "age3"], ["Q8_8", "Q8_9", "Q8_2"]
    >>> truth = ss.response_distributions(rest, by=by, questions=asked)
    >>> tables = {name: ss.simulate(train, by, questions=asked, method=name) for name in ("mrp", "pooled")}
    >>> card = ss.scorecard(tables["mrp"], truth, against={"pooled": tables["pooled"]}, codebook=survey)
    >>> card.table.source.unique().tolist()
    ['mrp', 'pooled', 'population marginal', 'floor', 'fresh sample']
    """
    names = require_metrics(metrics, tuple(METRICS))
    if draws < 19:
        raise EvaluationError(f"draws must be at least 19, so that a p value can fall to 0.05; got {draws}")
    book = codebook_if_any(codebook)
    tables = _tables(simulated, against)
    check_distributions(truth, "truth")
    refuse_exchanged(simulated, truth, "simulated", "truth")
    ordered = scales_of(truth[QUESTION], book, ordinal, needed=bool(set(names) & ORDERED_ONLY))
    if N not in truth and N_EFF not in truth:
        raise EvaluationError("truth has neither n nor n_eff, so its noise is unknown; add one of them")
    tables, kept, dropped = _on(tables, truth, on)
    size = N if N in kept and (kept[N] > 0).any() else N_EFF
    marginal = marginal_for_all(kept, weight=size).drop(columns=[STD_ERROR, CONF_LOW, CONF_HIGH], errors="ignore")
    each = [
        judged(name, table, kept, metrics=names, ordered=ordered, weights=weights) for name, table in {**tables, MARGINAL: marginal}.items()
    ]
    found = [measures_of(one, draws=draws, seed=seed) for one in each]
    fresh = {FLOOR: np.full(each[0].truth.n_eff.shape, np.inf), FRESH_SAMPLE: each[0].truth.n_eff}
    found += [floor_measures(each[0], sizes, name, draws=draws, seed=seed) for name, sizes in fresh.items()]
    table = pd.concat(found, ignore_index=True).reindex(columns=COLUMNS).assign(**{METRIC: lambda rows: rows[METRIC].fillna("")})
    bias = pd.concat([subgroup_table(one) for one in each], ignore_index=True)
    return Scorecard(table, paired_tests(each), bias, _facts(truth, each[0], dropped, book))


def _tables(simulated: pd.DataFrame, against: Mapping[str, pd.DataFrame] | None) -> dict[str, pd.DataFrame]:
    """Return source -> table of every simulator and opponent."""
    check_distributions(simulated, "simulated")
    tables = {str(name): own for name, own in simulated.groupby(SOURCE, sort=False, observed=True)}
    if against is not None and not isinstance(against, Mapping):
        raise EvaluationError(f"against must be a mapping of names to tables, against={{'mrp': table}}; got {type(against).__name__}")
    for name, table in (against or {}).items():
        check_distributions(table, f"against[{name!r}]")
        if len(sources := table[SOURCE].unique()) > 1:
            raise EvaluationError(f"against[{name!r}] holds {len(sources)} sources ({first_few(sources)}); give each a name of its own")
        if name in tables:
            raise EvaluationError(f"against: {quoted(name)} is a source of simulated as well; give the opponent another name")
        tables[str(name)] = table
    taken = [name for name in tables if name in RESERVED]
    if taken:
        raise EvaluationError(
            f"{first_few(map(repr, taken))} is what the scorecard names a null or floor of its own; give the table another name"
        )
    return tables


def _on(tables: dict[str, pd.DataFrame], truth: pd.DataFrame, on: str) -> tuple[dict[str, pd.DataFrame], pd.DataFrame, int]:
    """Return tables and truth on the cells to judge, and how many cells of the truth are left out."""
    if on not in ("all", "shared"):
        raise EvaluationError(f"on must be 'all' or 'shared'; got {on!r}")
    check_distributions(truth, "truth")
    answered = truth[truth[SHARE].notna()]
    if on == "all":
        return tables, truth, 0
    cells = pd.MultiIndex.from_frame(answered[CELL].drop_duplicates())
    everything = len(cells)
    for table in tables.values():
        cells = cells.intersection(pd.MultiIndex.from_frame(table.loc[table[SHARE].notna(), CELL].drop_duplicates()))
    if not len(cells):
        raise EvaluationError("the tables and the truth share no cell; compare question_id and background_id")
    kept = {name: table[pd.MultiIndex.from_frame(table[CELL]).isin(cells)] for name, table in {**tables, "": answered}.items()}
    return {name: kept[name] for name in tables}, kept[""], everything - len(cells)


def _facts(truth: pd.DataFrame, one: Judged, dropped: int, book: Codebook | None) -> dict[str, str]:
    sizes = one.truth.n[one.weight > 0]
    about = {
        "survey": book.title if book is not None else str(truth.attrs.get("survey", "")),
        "weight of the truth": str(truth.attrs.get("weight", "")),
        "questions": str(len(one.truth.questions)),
        "backgrounds": str(len(one.truth.backgrounds)),
        "n of the truth": f"{sizes.min():,.0f} to {sizes.max():,.0f} respondents a cell",
        "cells left out": str(dropped) if dropped else "",
        "cells without a truth, not scored": _untold(truth),
    }
    return {name: value for name, value in about.items() if value}


def _untold(truth: pd.DataFrame) -> str:
    """Count the cells in which the truth has no shares, and those of them that are withheld: large cells alone may be easier."""
    empty = truth[truth[SHARE].isna()].drop_duplicates(CELL)
    hidden = int((empty[SUPPRESSED].fillna("") != "").sum()) if SUPPRESSED in empty else 0
    told = f", {hidden} of them withheld: the scores are of the larger cells alone" if hidden else ""
    return f"{len(empty)} of {len(truth.drop_duplicates(CELL))}{told}" if len(empty) else ""


def _cell(row: pd.Series) -> str:
    """Write an estimate with its interval and p value."""
    interval = f" ({row[CONF_LOW]:.3f} to {row[CONF_HIGH]:.3f})" if np.isfinite(row[CONF_LOW]) else ""
    tested = f", p = {row['p_value']:.3g}" if np.isfinite(row["p_value"]) else ""
    return f"{row[ESTIMATE]:.3f}{interval}{tested}"


def _p_in_words(tests: pd.DataFrame) -> pd.DataFrame:
    """Write p values so that none is 0."""
    words = {
        name: ["–" if np.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}" for p in tests[name]] for name in ("p_value", "p_adjusted")
    }
    return tests.assign(**words)
