"""The documentation site as its readers have it: the built pages in headless Chromium.

`make docs` builds the site. Where it is not built or there is no Chromium these tests are skipped, and say so.
"""

from __future__ import annotations

import functools
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, sync_playwright

from tests.support.pages import PROJECT, blocks

SITE = PROJECT / "docs" / "_build" / "html"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NETWORK = ("quic", "background-networking", "component-update", "sync")  # parts of Chromium that call home
ARGUMENTS = ["--no-sandbox", "--disable-gpu", *(f"--disable-{part}" for part in NETWORK)]
FACTS = (PROJECT / "tests" / "support" / "site_facts.js").read_text(encoding="utf-8")
DESK, TELEPHONE = ViewportSize(width=1280, height=900), ViewportSize(width=390, height=844)  # windows in pixels
READABLE = 4.5  # contrast ratio of text: WCAG 2.2, level AA


def _written_after(built: Path) -> list[str]:
    docs = [path for kind in ("*.md", "*.rst", "*.css", "*.js") for path in (PROJECT / "docs").rglob(kind)]
    own = [path for path in docs if path.relative_to(PROJECT / "docs").parts[0] not in ("_build", "generated", "tutorials")]
    sources = [*own, *PROJECT.glob("*.md"), *(PROJECT / "notebooks").glob("*.ipynb")]
    return sorted(path.relative_to(PROJECT).as_posix() for path in sources if path.stat().st_mtime > built.stat().st_mtime)


def _why_not() -> str:
    """Return why there is no site to look at; empty where there is one."""
    if not (SITE / ".built").exists():
        return "the site is not built: make docs"
    if CHROMIUM is None:
        return "no chromium, chromium-browser or google-chrome on the path; on Debian: apt-get install chromium"
    newer = _written_after(SITE / ".built")
    return f"the site is older than {newer[0]} ({len(newer)} such pages): make docs" if newer else ""


pytestmark = pytest.mark.skipif(bool(_why_not()), reason=_why_not())


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Address of the site, served on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(SITE))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def context(browser: Browser, address: str) -> Iterator[BrowserContext]:
    opened = browser.new_context(base_url=address, permissions=["clipboard-read", "clipboard-write"])
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    opened = context.new_page()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def visits(context: BrowserContext) -> dict[str, dict[str, Any]]:
    """What each page of the site shows, by its path."""
    names = [path.relative_to(SITE).as_posix() for path in sorted(SITE.rglob("*.html")) if "_static" not in path.parts]
    assert {"index.html", "reference.html", "generated/surveysim.simulate.html", "tutorials/01_quickstart.html"} <= set(names)
    return {name: _visit(context, name) for name in names}


def _visit(context: BrowserContext, name: str) -> dict[str, Any]:
    """Open a page at a desk and on a telephone, by day and by night."""
    page, asked, failed = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("response", lambda answer: failed.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None)
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(DESK)
    page.goto(name)
    desk = page.evaluate(FACTS)
    page.set_viewport_size(TELEPHONE)
    telephone = page.evaluate(FACTS)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    night = page.evaluate(FACTS)
    page.close()
    return {**desk, "asked": asked, "failed": failed, "desk": desk, "telephone": telephone, "night": night}


def test_the_search_finds_post_stratify(page: Page) -> None:
    page.goto("index.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("post-stratify")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=post-stratify")
    page.get_by_text("Search finished, found").wait_for()
    found = page.locator("#search-results ul.search li > a").all_inner_texts()
    assert "From simulated cells to estimates one may publish" in found
    assert any("poststratify_weights" in title for title in found)
    page.locator("#search-results ul.search li > a").first.click()
    assert "post-strat" in page.locator("main").inner_text().lower()


def test_links_lead_somewhere(visits: dict[str, dict[str, Any]], address: str) -> None:
    def leads(link: str) -> bool:
        target, anchor = urldefrag(link)
        if not target.startswith(address):
            return target.startswith(("https://", "mailto:"))
        name = unquote(target.removeprefix(address)) or "index.html"
        return (SITE / name).is_file() and (not anchor or unquote(anchor) in visits[name]["anchors"])

    assert sum(len(shown["links"]) for shown in visits.values()) > 1000
    assert [f"{name}: {link}" for name, shown in visits.items() for link in shown["links"] if not leads(link)] == []


def test_images_are_there_and_say_what_they_show(visits: dict[str, dict[str, Any]]) -> None:
    assert visits["index.html"]["images"] > 0
    assert [f"{name}: {image}" for name, shown in visits.items() for image in shown["broken_images"]] == []
    assert [f"{name}: {image}" for name, shown in visits.items() for image in shown["images_without_words"]] == []


