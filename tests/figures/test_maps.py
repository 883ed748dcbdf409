"""`plot_map`: the numbers in the tiles are the table's, uncertainty is seen, and what has no tile is named."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle

import surveysim as ss
from surveysim.errors import TableError
from surveysim.figures.rows import NO_NUMBER
from tests.support.figures import refuse_overlaps, texts
from tests.support.opinion_survey import opinion_survey

mpl.use("Agg")
COUNTRIES = ["Norway", "the Netherlands", "DE", "Great Britain", "Czech Republic", "Atlantis"]
MEANS = pd.DataFrame(
    {
        "question_id": "trust",
        "background_id": [f"country={name}" for name in COUNTRIES],
        "estimate": [7.1, 5.9, 5.0, 4.4, 3.9, 3.0],
        "source": "survey",
        "n": 900,
    }
)
MEANS = MEANS.assign(conf_low=MEANS["estimate"] - 0.2, conf_high=MEANS["estimate"] + 0.2)
TILES = pd.DataFrame({"level": ["female", "male"], "row": [0, 0], "column": [0, 1]})
SURVEY = opinion_survey(300)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    mpl.pyplot.close("all")


def _hatched(ax: mpl.axes.Axes) -> int:
    return sum(patch.get_hatch() is not None for patch in ax.patches)


def test_levels_are_found_by_name_code_and_other_name() -> None:
    frame = ss.plot_map(MEANS, trait="country", draw=False)
    assert frame["tile"].tolist() == ["NO", "NL", "DE", "GB", "CZ"]
    assert frame["level"].tolist() == COUNTRIES[:5]
    assert frame["estimate"].tolist() == MEANS["estimate"].tolist()[:5]
    assert frame.attrs["no_tile"] == ["Atlantis"]
    assert frame.attrs["tiles"] == "europe"


def test_every_number_is_on_the_page_and_nothing_overlaps() -> None:
    ax = ss.plot_map(MEANS, trait="country")
    refuse_overlaps(ax)
    shown = texts(ax)
    assert {"7.1", "6.9–7.3", "4.4", "4.2–4.6", "estimate, by country: survey"} <= set(shown)
    assert "Without a tile, not drawn: Atlantis." in " ".join(shown).replace("\n", " ")
    assert _hatched(ax) == 0


def test_a_wide_interval_is_hatched_and_a_missing_one_dashed() -> None:
    table = MEANS.assign(conf_high=MEANS["conf_high"].where(MEANS["estimate"] != 5.0, 8.0))
    table.loc[0, ["conf_low", "conf_high"]] = np.nan
    table.loc[1, "estimate"] = np.nan
    frame = ss.plot_map(table, trait="country", draw=False)
    assert frame.loc[frame["wide"], "level"].tolist() == ["DE"]
    ax = ss.plot_map(table, trait="country")
    refuse_overlaps(ax)
    note = " ".join(texts(ax)).replace("\n", " ")
    assert _hatched(ax) == 1
    assert "Hatched: the interval is wider than half of the colours' range. Dashed: no interval known." in note
    assert "White, without a number: no estimate (the Netherlands)." in note
    assert "withheld" not in note
    assert not {"–", NO_NUMBER} & set(texts(ax))
    assert "No intervals known." in " ".join(texts(ss.plot_map(MEANS.drop(columns=["conf_low", "conf_high"]), trait="country")))


def test_a_withheld_estimate_is_told_from_one_that_is_missing() -> None:
    """Of means as of shares: a dash stands for what `protect` withheld, an empty tile for what was never there."""
    means = MEANS.assign(suppressed="").iloc[:5].copy()
    means.loc[[1, 2], ["estimate", "conf_low", "conf_high", "n"]] = np.nan
    means.loc[2, "suppressed"] = "fewer than 10 respondents"
    frame = ss.plot_map(means, trait="country", draw=False)
    assert frame.loc[frame["withheld"], "level"].tolist() == ["DE"]
    ax = ss.plot_map(means, trait="country")
    refuse_overlaps(ax)
    note = " ".join(texts(ax)).replace("\n", " ")
    assert "–: withheld, 1 of 5 levels (DE). White, without a number: no estimate (the Netherlands)." in note
    assert texts(ax).count(NO_NUMBER) == 1
    places = pd.DataFrame({"level": ["young", "middle", "old"], "row": 0, "column": [0, 1, 2]})
    shares = ss.response_distributions(SURVEY, by="age", questions="taxes")
    smallest = shares.loc[shares["n"].idxmin(), "age"]
    kept = ss.protect(shares, min_n=int(shares["n"].min()) + 1)
    frame = ss.plot_map(kept, trait="age", tiles=places, codebook=SURVEY, draw=False).set_index("level")
    assert frame["withheld"].sum() >= 1
    assert frame.loc[smallest, "withheld"]
    assert frame["estimate"].isna().eq(frame["withheld"]).all()
    refuse_overlaps(ss.plot_map(kept, trait="age", tiles=places, codebook=SURVEY))


def test_shares_are_those_of_the_table_with_the_interval_of_a_joint_share() -> None:
    table = ss.response_distributions(SURVEY, by="gender", questions="vote")
    frame = ss.plot_map(table, trait="gender", tiles=TILES, options=[1], codebook=SURVEY, draw=False)
    own = table[table["option_code"] == 1].set_index("gender").loc[frame["level"]]
    for ours, theirs in (("estimate", "share"), ("conf_low", "conf_low"), ("conf_high", "conf_high"), ("n", "n")):
        np.testing.assert_allclose(frame[ours], own[theirs])
    ax = ss.plot_map(table, trait="gender", tiles=TILES, options=[1], codebook=SURVEY)
    refuse_overlaps(ax)
    assert f"{100 * frame['estimate'].iloc[0]:.0f}" in texts(ax)
    assert SURVEY.codebook.question("vote").text in texts(ax)


def test_errors_are_means_over_questions_of_means_over_the_level() -> None:
    train, rest = ss.hold_out_respondents(SURVEY, n_train=150, seed=0)
    tables = [ss.response_distributions(part, by=["age", "gender"], questions=["taxes", "vote"]) for part in (train, rest)]
    scores = ss.evaluate(*tables, codebook=SURVEY, on="shared")
    frame = ss.plot_map(scores, trait="gender", tiles=TILES, metric="total_variation", draw=False).set_index("level")
    for level in ("female", "male"):
        own = scores[scores["background_id"].str.contains(f"gender={level}") & (scores["metric"] == "total_variation")]
        by_question = [np.average(part["estimate"], weights=part["weight"]) for _, part in own.groupby("question_id")]
        assert frame.loc[level, "estimate"] == pytest.approx(np.mean(by_question))
    assert (frame["conf_low"] >= 0).all(), "a distance is not negative"
    refuse_overlaps(ss.plot_map(scores, trait="gender", tiles=TILES))


def test_a_whole_grid_of_states_can_be_read_also_in_small_axes() -> None:
    states = ["Ohio", "TX", "NY", "Iowa", "Utah", "ca"]
    frame = ss.plot_map(MEANS.assign(background_id=[f"state={name}" for name in states]), trait="state", draw=False)
    assert (frame.attrs["tiles"], len(frame)) == ("us_states", 6)
    _, axes = mpl.pyplot.subplots(figsize=(4, 3.6))
    axes.set_position((0.05, 0.15, 0.9, 0.6))
    ax = ss.plot_map(MEANS, trait="country", ax=axes)
    assert ax is axes
    assert {"NO", "NL", "DE", "GB", "CZ"} <= set(texts(ax)), "the names stay where numbers have no room"
    inside = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert all(patch.get_window_extent().y0 >= axes.bbox.y0 - 1 for patch in inside)


def test_regions_of_a_survey_that_ships() -> None:
    table = MEANS.iloc[:4].assign(background_id=[f"region={name}" for name in ("Northeast", "Midwest", "South", "West")])
    assert ss.plot_map(table, trait="region", draw=False).attrs["tiles"] == "us_regions"
    refuse_overlaps(ss.plot_map(table, trait="region"))


@pytest.mark.parametrize(
    ("table", "given", "said"),
    [
        (MEANS, {"trait": "contry"}, "trait: the backgrounds .* have no trait 'contry'; did you mean 'country'"),
        (MEANS, {"trait": "country", "question": "trst"}, "question: table has no question_id 'trst'; did you mean 'trust'"),
        (MEANS, {"trait": "country", "source": "mrp"}, "source: table has no source 'mrp'"),
        (MEANS.assign(question_id=list("aabbcc")), {"trait": "country"}, "table has 3 values of 'question_id' .* choose with question="),
        (MEANS.assign(source=list("aabbcc")), {"trait": "country"}, "table has 3 values of 'source' .* choose with source="),
        (
            MEANS.assign(background_id=[f"age={age}|country={name}" for name in ("Italy", "Spain") for age in ("a", "b", "c")]),
            {"trait": "country"},
            r"several rows of level 'Italy', 'Spain', and a tile shows one number; it is also over age; .*poststratify\(",
        ),
        (pd.concat([MEANS, MEANS]), {"trait": "country"}, "background_id repeats"),
        (MEANS.assign(estimate=np.nan), {"trait": "country"}, "no estimate in any level"),
        (MEANS.assign(metric=["a", "b", "c"] * 2), {"trait": "country"}, "several metrics, a, b, c; choose one with metric="),
    ],
)
def test_mistakes_name_argument_rule_and_remedy(table: pd.DataFrame, given: dict[str, str], said: str) -> None:
    with pytest.raises(TableError, match=said):
        ss.plot_map(table, **given, draw=False)
