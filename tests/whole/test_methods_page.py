"""The methods appendix as its readers have it: in headless Chromium by day, by night, on a telephone and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from playwright.sync_api import Page, sync_playwright

import surveysim as ss
from tests.support.small_surveys import small_survey
from tests.whole.test_site import ARGUMENTS, CHROMIUM, DESK, FACTS, READABLE, TELEPHONE

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on the path")
PAPER = {"width": 718, "height": 1000}  # A4 less 10 mm on both sides, at 96 pixels an inch


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SURVEYSIM_CACHE", str(folder / "cache"))
        survey, model, by = small_survey(design=True), ss.load_model(tiny_folder, device="cpu"), ["gender", "age"]
        result = ss.simulate(survey, by, model=model, seed=5, progress=False)
        truth = ss.response_distributions(small_survey(1), by=by)
        both = pd.concat([result, ss.simulate(survey, by, method="mrp")])
        scores = ss.evaluate(both, truth, codebook=survey.codebook, by="source")
        path = ss.report(result, folder / "methods.html", survey=survey, scores=scores)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        opened = browser.new_page()
        opened.goto(path.as_uri())
        yield opened
        browser.close()


def _seen(page: Page, size: dict[str, int], **media: Any) -> dict[str, Any]:
    page.emulate_media(**{"media": "screen", "color_scheme": "light", **media})
    page.set_viewport_size(size)  # type: ignore[arg-type]
    return dict(page.evaluate(FACTS))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_can_be_read_by_day_and_by_night(page: Page, scheme: str) -> None:
    found = _seen(page, DESK, color_scheme=scheme)["contrast"]
    assert set(found) == {"code", "links", "text"}
    assert {kind: each for kind, each in found.items() if each["ratio"] < READABLE} == {}


def test_the_page_fits_a_desk_and_a_telephone(page: Page) -> None:
    assert _seen(page, DESK)["wide"] == [], "nothing scrolls, the tables included"
    scrolling = ("DIV.", "FIGURE.")
    assert [each for each in _seen(page, TELEPHONE)["wide"] if not each.startswith(scrolling)] == [], "tables and figures may scroll"


def test_nothing_is_cut_off_on_paper(page: Page) -> None:
    found = _seen(page, PAPER, media="print")
    assert found["wide"] == []
    assert (
        page.evaluate("Math.max(...[...document.querySelectorAll('td, th, img')].map(e => e.getBoundingClientRect().right))")
        <= PAPER["width"]
    )
    assert found["broken_images"] == []
