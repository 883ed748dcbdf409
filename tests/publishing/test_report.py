"""The methods appendix: valid, self-contained, complete, and open about what is not known."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

import surveysim as ss
from surveysim.errors import ReadError, TableError
from surveysim.publishing.report_sections import ELEMENTS
from tests.support.small_surveys import small_survey
from tests.tables.test_facts import Page

BY = ["gender", "age"]


@pytest.fixture(scope="module")
def aligned(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> tuple[ss.Survey, pd.DataFrame]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SURVEYSIM_CACHE", str(tmp_path_factory.mktemp("cache")))
        survey, model = small_survey(design=True), ss.load_model(tiny_folder, device="cpu")
        return survey, ss.simulate(survey, BY, model=model, seed=5, progress=False)


def test_it_tells_the_scorecard_with_its_nulls(aligned: tuple[ss.Survey, pd.DataFrame], tmp_path: Path) -> None:
    survey, result = aligned
    truth = ss.response_distributions(small_survey(1), by=BY)
    judged = ss.scorecard(result, truth, against={"mrp": ss.simulate(survey, BY, method="mrp")}, codebook=survey, on="shared", draws=19)
    page = _page(ss.report(result, tmp_path / "methods.html", survey=survey, scorecard=judged))
    for source in ("mrp", "population marginal", "floor", "fresh sample"):
        cell = judged.page.loc[(judged.page["measure"] == "mean error") & (judged.page["metric"] == "wasserstein"), source].iloc[0]
        assert cell in page.text
    assert "mean error with backgrounds exchanged" in page.text
    assert "supports no claim of accuracy" not in page.text
    for wrong, said in (
        (truth, "got DataFrame"),
        (ss.scorecard(truth, truth, codebook=survey, draws=19), "none is a source of the result"),
    ):
        with pytest.raises(TableError, match=f"scorecard.*{said}.*ss.scorecard"):
            ss.report(result, tmp_path / "other.html", survey=survey, scorecard=wrong)
    assert not (tmp_path / "other.html").exists()


def _page(path: Path) -> Page:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    return Page(text.removeprefix("<!DOCTYPE html>"))


def test_it_states_everything_that_the_result_records(aligned: tuple[ss.Survey, pd.DataFrame], tmp_path: Path) -> None:
    survey, result = aligned
    truth = ss.response_distributions(small_survey(1), by=BY)
    both = pd.concat([result, ss.simulate(survey, BY, method="mrp")])
    scores = ss.evaluate(both, truth, codebook=survey.codebook, by="source")
    floor = ss.noise_floor(truth, n=float("inf"), codebook=survey.codebook)
    page = _page(ss.report(result, tmp_path / "methods.html", survey=survey, scores=scores, floor=floor))
    stages = result.attrs["stages"]
    expected = [
        "SIMULATED (dsa)", "A small survey", "valid answers", "4 strata, 20 PSUs, Taylor linearisation", "within cells by w",
        "How much?", "Yes or no?", "dont_know", result.attrs["model"], result.attrs["model_sha256"], 
        result.attrs["prompt"]["respondent"].split("\n")[0],
        *(stage["loss"] for stage in stages), *(f"{stage['losses'][end]:.4g}" for stage in stages for end in ("before", "after")),
        "mrp", "Noise floor", f"{ss.summarise_scores(floor).estimate.iloc[0]:.3f}", f"{survey.design.n_eff:,.0f} of 400", "@misc{small",
        *(f"{share:.3f}" for share in result.share),
    ]  # fmt: skip
    assert [said for said in expected if " ".join(said.split()) not in page.text] == []
    assert re.search(r"seed 5\b", page.text)
    assert f"learnt from {len(survey):,} respondents" in page.text
    assert "never sampled none: all" in page.text
    assert "traits: as in the codebook" in page.text


def test_it_loads_nothing_and_its_links_and_figure_hold(aligned: tuple[ss.Survey, pd.DataFrame], tmp_path: Path) -> None:
    survey, result = aligned
    page = _page(ss.report(result, tmp_path / "methods.html", survey=survey))
    tags = [tag for tag, _ in page.tags]
    assert not {"script", "link", "iframe"} & set(tags)
    (image,) = [attrs for tag, attrs in page.tags if tag == "img"]
    assert str(image["src"]).startswith("data:image/png;base64,")
    assert "Simulated shares" in str(image["alt"])
    anchors = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(anchors) == len(set(anchors))
    assert [f"#{name}" for name in anchors] == [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert "url(" not in (tmp_path / "methods.html").read_text(encoding="utf-8").split("</style>")[0]
    assert [path.name for path in tmp_path.iterdir()] == ["methods.html"]


def test_every_element_of_disclosure_leads_to_a_section(tmp_path: Path) -> None:
    result = ss.simulate(small_survey(), BY, questions=["q1"], method="ridge")
    page = _page(ss.report(result, tmp_path / "methods.html"))
    anchors = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    assert len(ELEMENTS) == 11
    for element, (anchor, _how) in ELEMENTS.items():
        assert element in page.text
        assert anchor in anchors
    assert "revised April 2021" in page.text


def test_what_is_not_known_is_named(tmp_path: Path) -> None:
    result = ss.simulate(small_survey(), BY, questions=["q1"], method="ridge")
    bare = pd.DataFrame(result.drop(columns="simulated").to_dict("list"))
    page = _page(ss.report(bare, tmp_path / "methods.html"))
    for said in (
        *("not recorded whether simulated (source: ridge)", "weight not stated", "denominator not stated", "design not stated"),
        *("sponsor not stated", "The wording is not stated", "Not stated: no scores were given", "abstained not stated"),
    ):
        assert said in page.text, said
    scores = ss.evaluate(result, ss.response_distributions(small_survey(1), by=BY, questions=["q1"]), codebook=small_survey().codebook)
    page = _page(ss.report(result, tmp_path / "methods.html", survey=small_survey().codebook, scores=scores))
    assert "Noise floor: not stated" in page.text
    assert "Baselines: not stated" in page.text
    assert "none: a classical estimate" in page.text


def test_withheld_cells_are_counted(tmp_path: Path) -> None:
    survey = ss.load_example()
    table = ss.protect(ss.response_distributions(survey, by=["race", "income", "age6"], questions=["Q8_8"]), min_n=30)
    withheld = table.drop_duplicates("background_id").suppressed.ne("").sum()
    assert withheld > 0
    page = _page(ss.report(table, tmp_path / "methods.html", survey=survey))
    assert f"withheld (disclosure control) {withheld} cells; rule:" in page.text
    assert "Survey estimates" in page.text


def test_the_report_withholds_as_an_export_does(tmp_path: Path) -> None:
    survey = small_survey(n=80)
    table = ss.response_distributions(survey, by=["age", "gender", "region"], questions=["q1"])
    small = table[table.n.between(1, 9)]
    secret = {f"{share:.3f}" for share in small.share} - {f"{share:.3f}" for share in table[table.n >= 10].share} - {"0.000", "1.000"}
    assert secret
    page = _page(ss.report(table, tmp_path / "methods.html", survey=survey))
    assert not [share for share in secret if share in page.text]
    shown = ss.protect(table)
    assert f"withheld (disclosure control) {shown.drop_duplicates('background_id').suppressed.ne('').sum()} cells" in page.text
    own = _page(ss.report(table, tmp_path / "own.html", survey=survey, min_n=0))
    assert all(share in own.text for share in secret)
    assert "withheld (disclosure control) nothing: all cells are told" in own.text
    model = table.assign(source="ridge")
    assert all(share in _page(ss.report(model, tmp_path / "model.html", model_based="ridge")).text for share in secret)
    with pytest.raises(TableError, match="table has no column n"):
        ss.report(table.drop(columns=["n", "n_eff"]), tmp_path / "none.html")
    with pytest.raises(TableError, match="model_based names 'survey'"):
        ss.report(table, tmp_path / "none.html", model_based="survey")
    assert not (tmp_path / "none.html").exists()


def test_cells_flagged_as_not_to_be_used_are_counted_by_reason(tmp_path: Path) -> None:
    result = ss.simulate(small_survey(), BY, questions=["q1"], method="ridge")
    first = result.background_id == result.background_id.iloc[0]
    flagged = result.assign(abstain=first, abstain_reason=first.map({True: "too few of a level", False: ""}))
    count = result.background_id.nunique()
    assert f"abstained 1 of {count} cells (too few of a level: 1)" in _page(ss.report(flagged, tmp_path / "methods.html")).text
    none = flagged.assign(abstain=False, abstain_reason="")
    assert f"abstained 0 of {count} cells" in _page(ss.report(none, tmp_path / "methods.html")).text


def test_text_is_escaped_and_wrong_input_refused(tmp_path: Path) -> None:
    result = ss.simulate(small_survey(), BY, questions=["q1"], method="ridge")
    result.attrs["weight"] = "<script>"
    path = ss.report(result, tmp_path / "methods.html", survey=small_survey(), title="<script>")
    assert "<script" not in path.read_text(encoding="utf-8")
    for given, error, said in (
        ({"path": tmp_path / "methods.pdf"}, TableError, "end its name in .html"),
        ({"path": tmp_path / "no" / "m.html"}, ReadError, "does not exist; make it first"),
        ({"path": tmp_path / "m.html", "question": "q9"}, TableError, "question 'q9' is not in the result"),
    ):
        with pytest.raises(error, match=said):
            ss.report(result, **given)
    with pytest.raises(TableError, match="result lacks column"):
        ss.report(ss.na_table(small_survey()), tmp_path / "m.html")
    assert [path.name for path in tmp_path.iterdir()] == ["methods.html"]
