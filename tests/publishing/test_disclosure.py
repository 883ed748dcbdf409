"""Disclosure control: no small cell is told, none follows from what is told, and rounding leaves nothing exact."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import surveysim as ss
from surveysim.codebook.backgrounds import background_id, parse_background_id
from surveysim.errors import SurveySimError, TableError
from surveysim.publishing.margin_sums import margin_equations
from surveysim.publishing.small_cells import Sizes, complementary
from surveysim.tables.schema import DISTRIBUTION_COLUMNS, check_distributions
from tests.support.small_surveys import small_codebook, small_survey

NUMBERS = ["share", "std_error", "conf_low", "conf_high", "n", "n_eff"]


def table(sizes: dict[str, int], *, source: str = "survey", shares: tuple[float, ...] = (0.25, 0.75)) -> pd.DataFrame:
    """Return a distributions table of question `q` with so many respondents in each background."""
    rows = [
        ("q", background, code, code, share if n else np.nan, 0.05, 0.0, 1.0, n, n * 0.9, source)
        for background, n in sizes.items()
        for code, share in enumerate(shares)
    ]
    return pd.DataFrame(rows, columns=DISTRIBUTION_COLUMNS)


def withheld(shown: pd.DataFrame) -> list[str]:
    return shown.loc[shown["suppressed"] != "", "background_id"].unique().tolist()


def cube(counts: np.ndarray) -> dict[str, int]:
    """Return the cells of a table of counts with all its margins, as background -> respondents."""
    traits, sizes = "abc"[: counts.ndim], {}
    for size in range(counts.ndim + 1):
        for kept in combinations(range(counts.ndim), size):
            sums = counts.sum(axis=tuple(set(range(counts.ndim)) - set(kept)))
            for place, n in np.ndenumerate(sums):
                sizes[background_id({traits[axis]: level for axis, level in zip(kept, place, strict=True)})] = int(n)
    return sizes


def test_small_cells_go_whole_and_the_rest_stays() -> None:
    cells = table({"age=a": 9, "age=b": 10, "age=c": 0, "age=d": 1})
    shown = check_distributions(ss.protect(cells))
    assert withheld(shown) == ["age=a", "age=d"]
    hidden = shown["suppressed"] != ""
    assert shown.loc[hidden, NUMBERS].isna().all(axis=None), "all options of a cell go together: the last follows from the others"
    assert shown.loc[hidden, "suppressed"].unique().tolist() == ["fewer than 10 respondents"]
    pd.testing.assert_frame_equal(shown.loc[~hidden, DISTRIBUTION_COLUMNS], cells.loc[~hidden], check_dtype=False)
    rule = {"how": "suppress", "min_n": 10, "min_count": 0, "min_n_eff": 5.0, "dominance": 0.5, "largest_weight": "bounded by n_eff"}
    assert shown.attrs["disclosure"] == {**rule, "cells": 4, "primary": 2, "secondary": 0, "unanimous": 0, "model_based": []}


def test_a_cell_does_not_follow_from_its_margin() -> None:
    """Hand-checked: 9 = 60 - 20 - 31, so the next smallest goes as well; without the margin it need not."""
    cells = {"age=a": 9, "age=b": 20, "age=c": 31}
    assert withheld(ss.protect(table(cells))) == ["age=a"]
    with_margin = ss.protect(table({**cells, "all": 60}))
    assert withheld(with_margin) == ["age=a", "age=b"]
    assert with_margin.set_index("background_id").loc["age=b", "suppressed"].iloc[0] == "follows from other cells"
    assert with_margin.attrs["disclosure"]["secondary"] == 1


def test_two_small_cells_whose_sum_is_small_take_a_third() -> None:
    assert withheld(ss.protect(table({"age=a": 2, "age=b": 3, "age=c": 40, "age=d": 50, "all": 95}))) == ["age=a", "age=b", "age=c"]
    assert withheld(ss.protect(table({"age=a": 6, "age=b": 7, "age=c": 40, "age=d": 50, "all": 103}))) == ["age=a", "age=b"]


def test_a_margin_that_counts_people_without_the_trait_hides_a_cell_by_itself() -> None:
    assert withheld(ss.protect(table({"age=a": 9, "age=b": 31, "all": 60}))) == ["age=a"], "20 have no age"
    assert withheld(ss.protect(table({"age=a": 9, "age=b": 31, "all": 43}))) == ["age=a", "age=b"], "only 3 have none"


def test_cells_that_follow_from_several_equations_together_are_found() -> None:
    """Two blocks of hidden cells joined by one: every row and column hides two or more, and yet the joining cell is solved for."""
    counts = np.full((5, 5), 50)
    for place in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 2), (2, 3), (3, 2), (3, 3), (1, 2)]:
        counts[place] = 6
    sizes = cube(counts)
    ids = list(sizes)
    n = np.array([sizes[name] for name in ids], dtype=float)
    first = np.array([size < 10 for size in n])
    no = np.zeros(len(n), dtype=bool)
    sizes = Sizes(n, low=np.where(first, 1.0, 10.0), high=np.where(first, 9.0, np.inf), fixed=no, lost=no)
    hidden, exposed = complementary(margin_equations(ids), sizes, first, min_n=10)
    assert not exposed.any()
    assert hidden.sum() > first.sum()


def follows(sizes: dict[str, int], hidden: set[str]) -> list[str]:
    """An intruder: write down every sum over the cells, and see which hidden sizes the published ones settle."""
    names = sorted(hidden)
    rows = []
    for whole in sizes:
        for traits in {frozenset(parse_background_id(name)) for name in sizes}:
            levels = parse_background_id(whole)
            if not set(levels) < traits:
                continue
            parts = [
                name for name in sizes if set(parse_background_id(name)) == traits and levels.items() <= parse_background_id(name).items()
            ]
            rows.append([(name == whole) - float(name in parts) for name in names])
    if not rows or not names:
        return []
    _, values, basis = np.linalg.svd(np.array(rows))
    free = basis[np.sum(values > 1e-9) :]
    return [name for place, name in enumerate(names) if np.abs(free[:, place]).max(initial=0) < 1e-9]


@given(st.lists(st.integers(0, 40), min_size=12, max_size=12), st.sampled_from([(3, 4), (2, 6), (2, 2, 3)]), st.sampled_from([5, 10]))
@settings(max_examples=50, deadline=None)
def test_no_intruder_solves_for_a_withheld_cell(counts: list[int], shape: tuple[int, ...], min_n: int) -> None:
    sizes = cube(np.array(counts).reshape(shape))
    shown = ss.protect(table(sizes), min_n=min_n)
    hidden = set(withheld(shown))
    assert {name for name, n in sizes.items() if 0 < n < min_n} <= hidden
    told = {name for name in hidden if sizes[name] > 0}
    assert follows(sizes, told) == []
    for whole in set(sizes) - hidden:  # and no sum of withheld parts is small
        for traits in {frozenset(parse_background_id(name)) for name in sizes}:
            levels = parse_background_id(whole)
            parts = [
                name for name in told if set(parse_background_id(name)) == traits and levels.items() <= parse_background_id(name).items()
            ]
            if set(levels) < traits and parts:
                assert sum(sizes[name] for name in parts) >= min_n


def test_a_table_published_before_is_kept_in_mind() -> None:
    cells, margin = table({"age=a": 9, "age=b": 20, "age=c": 31}), table({"all": 60})
    assert withheld(ss.protect(cells, published=margin)) == ["age=a", "age=b"]
    with pytest.raises(TableError, match=r"q \(survey\): age=a follow from published, whatever is withheld; join levels"):
        ss.protect(table({"age=a": 9}), published=margin.assign(n=9))


def test_a_cell_withheld_there_does_not_follow_from_here() -> None:
    """Hand-checked: 40 of race A less the 36 old ones that are out are the 4 young ones."""
    first = ss.protect(table({"age=old|race=A": 36, "age=young|race=A": 4, "age=old|race=B": 40, "age=young|race=B": 50}))
    assert withheld(first) == ["age=young|race=A"]
    margins = table({"race=A": 40, "race=B": 90})
    assert withheld(ss.protect(margins, published=first)) == ["race=A"]
    before = ss.protect(margins)
    assert withheld(before) == []
    again = ss.protect(before, published=first)
    assert withheld(again) == ["race=A"], "a table that was protected before is looked at again"
    assert again.attrs["disclosure"]["secondary"] == 1
    assert withheld(before) == [], "and the one given is as it was"


def test_a_cell_that_another_table_withholds_is_withheld_here_too() -> None:
    first = ss.protect(table({"age=a": 9, "age=b": 20, "age=c": 31, "all": 60}))
    assert withheld(first) == ["age=a", "age=b"]
    assert withheld(ss.protect(table({"age=b": 20, "age=c": 31}), published=first)) == ["age=b"]
    assert withheld(ss.protect(table({"age=c": 31, "all": 60}), published=first)) == []


def test_figures_of_other_respondents_do_not_tell_a_cell() -> None:
    official = table({"age=a": 900, "age=b": 1100}, source="official")
    cells = table({"age=a": 9, "age=b": 20, "all": 29})
    assert withheld(ss.protect(cells, published=official)) == withheld(ss.protect(cells)) == ["age=a", "age=b"]


def test_people_without_the_trait_stand_in_for_what_a_published_table_withholds() -> None:
    first = ss.protect(table({"age=a": 9, "age=b": 31, "all": 60}))
    assert withheld(first) == ["age=a"], "20 have no age"
    assert withheld(ss.protect(table({"race=A": 40, "race=B": 20}), published=first)) == []


def test_rounded_an_empty_cell_of_a_model_looks_like_a_small_one() -> None:
    cells = table({"age=a": 2, "age=b": 40}, source="dsa")
    empty = cells[cells["background_id"] == "age=a"].assign(background_id="age=c", n=0, n_eff=0.0, std_error=0.09)
    shown = ss.protect(pd.concat([cells, empty]), how="round", min_n=10, model_based="dsa").set_index("background_id")
    numbers = [*NUMBERS, "suppressed"]
    pd.testing.assert_frame_equal(
        shown.loc["age=a", numbers].reset_index(drop=True), shown.loc["age=c", numbers].reset_index(drop=True), check_exact=True
    )
    assert shown.loc["age=a", "share"].tolist() == [0.25, 0.75]
    assert shown.loc["age=a", ["std_error", "conf_low", "conf_high"]].isna().all(axis=None)
    assert shown.loc["age=b", "std_error"].tolist() == [0.05, 0.05]


def test_options_of_few_respondents() -> None:
    cells = table({"age=a": 40, "age=b": 400}, shares=(0.0, 0.05, 0.95))
    shown = ss.protect(cells, min_count=5)
    assert withheld(shown) == ["age=a"], "2 of 40 chose the second option, 20 of 400; nobody chose the first"
    assert shown["suppressed"].unique().tolist() == ["few respondents behind an option", ""]


def test_of_model_based_cells_the_shares_stay_alone() -> None:
    cells = pd.concat([table({"age=a": 3, "age=b": 30}, source=name) for name in ("survey", "dsa")])
    cells.attrs = {"weight": "w"}
    shown = ss.protect(cells, model_based=["dsa"])
    hidden = shown[shown["suppressed"] != ""].set_index("source")
    assert hidden.loc["survey", NUMBERS].isna().all(axis=None)
    assert hidden.loc["dsa", ["n", "n_eff", "std_error", "conf_low", "conf_high"]].isna().all(axis=None), "a standard error tells n"
    assert hidden.loc["dsa", "share"].notna().all()
    assert shown.attrs["weight"] == "w"
    assert shown.attrs["disclosure"]["model_based"] == ["dsa"]
    assert ss.protect(cells).loc[lambda f: f["suppressed"] != "", "share"].isna().all(), "without a word every share is the sample's"


def test_every_number_of_a_cell_goes_a_composites_too() -> None:
    cells = table({"age=a": 3, "age=b": 30}).assign(direct_weight=0.5, mse=0.01, note="x")
    shown = ss.protect(cells)
    assert shown.loc[shown["suppressed"] != "", ["direct_weight", "mse"]].isna().all(axis=None)
    assert (shown["note"] == "x").all()


def test_estimates_are_protected_too() -> None:
    survey = small_survey(n=80)
    means = ss.survey_mean(survey, questions=["q1"], by=["age", "gender", "region"])
    shown = ss.protect(means)
    small = means["n"] < 10
    assert small.any()
    assert shown.loc[small, ["estimate", "std_error", "n", "df", "deff"]].isna().all(axis=None)
    with pytest.raises(TableError, match="how='round' is for shares"):
        ss.protect(means, how="round")
    with pytest.raises(TableError, match="min_count is for shares"):
        ss.protect(means, min_count=3)


def test_a_protected_table_stays_as_it_is_and_serves_further() -> None:
    survey = small_survey(n=80)
    cells = ss.response_distributions(survey, by=["age", "gender", "region"], questions=["q1"])
    shown = ss.protect(cells)
    pd.testing.assert_frame_equal(ss.protect(shown, min_n=5), shown)
    grid = ss.background_grid(small_codebook(), by=["age", "gender", "region"])
    model = ss.estimate_baseline(shown, grid, method="shrunken", ordinal=["q1"])
    assert model["share"].notna().all(), "withheld cells teach nothing, and are estimated like unsampled ones"
    with pytest.raises(
        TableError, match="protected before, with how='suppress' and min_n=10; protect the original with how='suppress' and min_n=20"
    ):
        ss.protect(shown, min_n=20)


@given(st.integers(0, 200), st.sampled_from([3, 5, 10]))
@settings(max_examples=30, deadline=None)
def test_rounding_leaves_multiples_alone(seed: int, base: int) -> None:
    cells = ss.response_distributions(small_survey(seed, n=150), by=["age", "region"])
    shown = check_distributions(ss.protect(cells, how="round", min_n=base))
    told = shown[shown["share"].notna()]
    assert (told["n"] % base == 0).all()
    behind = told["share"] * told["n"] / base
    np.testing.assert_allclose(behind, behind.round(), atol=1e-9)
    np.testing.assert_allclose(told.groupby(["question_id", "background_id"])["share"].sum(), 1)
    aligned = cells.loc[told.index]
    assert ((told["share"] - aligned["share"]).abs() <= base / told["n"] + 1e-9).all()
    assert ((told["n"] - aligned["n"]).abs() <= base / 2).all()
    assert told["std_error"].gt(0).all()


def test_rounded_cells_tell_nothing_exact() -> None:
    """Two tables whose cells round alike come out alike, standard errors and all."""
    others = table({"age=b": 20_000})
    first, second = (pd.concat([table({"age=a": n}, shares=shares), others]) for n, shares in ((41, (0.26, 0.74)), (39, (0.24, 0.76))))
    ours, theirs = (ss.protect(each, how="round", min_n=10) for each in (first, second))
    pd.testing.assert_frame_equal(ours, theirs)
    away = ss.protect(table({"age=a": 2, "age=b": 0}), how="round", min_n=5)
    assert away["suppressed"].tolist() == ["rounded to 0 respondents"] * 2 + [""] * 2
    assert away["share"].isna().all()
    doubled = pd.concat([first, first.assign(source="model")])
    assert (doubled.index.duplicated()).any()
    kept = ss.protect(doubled, how="round", min_n=10, model_based=["model"])
    assert kept.loc[kept["source"] == "model", "share"].tolist() == first["share"].tolist()
    assert kept.loc[kept["source"] == "model", "n"].tolist() == [40, 40, 20_000, 20_000]


def test_a_unanimous_cell_is_counted() -> None:
    assert ss.protect(table({"age=a": 40}, shares=(0.0, 1.0))).attrs["disclosure"]["unanimous"] == 1


CELLS = table({"age=a": 9, "age=b": 20})
BROKEN: list[tuple[Callable[[], object], type[SurveySimError], str]] = [
    (lambda: ss.protect(CELLS, how="hide"), TableError, "how must be 'suppress' or 'round'; got 'hide'"),
    (lambda: ss.protect(CELLS, min_n=0), TableError, "min_n=0 must be at least 1"),
    (lambda: ss.protect(CELLS, min_count=-1), TableError, "min_count=-1 at least 0"),
    (lambda: ss.protect(CELLS.drop(columns="n")), TableError, "table lacks column n"),
    (
        lambda: ss.protect(CELLS.assign(n=np.nan)),
        TableError,
        "n is missing in q / survey / age=a, q / survey / age=b; a cell of unknown size",
    ),
    (lambda: ss.protect(CELLS, model_based=["dsa"]), TableError, "model_based: table has no source 'dsa'; known: survey"),
    (lambda: ss.protect(CELLS.assign(share=0.9)), TableError, "must sum to 1"),
    (lambda: ss.protect(CELLS, published=CELLS.drop(columns="n")), TableError, "published lacks column n"),
]


@pytest.mark.parametrize(("broken", "error", "says"), BROKEN, ids=[says[:40] for _, _, says in BROKEN])
def test_unusable_arguments_say_so(broken: Callable[[], object], error: type[SurveySimError], says: str) -> None:
    with pytest.raises(error, match=says):
        broken()
