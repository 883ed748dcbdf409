"""Figures of much: many backgrounds, sources, options and methods, and long names: all is drawn and legible, or refused with a way out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.codebook.codebook import Level, Option, Question, Trait, Weight
from surveysim.errors import TableError
from surveysim.figures.rows import LABEL_WIDTH, TALLEST, fitted, row_names
from surveysim.figures.style import text_width
from tests.support.figures import bars, markers, ordered, refuse_overlaps, texts
from tests.support.small_surveys import small_codebook, small_frame

mpl.use("Agg")
LEVEL = " with a long name, such as lower secondary education completed without a vocational certificate"
OPTION = ": I would strongly agree that the government should take measures to reduce differences in income levels"
QUESTION = (
    "Please say to what extent you agree or disagree with the statement, keeping in mind people like you in the country as a whole. " * 3
)
THREE, SEVEN = ("survey", "mrp", "dsa"), tuple(f"method {number}" for number in range(7))


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    mpl.pyplot.close("all")


def _book(levels: dict[str, int], n_options: int = 4, *, level: str = "", option: str = "", text: str = "How much?") -> ss.Codebook:
    options = tuple(Option(code, f"option {code}{option}") for code in range(n_options))
    traits = {
        name: Trait(name, name, tuple(Level(f"{name} {place}{level}", f"{place}", (place,)) for place in range(count)))
        for name, count in levels.items()
    }
    return ss.Codebook("toy", "A toy survey", traits, {"q1": Question("q1", text, options)}, weights=(Weight("w"),))


def _table(book: ss.Codebook, sources: tuple[str, ...] = ("survey",), seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    grid = ss.background_grid(book, by=list(book.traits))["background_id"]
    n_options = len(book.question("q1").codes)
    cells = []
    for source in sources:
        for background in grid:
            share, n = generator.dirichlet(np.full(n_options, 3.0)), int(generator.integers(20, 900))
            error = np.sqrt(share * (1 - share) / n)
            cell = pd.DataFrame(
                {"option_code": range(n_options), "option_order": range(1, n_options + 1), "share": share, "std_error": error}
            )
            limits = {"conf_low": (share - 1.96 * error).clip(0), "conf_high": (share + 1.96 * error).clip(None, 1)}
            cells.append(cell.assign(question_id="q1", background_id=background, **limits, n=n, n_eff=0.8 * n, source=source))
    return pd.concat(cells, ignore_index=True)


def _drawn(levels: dict[str, int], sources: tuple[str, ...] = ("survey",), **of_book: object) -> tuple:
    """Return the axes and the frame of one figure of distributions, with nothing cut off or over another."""
    book = _book(levels, **of_book)
    given = {"question": "q1", "codebook": book}
    table = _table(book, sources)
    ax = ss.plot_distributions(table, **given)
    refuse_overlaps(ax)
    return ax, ss.plot_distributions(table, **given, draw=False)


@pytest.mark.parametrize("n_options", [2, 3, 5, 7, 10, 11])
@pytest.mark.parametrize("option", ["", OPTION], ids=["short", "long"])
def test_from_two_to_eleven_options(n_options: int, option: str) -> None:
    ax, frame = _drawn({"a": 2}, ("survey", "dsa"), n_options=n_options, option=option, text=QUESTION if option else "How much?")
    np.testing.assert_allclose(ordered(bars(ax)), ordered(frame[["row", "left", "share"]].to_numpy()), atol=1e-12)
    assert len(frame) == 2 * 2 * n_options


@pytest.mark.parametrize("levels", [{"a": 2}, {"a": 5, "b": 4}, {"a": 5, "b": 4, "c": 3}], ids=["2", "20", "60"])
@pytest.mark.parametrize("sources", [("survey",), THREE], ids=["one source", "three"])
def test_many_backgrounds(levels: dict[str, int], sources: tuple[str, ...]) -> None:
    ax, frame = _drawn(levels, sources)
    assert frame["background_id"].nunique() == np.prod(list(levels.values()))
    if "left" in frame:
        np.testing.assert_allclose(ordered(bars(ax)), ordered(frame[["row", "left", "share"]].to_numpy()), atol=1e-12)
    else:
        found = np.concatenate([markers(panel) for panel in ax.figure.axes])
        np.testing.assert_allclose(ordered(found), ordered(np.c_[100 * frame["share"], frame["y"]]))


@pytest.mark.parametrize("levels", [{"a": 2}, {"a": 5, "b": 4}, {"a": 5, "b": 4, "c": 3}], ids=["2", "20", "60"])
def test_long_names_of_levels_are_broken_or_cut_and_the_figure_says_so(levels: dict[str, int]) -> None:
    ax, frame = _drawn(levels, level=LEVEL)
    shown = " ".join(texts(ax)).replace("\n", " ")
    for background in frame["background_id"].unique():
        for part in background.split("|"):
            assert part.partition("=")[2].partition(" with")[0] in shown, "the level's beginning is there"
    assert ("names cut; draw=False gives them whole" in shown) == (len(levels) > 1)


def test_long_headings_run_across_the_figure() -> None:
    ax, frame = _drawn({"a": 2}, THREE, level=LEVEL)
    heads = [text for text in texts(ax) if text.startswith("a ")]
    assert len(heads) == 2
    assert all(text_width(head, bold=True) > LABEL_WIDTH for head in heads)
    assert len(bars(ax)) == len(frame) == 2 * 3 * 4


def test_panels_that_would_be_too_narrow_are_one() -> None:
    _, three = _drawn({"a": 5, "b": 2}, THREE[:2])
    _, seven = _drawn({"a": 5, "b": 2}, SEVEN)
    assert set(seven["panel"]) == {""}
    assert three["source"].nunique() == 2


@pytest.mark.parametrize("sources", [("survey",), THREE, SEVEN], ids=["one source", "three", "seven"])
@pytest.mark.parametrize("level", ["", LEVEL], ids=["short", "long"])
def test_shifts_of_many_sources_and_long_levels(sources: tuple[str, ...], level: str) -> None:
    book = _book({"a": 6, "b": 2}, level=level)
    given = {"question": "q1", "trait": "a", "codebook": book}
    table = _table(book, sources)
    ax, frame = ss.plot_shifts(table, **given), ss.plot_shifts(table, **given, draw=False)
    refuse_overlaps(ax)
    np.testing.assert_allclose(ordered(markers(ax)), ordered(np.c_[100 * frame["shift"], frame["y"]]))
    assert ("Shifts in numbers: draw=False." in " ".join(texts(ax)).replace("\n", " ")) == (len(sources) == 7)


def _comparison(rows: int, sources: tuple[str, ...], name: str = "") -> pd.DataFrame:
    generator = np.random.default_rng(1)
    grid = pd.DataFrame([(f"estimate {row}{name}", source) for row in range(rows) for source in ("official", *sources)])
    share = generator.uniform(0.1, 0.9, len(grid))
    n = np.where(grid[1] == "official", np.nan, generator.integers(50, 3000, len(grid)))
    return grid.set_axis(["label", "source"], axis=1).assign(share=share, conf_low=share - 0.03, conf_high=share + 0.03, n=n)


@pytest.mark.parametrize("rows", [1, 2, 20])
@pytest.mark.parametrize("sources", [("survey",), THREE, SEVEN[:6]], ids=["one source", "three", "six"])
@pytest.mark.parametrize("name", ["", LEVEL], ids=["short", "long"])
def test_official_estimates_of_many_rows_and_sources(rows: int, sources: tuple[str, ...], name: str) -> None:
    comparison = _comparison(rows, sources, name)
    if rows * len(sources) == 120 and name:
        comparison = comparison[comparison["label"].isin(comparison["label"].unique()[:8])]
    ax, frame = ss.plot_official(comparison), ss.plot_official(comparison, draw=False)
    refuse_overlaps(ax)
    np.testing.assert_allclose(ordered(markers(ax)), ordered(np.c_[100 * frame["share"], frame["y"]]))
    assert ("in numbers: draw=False." in " ".join(texts(ax)).replace("\n", " ")) == (len(sources) == 6)


def _curve(n_sources: int, n_sizes: int, name: str = "") -> pd.DataFrame:
    sizes = np.unique(np.geomspace(50, 20000, n_sizes).astype(int))
    rows = [
        (f"method {place}{name}", size, 0.05 + 0.003 * place + (1 + 0.05 * place) / np.sqrt(size))
        for place in range(n_sources)
        for size in sizes
    ]
    return pd.DataFrame(rows, columns=["source", "n", "estimate"])


@pytest.mark.parametrize(("n_sources", "n_sizes"), [(2, 3), (8, 5), (16, 5), (16, 15), (3, 40)])
@pytest.mark.parametrize("name", ["", LEVEL], ids=["short", "long"])
def test_data_saved_of_many_methods_and_sizes(n_sources: int, n_sizes: int, name: str) -> None:
    curve = _curve(n_sources, n_sizes, name)
    names = list(curve["source"].unique())
    ax = ss.plot_data_saved(curve, method=names[0], reference=names[1], floor=0.04)
    refuse_overlaps(ax)
    drawn, known = ordered(markers(ax)), ordered(curve[["n", "estimate"]].to_numpy(float))
    np.testing.assert_allclose(drawn[:, 1], known[:, 1])
    aside = np.abs(ax.transData.transform(drawn) - ax.transData.transform(known))[:, 0] * 72 / ax.figure.dpi
    assert aside.max() < 4.0 * n_sources / 2 + 1e-6, "side by side, in points"
    assert aside.min() < 1e-6, "the method itself stands at n"
    assert "20,000" in texts(ax), "the largest size is always named"


@pytest.mark.parametrize("count", [1, 2, 20, 60])
def test_scores_of_many_methods(count: int) -> None:
    estimate = np.random.default_rng(1).uniform(0.02, 0.3, count)
    named = [f"method {place}{LEVEL if count <= 20 else ''}" for place in range(count)]
    scores = pd.DataFrame({"source": named, "metric": "wasserstein", "estimate": estimate})
    ax = ss.plot_scores(scores.assign(conf_low=estimate - 0.01, conf_high=estimate + 0.02), floor=0.05, highlight=named[0])
    refuse_overlaps(ax)
    np.testing.assert_allclose(ordered(markers(ax))[:, 0], np.sort(estimate)[ordered(markers(ax))[:, 1].astype(int)])


def test_what_no_figure_can_hold_is_refused_with_a_way_out() -> None:
    book = _book({"a": 200, "b": 2})
    one, nine = _table(_book({"a": 200})), _table(_book({"a": 2}), tuple(f"method {number}" for number in range(9)))
    with pytest.raises(TableError, match=r"200 backgrounds x 1 sources: a page holds 80 .* backgrounds=: a=a 0, a=a 1 \(and 198 more"):
        ss.plot_distributions(one, question="q1")
    for draw in (ss.plot_distributions, lambda table, question: ss.plot_shifts(table, question=question, trait="a")):
        with pytest.raises(TableError, match=r"9 sources: a figure tells 7 apart; choose some with sources=: method 0, .*, method 8$"):
            draw(nine, question="q1")
    with pytest.raises(TableError, match=r"200 levels x 1 sources: the figure would be \d+ inches tall, more than 24; .* fewer levels"):
        ss.plot_shifts(_table(book), question="q1", trait="a")
    assert len(ss.plot_shifts(_table(book), question="q1", trait="a", draw=False)) == 200
    with pytest.raises(TableError, match=r"200 rows x 2 sources: the figure would be .*; choose rows, comparison\[comparison\['label'\]"):
        ss.plot_official(_comparison(200, ("survey",)))
    with pytest.raises(TableError, match=r"10 sources: a figure tells 7 apart"):
        ss.plot_official(_comparison(2, tuple(f"method {number}" for number in range(9))))
    with pytest.raises(TableError, match=r"curve holds 20 sources, and a figure 16 lines; choose some: curve\[curve\['source'\]"):
        ss.plot_data_saved(_curve(20, 5), method="method 0", reference="method 1")
    scores = pd.DataFrame({"source": [f"m{place}" for place in range(200)], "metric": "wasserstein", "estimate": 0.1})
    with pytest.raises(TableError, match=r"200 sources: the figure would be .*; choose some: scores\[scores\['source'\]"):
        ss.plot_scores(scores.assign(conf_low=0.0, conf_high=0.2))
    assert len(ss.plot_scores(scores.assign(conf_low=0.0, conf_high=0.2), draw=False)) == 200


@pytest.mark.parametrize("sources", [THREE, SEVEN], ids=["three", "seven"])
def test_the_tallest_figure_of_distributions_is_no_taller_than_said(sources: tuple[str, ...]) -> None:
    book = _book({"a": 80})
    table, heights = _table(book, sources), []
    for count in (10, 20, 40, 80):
        chosen = list(table["background_id"].unique()[:count])
        try:
            heights.append(ss.plot_distributions(table, question="q1", backgrounds=chosen, kind="dots").figure.get_size_inches()[1])
        except TableError as error:
            assert "choose some with backgrounds=" in str(error)  # noqa: PT017
    assert heights
    assert max(heights) < TALLEST + 1


def test_names_are_cut_inside_and_level_by_level() -> None:
    name = f"old{LEVEL} · a{LEVEL} · short"
    cut = fitted(name, 300)
    assert text_width(cut) <= 300
    assert [part[:3] for part in cut.split(" · ")] == ["old", "a w", "sho"]
    assert cut.endswith("certificate · short") or "te · short" in cut, "the end of a level stays"
    assert fitted("old · a", 300) == "old · a"
    assert row_names(["old · a", "young"]) == ["old · a", "young"]
    assert all(text_width(line) <= LABEL_WIDTH for broken in row_names([name] * 40) for line in broken.split("\n"))
    assert {broken.count("\n") for broken in row_names([name] * 40)} == {0}


@pytest.mark.parametrize("spread", [0.0, 0.5, 2.5], ids=["equal", "ordinary", "over many powers of ten"])
def test_weights_of_any_spread_and_a_long_title(spread: float) -> None:
    frame = small_frame(n=400)
    frame["w"] = np.exp(np.random.default_rng(0).normal(0, spread, len(frame)))
    title = "The International Social Survey Programme: Role of Government, cumulation of all waves and of all countries that took part"
    survey = ss.as_survey(frame, replace(small_codebook(), title=title))
    ax, bars_of = ss.plot_weights(survey), ss.plot_weights(survey, draw=False)
    refuse_overlaps(ax)
    drawn = np.array([(bar.get_x(), bar.get_height()) for group in ax.containers for bar in group])
    np.testing.assert_allclose(ordered(drawn), ordered(bars_of[["low", "n"]].to_numpy(float)))
    shown = " ".join(texts(ax)).replace("\n", " ")
    assert title in shown
    assert "e+" not in shown, "no weight in powers of ten"


def test_an_extreme_weight_of_one_among_many_is_marked() -> None:
    frame = small_frame(n=400)
    frame["w"] = np.r_[np.ones(len(frame) - 2), 400.0, 0.001]
    survey = ss.as_survey(frame, small_codebook())
    ax, bars_of = ss.plot_weights(survey), ss.plot_weights(survey, draw=False)
    extreme = bars_of[bars_of["extreme"] & (bars_of["n"] > 0)]
    np.testing.assert_allclose(ordered(markers(ax)), ordered(np.c_[np.sqrt(extreme["low"] * extreme["high"]), [0, 0]]))
