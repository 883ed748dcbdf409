"""A banner: what stands in each column and row, what is marked as withheld, and what the foot says."""

from __future__ import annotations

import pandas as pd
import pytest

import surveysim as ss
from surveysim.differences.letters import significance_letters
from surveysim.errors import TableError
from surveysim.publishing.banner import banners
from tests.support.small_surveys import small_survey

SURVEY = ss.load_example("nonvoters2020")
BOOK = SURVEY.codebook
SHARES = ss.response_distributions(SURVEY, by=["gender", "age3"], questions=["Q8_8", "Q20"], covariance=True)
SMALL, _ = ss.hold_out_respondents(SURVEY, n_train=200, seed=0)
CELLS = ss.response_distributions(SMALL, by=["race", "education"], questions=["Q8_8"], covariance=True)


def test_questions_stand_below_each_other_and_backgrounds_beside() -> None:
    (banner,) = banners(SHARES, codebook=BOOK, level=0.05, adjust="holm")
    assert banner.heads == (("gender", ("female",) * 3 + ("male",) * 3), ("age3", ("18-34", "35-54", "55+") * 2))
    (alone,) = banners(SHARES, codebook=None, level=0.05, adjust="holm")
    assert alone.heads == banner.heads, "without a codebook the table's columns say which trait is the outer one"
    assert banner.columns == ("A", "B", "C", "D", "E", "F")
    assert [(block.question, block.text) for block in banner.blocks] == [(name, BOOK.question(name).text) for name in ("Q8_8", "Q20")]
    trust = banner.blocks[0]
    assert [line.label for line in trust.lines] == list(BOOK.question("Q8_8").labels)
    wide = SHARES[SHARES["question_id"] == "Q8_8"].pivot_table(index="option_code", columns="background_id", values="share", sort=False)
    assert [list(line.values) for line in trust.lines] == wide.to_numpy().tolist()
    own = SHARES.drop_duplicates(["question_id", "background_id"]).head(6)
    assert {line.label: list(line.values) for line in trust.sizes} == {"n": own["n"].tolist(), "n_eff": own["n_eff"].tolist()}
    found = significance_letters(SHARES)["letters"].tolist()[:24]
    assert [list(line.letters) for line in trust.lines] == [found[option::4] for option in range(4)]


def test_the_foot_says_what_the_numbers_are_of() -> None:
    (banner,) = banners(SHARES, codebook=BOOK, level=0.05, adjust="holm")
    foot = "\n".join(banner.foot)
    for said in (
        *("weight: weight", "denominator: valid answers", "design: no strata", "weighting: within cells by weight"),
        *("letters: the share is higher", "t on 5,835 degrees of freedom", "within a row: Holm", "nothing was withheld"),
    ):
        assert said in foot
    assert (banner.title, banner.survey) == ("Survey estimates", BOOK.title)
    (plain,) = banners(SHARES, codebook=None, level=0, adjust="holm")
    assert "letters" not in "\n".join(plain.foot)
    assert not any(any(line.letters) for block in plain.blocks for line in block.lines)
    assert plain.blocks[0].text == ""


def test_a_withheld_cell_is_marked_and_has_no_letters() -> None:
    shown = ss.protect(CELLS)
    (banner,) = banners(shown, codebook=BOOK, whole=CELLS, level=0.05, adjust="none")
    hidden = (shown.drop_duplicates("background_id")["suppressed"] != "").tolist()
    assert 0 < sum(hidden) < len(hidden)
    for line in (*banner.blocks[0].lines, *banner.blocks[0].sizes):
        assert [value == "[c]" for value in line.values] == hidden
    letters = {letter for letter, gone in zip(banner.columns, hidden, strict=True) if gone}
    for line in banner.blocks[0].lines:
        assert not any(text for text, gone in zip(line.letters, hidden, strict=True) if gone)
        assert not letters & {one for text in line.letters for one in text.split(", ")}
    assert any(any(line.letters) for line in banner.blocks[0].lines)
    foot = "\n".join(banner.foot)
    assert "[c]: withheld to protect respondents" in foot
    assert f"{sum(hidden)} of {len(hidden)} cells withheld: those of fewer than 10" in foot
    assert "with the covariance of the rows" in foot


def test_letters_of_what_is_shown_are_those_of_the_shown_cells_alone() -> None:
    shown = ss.protect(CELLS)
    kept = CELLS[(shown["suppressed"] == "").to_numpy()]
    found = significance_letters(kept, adjust="none")
    (banner,) = banners(shown, codebook=BOOK, whole=CELLS, level=0.05, adjust="none")
    place = {name: number for number, name in enumerate(CELLS["background_id"].unique())}
    column = {letter: banner.columns[place[name]] for name, letter in found.attrs["columns"].items()}
    for row in found.itertuples():
        line = banner.blocks[0].lines[list(BOOK.question("Q8_8").codes).index(row.option_code)]
        assert line.letters[place[row.background_id]] == ", ".join(column[one] for one in row.letters.split(", ") if one)


def test_every_source_has_its_own_and_simulated_ones_have_no_letters() -> None:
    both = ss.stack([SHARES, ss.simulate(SMALL, ["gender", "age3"], questions=["Q8_8", "Q20"], method="mrp")])
    survey, simulated = banners(both, codebook=BOOK, level=0.05, adjust="holm")
    assert (survey.source, simulated.source) == ("survey", "mrp")
    assert survey.title == "Survey estimates"
    assert simulated.title.startswith("SIMULATED (mrp)")
    assert "method: mrp" in simulated.foot
    assert any("no letters: the errors of simulated cells go together" in line for line in simulated.foot)
    assert not any(any(line.letters) for block in simulated.blocks for line in block.lines)


def test_means_margins_and_empty_cells() -> None:
    survey = small_survey()
    (means,) = banners(ss.survey_mean(survey, questions="q1", by="gender"), codebook=survey.codebook, level=0.05, adjust="holm")
    assert ([line.label for line in means.blocks[0].lines], means.are_shares) == (["mean"], False)
    parts = [ss.response_distributions(survey, by=by, questions="q1") for by in ([], ["gender"])]
    (margins,) = banners(pd.concat(parts, ignore_index=True), codebook=survey.codebook, level=0.05, adjust="holm")
    assert margins.heads == (("gender", ("all", "female", "male")),)
    (alone,) = banners(parts[0], codebook=survey.codebook, level=0.05, adjust="holm")
    assert alone.heads == (("", ("all",)),)
    empty = parts[1].assign(**{name: parts[1][name].mask(parts[1]["background_id"] == "gender=male") for name in ("share", "std_error")})
    (holed,) = banners(empty, codebook=survey.codebook, level=0.05, adjust="holm")
    assert {line.values[1] for line in holed.blocks[0].lines} == {"[z]"}
    assert any(line.startswith("[z]: no respondents") for line in holed.foot)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (ss.background_shifts(SHARES), "a banner needs a table of shares or estimates by question and background"),
        (ss.survey_quantile(SURVEY, questions="Q8_8"), "one number a background and option; Q8_8 has several"),
        (SHARES.assign(fold=0).pipe(lambda half: pd.concat([half, half.assign(fold=1)], ignore_index=True)), "Q8_8, Q20 has several"),
    ],
)
def test_what_is_no_banner_is_refused(table: pd.DataFrame, said: str) -> None:
    with pytest.raises(TableError, match=said):
        banners(table, codebook=None, level=0.05, adjust="holm")