def test_pages_load_whole_and_ask_no_other_host(visits: dict[str, dict[str, Any]], address: str) -> None:
    assert {name: shown["failed"] for name, shown in visits.items() if shown["failed"]} == {}
    assert [f"{name}: {url}" for name, shown in visits.items() for url in shown["asked"] if not url.startswith((address, "data:"))] == []


@pytest.mark.parametrize("window", ["desk", "telephone"])
def test_no_page_scrolls_sideways(visits: dict[str, dict[str, Any]], window: str) -> None:
    assert {name: shown[window]["wide"] for name, shown in visits.items() if shown[window]["wide"]} == {}


def test_a_table_wider_than_a_telephone_says_that_it_scrolls(page: Page) -> None:
    page.set_viewport_size(TELEPHONE)
    page.goto("benchmarks.html")
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    page.wait_for_selector("[data-scrolls=on]")
    tables = page.evaluate(
        """[...document.querySelectorAll(".pst-scrollable-table-container")].map((box) => ({
            wide: box.scrollWidth > box.clientWidth + 1, words: getComputedStyle(box, "::before").content }))"""
    )
    assert sum(table["wide"] for table in tables) > 10
    assert [table for table in tables if table["wide"] != ("scroll sideways" in table["words"])] == []


@pytest.mark.parametrize(
    ("name", "box"),
    [
        ("tutorials/08_how_much_data_is_saved.html", ".cell_output:has(> img)"),
        ("tutorials/04_backgrounds_and_targets.html", ".cell_output [style*='overflow-x']"),
        ("generated/surveysim.CrossFit.html", "pre:has(.gp)"),
        ("method.html", ".formula"),
    ],
)
def test_what_is_wider_than_a_telephone_says_so(page: Page, name: str, box: str) -> None:
    """Figures, tables of `show`, examples and formulas. Where only a margin is hidden there is nothing to scroll to."""
    page.set_viewport_size(TELEPHONE)
    page.goto(name)
    page.wait_for_selector("[data-scrolls=on]")
    found = page.evaluate(
        """(box) => [...document.querySelectorAll(`.bd-article ${box}`)].map((one) => ({
            wide: one.scrollWidth > one.clientWidth + 1 + (one.dataset.scrolls ? 0 : parseFloat(getComputedStyle(one).paddingRight)),
            words: getComputedStyle(one, "::before").content }))""",
        box,
    )
    assert any(one["wide"] for one in found)
    assert [one for one in found if one["wide"] != ("scroll sideways" in one["words"])] == []


@pytest.mark.parametrize("name", ["benchmark_to", "PromptTemplate"])
def test_the_words_on_scrolling_do_not_come_and_go(page: Page, name: str) -> None:
    """These two examples are as wide as the page, but for their margin, which the words move."""
    page.set_viewport_size(DESK)
    page.goto(f"generated/surveysim.{name}.html")
    heights = page.evaluate(
        """async () => {
            const examples = [...document.querySelectorAll(".bd-article pre")], heights = new Set();
            for (let nth = 0; nth < 30; nth++) {
                await new Promise(requestAnimationFrame);
                if (nth > 9) heights.add(examples.map((one) => one.clientHeight).join());
            }
            return [...heights];
        }"""
    )
    assert len(heights) == 1


def test_warnings_of_a_notebook_wrap_on_a_telephone(page: Page) -> None:
    page.set_viewport_size(TELEPHONE)
    page.goto("tutorials/06_simulate_unseen_backgrounds.html")
    wide = page.evaluate("[...document.querySelectorAll('.stderr pre')].map((one) => one.scrollWidth > one.clientWidth + 1)")
    assert len(wide) > 5
    assert not any(wide)


def test_what_a_notebook_shows_has_the_page_s_colours_by_night(page: Page) -> None:
    page.emulate_media(color_scheme="dark")
    page.goto("tutorials/04_backgrounds_and_targets.html")
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    boxes = page.locator(".cell_output .text_html:not(:has(table.dataframe))")
    assert boxes.count() > 2
    assert set(boxes.evaluate_all("(found) => found.map((one) => getComputedStyle(one).backgroundColor)")) == {"rgba(0, 0, 0, 0)"}


