"""What tables, surveys, codebooks and models show in a notebook."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import TableError
from surveysim.html import facts_line, facts_table, frame_table
from surveysim.tables.facts import is_simulated, table_facts
from surveysim.tables.schema import DISTRIBUTION_COLUMNS
from tests.support.small_surveys import small_codebook, small_survey

BY = ["gender", "age"]
VOID = {"br", "img", "meta", "link", "hr"}


class Page(HTMLParser):
    """Text of a piece of HTML; fails where tags are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def simulated() -> pd.DataFrame:
    return ss.simulate(small_survey(), BY, questions=["q1"], method="ridge")


def test_a_survey_table_says_weight_denominator_design_and_n() -> None:
    survey = small_survey(design=True)
    facts = table_facts(ss.response_distributions(survey, by=["gender"], questions=["q1"], missing="as_option"))
    assert facts == {
        "status": "Survey estimates",
        "survey": "small",
        "weight": "w",
        "denominator": "all respondents",
        "design": "4 strata, 20 PSUs, Taylor linearisation",
        "weighting": "within cells by w",
        "n": facts["n"],
        "n_eff": facts["n_eff"],
    }
    sizes = survey.data.groupby("gender", observed=True).size()
    assert facts["n"] == f"{sizes.min()} to {sizes.max()} respondents a cell"


def test_a_simulated_table_says_so_and_by_what(simulated: pd.DataFrame) -> None:
    facts = table_facts(simulated)
    assert facts["status"].startswith("SIMULATED (ridge)")
    assert (facts["method"], facts["model"], facts["seed"]) == ("ridge", "none: a classical estimate", "0")
    summed = table_facts(ss.poststratify(simulated, small_survey()))
    assert summed["status"].startswith("SIMULATED (ridge)"), "a verb that sums over cells keeps the label"
    assert "across cells (age|gender)" in summed["weighting"]


def test_a_fact_that_is_lost_is_named(simulated: pd.DataFrame) -> None:
    bare = pd.DataFrame(simulated.drop(columns="simulated").to_dict("list"))
    facts = table_facts(bare)
    assert facts["status"] == "not recorded whether simulated (source: ridge)"
    assert {name for name, value in facts.items() if value == "not recorded"} == {"survey", "weight", "denominator", "design"}
    assert "not recorded: survey, weight, denominator, design" in repr(ss.show(bare))
    two = pd.concat([simulated, ss.response_distributions(small_survey(), by=BY, questions=["q1"])])
    assert table_facts(two)["status"] == "16 of 32 rows SIMULATED (ridge); sources: ridge, survey"
    assert table_facts(two.drop(columns="simulated"))["status"] == "not recorded whether simulated (source: ridge, survey)"


def test_a_table_read_from_a_csv_still_says_that_it_is_simulated(simulated: pd.DataFrame, tmp_path: Path) -> None:
    simulated.to_csv(tmp_path / "shares.csv", index=False)
    again = pd.read_csv(tmp_path / "shares.csv")
    assert table_facts(again)["status"].startswith("SIMULATED (ridge)")
    assert is_simulated(again)
    assert not is_simulated(again.assign(simulated=[True, *[False] * (len(again) - 1)]))


def test_a_view_shows_words_and_numbers_beside_each_other(simulated: pd.DataFrame) -> None:
    shown = ss.show(simulated).shown.columns.tolist()
    assert shown == ["question_id", "option_label", "age", "gender", "share", "std_error", "n", "n_eff", "conf_low", "conf_high"]
    assert ss.show(ss.split_background(simulated[DISTRIBUTION_COLUMNS])).shown.columns[1:5].tolist() == [
        "option_code",
        "background_id",
        "share",
        "std_error",
    ]


def test_cells_without_respondents_are_counted() -> None:
    survey = small_survey()
    part = survey.take((survey.data.region != "north").to_numpy())
    table = ss.simulate(part, ["region"], questions=["q1"], method="ridge")
    assert table_facts(table)["n"].endswith("respondents a cell; 1 of 3 cells have none")


def test_a_view_is_short_and_keeps_the_table(simulated: pd.DataFrame) -> None:
    view = ss.show(simulated, rows=2)
    assert view.table is simulated
    page = Page(view._repr_html_())
    assert "16 rows, the first 2 shown" in page.text
    assert sum(tag == "tr" for tag, _ in page.tags) == 1 + 2
    assert "weight: w · denominator: valid answers" in page.text
    assert "option_order" not in page.text
    whole = repr(ss.show(simulated, rows=100))
    assert "shown" not in whole
    assert len(whole.splitlines()) == 1 + len([fact for fact in view.facts.values() if fact]) + 1 + 16


def test_any_table_can_be_shown() -> None:
    survey = small_survey()
    assert repr(ss.show(ss.na_table(survey))).startswith("Table · 2 rows\nquestion_id")
    assert "weight: w" in repr(ss.show(ss.survey_mean(survey, questions=["q1"])))
    scores = ss.evaluate(
        ss.response_distributions(survey, by=BY), ss.response_distributions(small_survey(1), by=BY), codebook=survey.codebook
    )
    assert repr(ss.show(scores)).startswith("Table · 12 rows")
    assert "–" in repr(ss.show(pd.DataFrame({"share": [np.nan]})))


@pytest.mark.parametrize(
    ("table", "rows", "said"), [([1], 12, "must be a pandas DataFrame"), (pd.DataFrame(), 0, "rows must be at least 1")]
)
def test_what_cannot_be_shown_is_refused(table: pd.DataFrame, rows: int, said: str) -> None:
    with pytest.raises(TableError, match=said):
        ss.show(table, rows=rows)


def test_all_text_is_escaped(simulated: pd.DataFrame) -> None:
    evil = "<script>alert('1')</script>"
    table = simulated.assign(source=evil, question_id=evil)
    table.attrs |= {"weight": evil, "survey": evil}
    pieces = (
        ss.show(table)._repr_html_(),
        facts_table(evil, {evil: evil}),
        facts_line(evil, {evil: evil}),
        frame_table(pd.DataFrame({evil: [evil]})),
    )
    for html in pieces:
        assert "<script" not in html
        assert evil in Page(html).text


def test_a_codebook_is_folded_to_its_facts() -> None:
    page = Page(ss.load_codebook("ess11")._repr_html_())
    assert [tag for tag, _ in page.tags].count("details") == 1
    for said in ("(ess11)", "country (", "pspwght", "stratum stratum", "questions"):
        assert said in page.text
    before = page.text.index("question_id")
    assert before < 2500, "the facts fit a screen; the questions are folded away below them"
    assert "How much?" in Page(small_codebook()._repr_html_()).text


def test_a_model_says_what_it_learnt(tiny_folder: Path, own_cache: Path) -> None:
    survey = small_survey()
    base = ss.load_model(tiny_folder, device="cpu")
    assert "not aligned" in Page(base._repr_html_()).text
    sample = ss.response_distributions(survey, by=["gender"], questions=["q1"])
    aligned = ss.align(base, sample, survey.codebook, stages=ss.DSA[:1], progress=False)
    page = Page(aligned._repr_html_())
    losses = aligned.recipe["stages"][0]["losses"]
    for said in ("small:", "1 questions, 2 backgrounds", "option_kl", f"{losses['before']:.4g}", f"{losses['after']:.4g}", "cpu"):
        assert said in page.text
