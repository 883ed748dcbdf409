"""HTML of notebooks and of the report: what is empty is left out of the one and named in the other; everything is escaped."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import sync_playwright

from surveysim.html import MISSING, Section, disclosed_facts, facts_line, facts_table, folded, frame_table, page, paragraph, preformatted
from tests.tables.test_facts import Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
EVIL = "<script>alert('1')</script>"


def test_an_empty_fact_is_left_out_in_a_notebook_and_named_in_the_report() -> None:
    facts = {"respondents": 0, "weight": "", "seed": None, "hash": "not recorded", "note": "  "}
    assert Page(facts_table("Survey", {"respondents": 0, "weight": ""})).text == "Survey respondents 0"
    assert Page(facts_line("Survey", {"respondents": 0, "weight": ""})).text == "Survey respondents: 0"
    assert facts_table("Survey", {"weight": ""}) == facts_line("Survey", {"weight": ""}) == "<p><b>Survey</b></p>"
    said = Page(disclosed_facts(facts)).text
    assert said == f"respondents 0 weight {MISSING} seed {MISSING} hash {MISSING} note {MISSING}"


def test_everything_is_escaped() -> None:
    for html in (
        disclosed_facts({EVIL: EVIL}),
        facts_table(EVIL, {EVIL: EVIL}),
        facts_line(EVIL, {EVIL: EVIL}),
        frame_table(pd.DataFrame({EVIL: [EVIL]})),
        folded(EVIL, ""),
        paragraph(EVIL),
        paragraph(EVIL, missing=True),
        preformatted(EVIL),
        page(EVIL, EVIL, [Section("one", EVIL, "")]),
    ):
        assert "<script" not in html
        assert EVIL in Page(html).text


def test_numbers_have_three_digits_and_missing_ones_a_dash() -> None:
    assert Page(frame_table(pd.DataFrame({"share": [0.12345, np.nan], "n": [7, 8]}))).text == "share n 0.123 7 – 8"


def test_a_page_links_its_sections() -> None:
    html = page("Title", "Simulated", [Section("data", "Data", "<p>one</p>"), Section("model", "Model", "<p>two</p>")], language="de")
    assert html.startswith('<!DOCTYPE html>\n<html lang="de">')
    for anchor in ("data", "model"):
        assert f'<a href="#{anchor}">' in html
        assert f'<section id="{anchor}">' in html


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium or google-chrome on the path")
def test_on_a_telephone_a_figure_keeps_its_size_and_the_page_its_width() -> None:
    image = '<figure><img src=\'data:image/svg+xml,<svg xmlns="http://www.w3.org/2000/svg" width="700" height="200"/>\'></figure>'
    wide = frame_table(pd.DataFrame({f"measure {number}": ["0.032 (0.007 to 0.057)"] for number in range(9)}))
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_page(viewport={"width": 390, "height": 844})
        opened.set_content(page("Title", "Simulated", [Section("figure", "Figure", image), Section("numbers", "Numbers", wide)]))
        assert opened.evaluate("document.querySelector('figure img').getBoundingClientRect().width") > 600
        assert opened.evaluate("document.documentElement.scrollWidth") == 390
        assert "scroll sideways" in opened.evaluate("getComputedStyle(document.querySelector('figure'), '::before').content")
        assert "gradient" in opened.evaluate("getComputedStyle(document.querySelector('div[style]')).backgroundImage")
        browser.close()
