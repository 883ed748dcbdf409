"""Figures of distributions and shifts: what is drawn is what the table says, nothing is cut off, and errors name the nearest."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

import surveysim as ss
from surveysim.baselines.methods import BASELINES
from surveysim.errors import CodebookError, TableError
from surveysim.figures.bars import option_colors, text_on
from surveysim.figures.style import text_width, wrap
from tests.support.figures import bars, intervals, markers, ordered, refuse_overlaps, texts
from tests.support.small_surveys import small_codebook

mpl.use("Agg")
BY = ["gender", "age6", "education"]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    mpl.pyplot.close("all")


@pytest.fixture(scope="module")
def survey() -> ss.Survey:
    return ss.load_example("nonvoters2020")


@pytest.fixture(scope="module")
def split(survey: ss.Survey) -> tuple[ss.Survey, ss.Survey]:
    return ss.hold_out_respondents(survey, n_train=400, seed=1)


@pytest.fixture(scope="module")
def few(split: tuple[ss.Survey, ss.Survey]) -> pd.DataFrame:
    """Two sources, six backgrounds."""
    tables = [ss.response_distributions(one, by=["gender", "age3"], questions=["Q8_8", "Q24"]) for one in split]
    return pd.concat([tables[0].assign(source="sample"), tables[1].assign(source="truth")])


@pytest.fixture(scope="module")
def many(split: tuple[ss.Survey, ss.Survey]) -> pd.DataFrame:
    """Three sources, 36 backgrounds, two of them without a respondent in the sample; the middle source has no standard errors."""
    sample, truth = (ss.response_distributions(one, by=BY, questions=["Q8_8"]) for one in split)
    model = BASELINES["ridge"](sample, ss.background_grid(split[0].codebook, by=BY), ordinal=["Q8_8"])
    return pd.concat([sample.assign(source="raw sample"), model.assign(source="model"), truth.assign(source="left out")])


def test_bars_tile_the_scale_about_its_middle(survey: ss.Survey, few: pd.DataFrame) -> None:
    frame = ss.plot_distributions(few, question="Q8_8", codebook=survey.codebook, draw=False)
    assert frame.background.drop_duplicates().tolist()[:2] == ["female · 18-34", "female · 35-54"]
    assert frame.option.unique().tolist() == ["A lot", "Some", "Not much", "Not at all"]
    for _, bar in frame.groupby(["background_id", "source"]):
        np.testing.assert_allclose(bar.left.iloc[1:], (bar.left + bar.share).iloc[:-1], atol=1e-12)
        assert bar.left.iloc[2] == pytest.approx(0, abs=1e-12)
        assert bar.joint_share.iloc[0] == pytest.approx(bar.share.iloc[:2].sum())
        assert (bar.joint_low < bar.joint_share).all()
    given = few[few.question_id == "Q8_8"]
    merged = frame.merge(given, on=["background_id", "source", "option_code"], suffixes=("", "_given"))
    assert len(merged) == len(frame) == len(given)
    np.testing.assert_array_equal(merged.share, merged.share_given)
    np.testing.assert_array_equal(merged.n, merged.n_given)


def test_what_is_drawn_as_bars_is_the_frame(survey: ss.Survey, few: pd.DataFrame) -> None:
    frame = ss.plot_distributions(few, question="Q8_8", codebook=survey.codebook, draw=False)
    ax = ss.plot_distributions(few, question="Q8_8", codebook=survey.codebook)
    np.testing.assert_allclose(ordered(bars(ax)), ordered(frame[["row", "left", "share"]].to_numpy()), atol=1e-12)
    own = frame.drop_duplicates("row")
    (panel,) = ax.child_axes
    np.testing.assert_allclose(ordered(markers(panel)), ordered(np.c_[100 * own.joint_share, own.row]))
    np.testing.assert_allclose(ordered(intervals(panel)), ordered(np.c_[own.row, 100 * own.joint_low, 100 * own.joint_high]))
    seen = texts(ax)
    for text in ("A lot", "Not at all", "female · 18-34", "sample", "truth", "n", *(f"{n:,.0f}" for n in own.n)):
        assert text in seen
    assert survey.codebook.question("Q8_8").text in " ".join(seen)
    large = frame[frame.share > 0.2]
    assert len(large)
    assert {f"{100 * share:.0f}" for share in large.share} <= set(seen)


def test_the_middle_of_an_odd_scale_straddles_zero() -> None:
    shares = [0.1, 0.2, 0.4, 0.2, 0.1]
    codebook = ss.load_codebook("ess11")
    question = next(one for one in codebook.questions.values() if len(one.options) == 5 and one.type == "ordinal")
    table = pd.DataFrame({"question_id": question.question_id, "background_id": "all", "option_code": question.codes, "share": shares})
    table = table.assign(option_order=range(5), source="survey")
    frame = ss.plot_distributions(table, question=question.question_id, codebook=codebook, draw=False)
    np.testing.assert_allclose(frame.left, [-0.5, -0.4, -0.2, 0.2, 0.4], atol=1e-12)
    assert "none known for survey" in " ".join(texts(ss.plot_distributions(table, question=question.question_id, codebook=codebook)))


def test_missing_answers_follow_the_scale_and_nominal_bars_start_at_zero(survey: ss.Survey) -> None:
    table = ss.response_distributions(survey, by=["education"], questions=["Q8_8", "Q24"], missing="as_option")
    frame = ss.plot_distributions(table, question="Q8_8", codebook=survey.codebook, draw=False)
    assert frame.option.unique().tolist() == ["A lot", "Some", "Not much", "Not at all", "refused"]
    assert (frame[frame.option_code == 3].left.abs() < 1e-12).all()
    assert (frame[frame.option == "refused"].left > 0).all()
    nominal = ss.plot_distributions(table, question="Q24", codebook=survey.codebook, draw=False)
    assert (nominal.groupby("background_id").left.min() == 0).all()
    unknown = ss.plot_distributions(table, question="Q8_8", draw=False)
    assert (unknown.groupby("background_id").left.min() == 0).all()
    assert unknown.option.unique().tolist() == ["1", "2", "3", "4", "refused"]


def test_many_backgrounds_become_dots_in_panels(survey: ss.Survey, many: pd.DataFrame) -> None:
    frame = ss.plot_distributions(many, question="Q8_8", codebook=survey.codebook, draw=False)
    assert len(frame) == 36 * 3
    assert frame.panel.unique().tolist() == ["female", "male"]
    assert frame.heading.unique().tolist() == list(survey.codebook.trait("age6").level_names)
    assert frame.background.unique().tolist() == list(survey.codebook.trait("education").level_names)
    empty = frame[(frame.source == "raw sample") & frame.share.isna()]
    assert empty.n.tolist() == [0, 0]
    assert frame[frame.source == "model"].conf_low.isna().all()
    offsets = (frame.y - frame.row).groupby(frame.source).unique()
    assert offsets["raw sample"][0] < offsets["model"][0] == 0 < offsets["left out"][0]
    ax = ss.plot_distributions(many, question="Q8_8", codebook=survey.codebook)
    assert len(ax.figure.axes) == 2
    for panel, name in zip(ax.figure.axes, ("female", "male"), strict=True):
        own = frame[frame.panel == name]
        known, limits = own[own.share.notna()], own[own.conf_low.notna()]
        np.testing.assert_allclose(ordered(markers(panel)), ordered(np.c_[100 * known.share, known.y]))
        np.testing.assert_allclose(ordered(intervals(panel)), ordered(np.c_[limits.y, 100 * limits.conf_low, 100 * limits.conf_high]))
    assert "Lines: 95% intervals; none known for model. n: respondents." in texts(ax)


@pytest.mark.parametrize("kind", ["bars", "dots"])
def test_axes_that_are_given_hold_the_whole_figure(survey: ss.Survey, few: pd.DataFrame, kind: str) -> None:
    _, axes = mpl.pyplot.subplots(1, 2, figsize=(16, 8))
    drawn = ss.plot_distributions(few, question="Q8_8", codebook=survey.codebook, kind=kind, ax=axes[1])
    assert drawn is axes[1]
    assert not axes[0].lines
    count = len(drawn.get_yticks())
    assert count == (6 * 3 if kind == "bars" else 6 + 2)
    assert not drawn.spines["top"].get_visible()


def test_sources_and_backgrounds_can_be_chosen(survey: ss.Survey, few: pd.DataFrame) -> None:
    chosen = few.background_id.unique()[:2]
    wanted = {"question": "Q8_8", "sources": ["truth", "sample"], "codebook": survey.codebook, "draw": False}
    frame = ss.plot_distributions(few, backgrounds=chosen, **wanted)
    assert frame.source.unique().tolist() == ["truth", "sample"]
    assert set(frame.background_id) == set(chosen)
    again = ss.plot_distributions(few, backgrounds=pd.DataFrame({"background_id": chosen}), **wanted)
    pd.testing.assert_frame_equal(frame, again)
    last = ss.plot_distributions(few, question="Q8_8", codebook=survey.codebook, options=[4], kind="dots", draw=False)
    given = few[(few.question_id == "Q8_8") & (few.option_code == 4)].set_index(["background_id", "source"])
    np.testing.assert_array_equal(last.share, given.share.reindex(pd.MultiIndex.from_frame(last[["background_id", "source"]])))


def test_shifts_are_differences_from_the_post_stratified_share(survey: ss.Survey, many: pd.DataFrame) -> None:
    population = ss.observed_backgrounds(survey, by=BY)
    table = many[many.source == "left out"]
    frame = ss.plot_shifts(table, question="Q8_8", trait="age6", codebook=survey.codebook, population=population, draw=False)
    levels = ss.poststratify(table, population, by=["age6"])
    pooled = ss.poststratify(table, population)
    first = levels[levels.option_code <= 2].groupby("background_id").share.sum()
    overall = pooled[pooled.option_code <= 2].share.sum()
    assert frame.level.tolist() == list(survey.codebook.trait("age6").level_names)
    np.testing.assert_allclose(frame.share, first.reindex([f"age6={level}" for level in frame.level]), rtol=1e-9)
    np.testing.assert_allclose(frame.pooled_share, overall, rtol=1e-9)
    np.testing.assert_allclose(frame["shift"], frame.share - overall, rtol=1e-7)
    np.testing.assert_allclose((frame.conf_high - frame.conf_low) / 2, 1.959964 * frame.std_error, rtol=1e-5)


def test_the_error_of_a_shift_knows_that_the_level_is_part_of_the_whole() -> None:
    cells = pd.DataFrame({"background_id": ["age=young", "age=old"], "share": [0.3, 0.6], "std_error": [0.03, 0.04], "n": [100, 300]})
    other = cells.assign(share=1 - cells.share, option_code=2, option_order=1)
    table = pd.concat([cells.assign(option_code=1, option_order=0), other]).assign(question_id="q", source="s")
    frame = ss.plot_shifts(table, question="q", trait="age", options=[1], draw=False)
    assert frame.pooled_share.tolist() == pytest.approx([0.525, 0.525])
    assert frame["shift"].tolist() == pytest.approx([-0.225, 0.075])
    assert frame.std_error.tolist() == pytest.approx([0.75 * 0.05, 0.25 * 0.05])


def test_shifts_are_drawn_with_sign_zero_line_and_n(survey: ss.Survey, many: pd.DataFrame) -> None:
    frame = ss.plot_shifts(many, question="Q8_8", trait="age6", codebook=survey.codebook, draw=False)
    ax = ss.plot_shifts(many, question="Q8_8", trait="age6", codebook=survey.codebook)
    np.testing.assert_allclose(ordered(markers(ax)), ordered(np.c_[100 * frame["shift"], frame.y]))
    known = frame[frame.conf_low.notna()]
    assert set(known.source) == {"raw sample", "left out"}
    np.testing.assert_allclose(ordered(intervals(ax)), ordered(np.c_[known.y, 100 * known.conf_low, 100 * known.conf_high]))
    assert any(list(line.get_xdata()) == [0, 0] for line in ax.lines)
    seen = texts(ax)
    assert {"−10", "0", "+10"} <= set(seen)
    assert f"{100 * frame['shift'].max():+.0f}" in seen
    assert "Lines: 95% intervals; none known for model. n: respondents. Backgrounds count by n of 'left out'." in seen


def test_a_level_that_a_source_never_sampled_has_no_shift(survey: ss.Survey, few: pd.DataFrame) -> None:
    lacking = few[~((few.source == "sample") & few.background_id.str.startswith("age3=55+"))]
    frame = ss.plot_shifts(lacking, question="Q8_8", trait="age3", codebook=survey.codebook, draw=False).set_index(["source", "level"])
    assert np.isnan(frame.loc[("sample", "55+"), "shift"])
    assert frame.loc[("sample", "55+"), "n"] == 0
    assert np.isfinite(frame.loc[("truth", "55+"), "shift"])
    refuse_overlaps(ss.plot_shifts(lacking, question="Q8_8", trait="age3", codebook=survey.codebook))


def test_no_text_is_cut_off_or_overlaps(survey: ss.Survey, few: pd.DataFrame, many: pd.DataFrame) -> None:
    book = survey.codebook
    long = ss.response_distributions(survey, by=["income", "race"], questions=["Q26"])
    refuse_overlaps(ss.plot_distributions(few, question="Q8_8", codebook=book))
    refuse_overlaps(ss.plot_distributions(few, question="Q24", codebook=book))
    refuse_overlaps(ss.plot_distributions(many, question="Q8_8", codebook=book))
    refuse_overlaps(ss.plot_distributions(many[many.source == "left out"], question="Q8_8", codebook=book, kind="bars"))
    refuse_overlaps(ss.plot_distributions(long, question="Q26", codebook=book))
    refuse_overlaps(ss.plot_distributions(long, question="Q26", codebook=book, kind="dots"))
    refuse_overlaps(ss.plot_shifts(many, question="Q8_8", trait="age6", codebook=book))
    refuse_overlaps(ss.plot_shifts(long, question="Q26", trait="income", codebook=book))


def test_a_long_scale_has_a_key_of_its_ends() -> None:
    codebook = ss.load_codebook("ess11")
    question = codebook.question("trstprl")
    table = pd.DataFrame({"question_id": "trstprl", "background_id": "all", "option_code": question.codes, "share": 1 / 11})
    ax = ss.plot_distributions(table.assign(option_order=range(11), source="survey"), question="trstprl", codebook=codebook)
    seen = texts(ax)
    assert {"No trust at all", "Complete trust"} <= set(seen)
    assert "1" not in seen
    refuse_overlaps(ax)


def test_settings_of_matplotlib_are_left_alone(survey: ss.Survey, few: pd.DataFrame) -> None:
    before = dict(mpl.rcParams)
    ss.plot_distributions(few, question="Q8_8", codebook=survey.codebook)
    ss.plot_shifts(few, question="Q8_8", trait="age3", codebook=survey.codebook)
    assert dict(mpl.rcParams) == before


def test_importing_the_package_loads_no_figures() -> None:
    light = "import sys, surveysim; assert not {'matplotlib', 'seaborn'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", f"{light}; surveysim.plot_shifts; assert 'matplotlib' in sys.modules"], check=True)


def test_the_money_in_a_label_is_no_formula(survey: ss.Survey) -> None:
    table = ss.response_distributions(survey, by=["income", "gender"], questions=["Q8_8"])
    assert "female · $40-75k" in texts(ss.plot_distributions(table, question="Q8_8", codebook=survey.codebook))


@pytest.mark.parametrize("n_options", range(2, 12))
@pytest.mark.parametrize("is_ordered", [True, False])
def test_neighbouring_colours_differ_in_grey_and_numbers_are_legible(n_options: int, is_ordered: bool) -> None:
    colors = option_colors(n_options, ordered=is_ordered)
    assert len(colors) == n_options
    grey = np.array(colors) @ [0.299, 0.587, 0.114]
    assert (np.abs(np.diff(grey)) > (0.1 if is_ordered else 0.05)).all()
    if n_options <= 6:
        assert np.diff(np.sort(grey)).min() > 0.08
    for color in colors:
        linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in color]
        luminance = np.dot(linear, [0.2126, 0.7152, 0.0722])
        contrast = 1.05 / (luminance + 0.05) if text_on(color) == "white" else (luminance + 0.05) / 0.05
        assert contrast > 4.5  # WCAG 2.1, level AA


@pytest.mark.parametrize("n_options", [4, 5, 11])
def test_an_ordered_scale_is_orange_then_purple_and_darker_towards_its_ends(n_options: int) -> None:
    colors, half = np.array(option_colors(n_options, ordered=True)), n_options // 2
    grey = colors @ [0.299, 0.587, 0.114]
    assert (np.diff(grey[:half]) > 0).all()
    assert (np.diff(grey[-half:]) < 0).all()
    assert (colors[:half, 0] > colors[:half, 2]).all()  # more red than blue
    assert (colors[-half:, 2] > colors[-half:, 0]).all()


def test_the_options_of_a_bar_differ_in_grey_as_drawn(survey: ss.Survey, few: pd.DataFrame) -> None:
    ax = ss.plot_distributions(few, question="Q8_8", codebook=survey.codebook)
    drawn = [group.patches[0].get_facecolor() for group in ax.containers]
    shown = [entry.get_facecolor() for entry in ax.get_legend().get_patches()]
    assert drawn == shown
    grey = np.array(drawn)[:, :3] @ [0.299, 0.587, 0.114]
    assert np.diff(np.sort(grey)).min() > 0.08


@pytest.mark.filterwarnings("ignore:Glyph")  # the machine may have no Chinese font
def test_text_breaks_between_words_and_after_chinese_characters() -> None:
    assert wrap("one two three", 45) == ["one two", "three"]
    assert wrap("", 40) == []
    police = "\u8b66\u5bdf"
    assert wrap(f"\u4fe1\u4efb{police}", text_width(police) + 1) == ["\u4fe1\u4efb", police]


def test_what_is_not_there_is_refused_with_the_nearest(survey: ss.Survey, few: pd.DataFrame) -> None:
    book = survey.codebook
    with pytest.raises(TableError, match="distributions holds no question 'Q8_9'; did you mean 'Q8_8'"):
        ss.plot_distributions(few, question="Q8_9")
    with pytest.raises(TableError, match="sources: question 'Q8_8' has no 'trueth'; did you mean 'truth'"):
        ss.plot_shifts(few, question="Q8_8", trait="age3", sources=["trueth"])
    with pytest.raises(TableError, match=r"trait: the backgrounds .* \(and 1 more; 6 in all\) have no trait 'age'; did you mean 'age3'"):
        ss.plot_shifts(few, question="Q8_8", trait="age", codebook=book)
    with pytest.raises(TableError, match="kind must be one of auto, bars, dots; got 'pie'"):
        ss.plot_distributions(few, question="Q8_8", kind="pie")
    with pytest.raises(TableError, match="distributions lacks column source"):
        ss.plot_distributions(few.drop(columns="source"), question="Q8_8")
    with pytest.raises(CodebookError, match="has no question 'Q8_8'"):
        ss.plot_distributions(few, question="Q8_8", codebook=small_codebook())
    with pytest.raises(TableError, match="every background has level 'female' of 'gender'; a shift needs two levels"):
        ss.plot_shifts(few[few.background_id.str.contains("female")], question="Q8_8", trait="gender", codebook=book)
    with pytest.raises(TableError, match="population has no population_share of background"):
        ss.plot_shifts(few, question="Q8_8", trait="age3", population=pd.DataFrame({"background_id": ["x"], "population_share": [1.0]}))
    with pytest.raises(TableError, match="no n to weight the backgrounds by; give population="):
        ss.plot_shifts(few.drop(columns="n"), question="Q8_8", trait="age3", codebook=book)


def test_more_than_a_page_holds_is_refused(survey: ss.Survey, many: pd.DataFrame) -> None:
    with pytest.raises(TableError, match="36 backgrounds x 3 sources: a page holds 48 bars; choose some with backgrounds="):
        ss.plot_distributions(many, question="Q8_8", kind="bars")
    truth = many[many.source == "left out"]
    wide = pd.concat([truth.assign(background_id=truth.background_id + f"|place={place}") for place in range(3)])
    with pytest.raises(TableError, match="108 backgrounds x 1 sources: a page holds 80 backgrounds"):
        ss.plot_distributions(wide, question="Q8_8", kind="dots")


def test_long_option_labels_are_broken_and_rows_of_one_source_have_room(survey: ss.Survey) -> None:
    long = ss.response_distributions(survey, questions=["Q14"], missing="as_option")
    refuse_overlaps(ss.plot_distributions(long, question="Q14", codebook=survey.codebook))
    rows = ss.response_distributions(survey, by=["race", "income", "age3"], questions=["Q26"])
    refuse_overlaps(ss.plot_distributions(rows, question="Q26", codebook=survey.codebook))


@pytest.mark.parametrize("kind", ["bars", "dots"])
def test_an_unknown_n_is_not_shown_as_nobody(survey: ss.Survey, few: pd.DataFrame, kind: str) -> None:
    unknown = few.assign(n=few.n.where(few.source == "truth"))
    frame = ss.plot_distributions(unknown, question="Q8_8", codebook=survey.codebook, kind=kind, draw=False)
    assert frame[frame.source == "sample"].n.isna().all()
    assert "0" not in texts(ss.plot_distributions(unknown, question="Q8_8", codebook=survey.codebook, kind="bars"))


@pytest.mark.parametrize("kind", ["bars", "dots"])
def test_a_withheld_cell_is_not_shown_as_nobodys_answers(survey: ss.Survey, many: pd.DataFrame, kind: str) -> None:
    """Two backgrounds without a respondent in the sample have an n of 0; those of fewer than ten are withheld and tell none."""
    sample, truth = (many[many["source"] == name] for name in ("raw sample", "left out"))
    nobody = set(truth["background_id"]) - set(sample["background_id"])
    chosen = [*nobody, *sample["background_id"].unique()[:14]]
    shown = ss.stack([ss.protect(sample), truth])
    hidden = set(shown.loc[shown["suppressed"].fillna("") != "", "background_id"]) & set(chosen)
    given = {"question": "Q8_8", "codebook": survey.codebook, "kind": kind, "backgrounds": chosen}
    ax, frame = ss.plot_distributions(shown, **given), ss.plot_distributions(shown, **given, draw=False)
    cells = frame[frame["source"] == "raw sample"].drop_duplicates("background_id").set_index("background_id")
    assert set(cells.index[cells["withheld"]]) == hidden
    assert min(len(hidden), len(cells) - len(hidden) - len(nobody)) >= 3
    assert cells.loc[list(hidden), "n"].isna().all()
    assert (cells.loc[list(nobody), "n"] == 0).all()
    said = texts(ax)
    assert said.count("–") == len(hidden), "in place of an n"
    assert f"–: withheld, {len(hidden)} of 32 cells." in " ".join(said).replace("\n", " ")
    if kind == "bars":
        assert (said.count("withheld"), said.count("no answers")) == (len(hidden), len(nobody))
    refuse_overlaps(ax)


def test_shifts_say_that_they_are_of_what_is_not_withheld(survey: ss.Survey, few: pd.DataFrame) -> None:
    sample = few[few["source"] == "sample"]
    young = sample["background_id"].str.contains("age3=18-34")
    numbers = ["share", "std_error", "conf_low", "conf_high", "n", "n_eff"]
    shown = sample.assign(**{name: sample[name].mask(young) for name in numbers}, suppressed=np.where(young, "few", ""))
    given = {"question": "Q8_8", "trait": "age3", "codebook": survey.codebook}
    frame, ax = ss.plot_shifts(shown, **given, draw=False), ss.plot_shifts(shown, **given)
    assert frame.set_index("level")["withheld"].to_dict() == {"18-34": True, "35-54": False, "55+": False}
    said = texts(ax)
    assert "–" in said, "in place of an n of 0"
    assert "–: withheld, 2 of 6 backgrounds; shifts and pooled shares are of the others." in " ".join(said).replace("\n", " ")
    assert "withheld" not in " ".join(texts(ss.plot_shifts(sample, **given)))


def test_options_that_begin_alike_are_cut_apart_above_the_joint_shares(survey: ss.Survey) -> None:
    labels = survey.codebook.question("Q14").labels
    assert {label[:41] for label in labels[:2]} == {"The Republican Party wants people like me"}
    axes = ss.plot_distributions(ss.response_distributions(survey, questions=["Q14"]), question="Q14", codebook=survey.codebook)
    heads = [text.get_text() for text in axes.figure.findobj(Text)]
    ends = " ".join(" ".join(heads).split())
    assert "…and works" in ends, heads
    assert "…but does" in ends, heads