@pytest.mark.parametrize(
    ("window", "name", "named"),
    [
        (TELEPHONE, "generated/surveysim.compare_with_official.html", "h1, .prev-next-title"),
        (TELEPHONE, "reference.html", "table.autosummary td:first-child"),
        (DESK, "generated/surveysim.Design.html", ".bd-toc .nav-link"),
    ],
)
def test_long_names_break_behind_an_underscore(page: Page, window: ViewportSize, name: str, named: str) -> None:
    page.set_viewport_size(window)
    page.goto(name)
    before_breaks = page.evaluate(
        """(named) => [...document.querySelectorAll(named)].flatMap((one) => {
            const texts = document.createTreeWalker(one, NodeFilter.SHOW_TEXT), letters = [], range = document.createRange();
            while (texts.nextNode()) [...texts.currentNode.data].forEach((letter, nth) => {
                range.setStart(texts.currentNode, nth); range.setEnd(texts.currentNode, nth + 1);
                letters.push({ letter, top: range.getBoundingClientRect().top });
            });
            return letters.slice(1).flatMap(({ top }, nth) => top > letters[nth].top + 10 ? [letters[nth].letter] : []);
        })""",
        named,
    )
    assert "_" in before_breaks
    assert [letter for letter in before_breaks if letter.isalnum()] == []


def test_a_table_that_scrolls_has_no_columns_a_word_wide(page: Page) -> None:
    page.set_viewport_size(TELEPHONE)
    page.goto("codebooks.html")
    page.wait_for_selector("[data-scrolls=on]")
    widths = page.evaluate(
        """[...document.querySelectorAll("[data-scrolls] table.table td")]
            .filter((cell) => cell.innerText.trim().length > 60).map((cell) => cell.clientWidth)"""
    )
    assert len(widths) > 20
    assert min(widths) > 200


@pytest.mark.parametrize("name", ["design.html", "reference.html", "coming-from-r.html"])
def test_no_cell_of_a_table_on_a_telephone_is_a_letter_wide(page: Page, name: str) -> None:
    """Beside a formula or a signature, which do not wrap, the words of the other column would stand a letter or a word a line."""
    page.set_viewport_size(TELEPHONE)
    page.goto(name)
    cells = page.evaluate(
        """[...document.querySelectorAll(".bd-article table.table td")].filter((cell) => cell.innerText.trim().length > 20)
            .map((cell) => ({ words: cell.innerText.trim().slice(0, 40), width: cell.clientWidth }))"""
    )
    assert len(cells) > 10
    assert [cell for cell in cells if cell["width"] < 100] == []


def test_details_of_the_benchmarks_are_folded_and_open(page: Page) -> None:
    page.goto("benchmarks.html")
    table = page.get_by_text("every background sampled").first.locator("xpath=ancestor::section[1]").locator("table").first
    assert not table.is_visible()
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    assert table.is_visible()


@pytest.mark.parametrize("window", ["desk", "telephone", "night"])
@pytest.mark.parametrize("kind", ["text", "code", "links"])
def test_words_can_be_read(visits: dict[str, dict[str, Any]], window: str, kind: str) -> None:
    worst = {name: shown[window]["contrast"][kind] for name, shown in visits.items() if kind in shown[window]["contrast"]}
    assert len(worst) > len(visits) / 2
    assert {name: found for name, found in worst.items() if not found["ratio"] >= READABLE} == {}


def test_all_code_can_be_copied(visits: dict[str, dict[str, Any]]) -> None:
    assert sum(shown["code"] for shown in visits.values()) > 100
    assert [f"{name}: {code}" for name, shown in visits.items() for code in shown["code_without_button"]] == []


def _copied(page: Page, code: str) -> str:
    """Return what lies on the clipboard after the button of the block with that code was pressed."""
    block = page.locator("main div.highlight").filter(has_text=code).first
    block.hover()
    block.locator("button.copybtn").click()
    page.wait_for_function("document.querySelector('button.copybtn.success') !== null")
    return str(page.evaluate("navigator.clipboard.readText()")).replace("\r\n", "\n")


def test_a_copied_block_is_what_the_page_was_written_with(page: Page) -> None:
    page.goto("install.html")
    written = next(block.text for block in blocks(PROJECT / "docs" / "install.md") if block.language == "python")
    assert _copied(page, "ss.load_example").strip() == written.strip()


def test_a_copied_example_has_no_prompts_and_no_output(page: Page) -> None:
    page.goto("generated/surveysim.noise_floor.html")
    copied = _copied(page, "ss.noise_floor")
    assert "ss.noise_floor(" in copied
    assert not any(line.startswith((">>>", "...")) for line in copied.splitlines())
    compile(copied, "the example", "exec")
