"""The pages in headless Chromium, from disk: what a reader does, and what shuts readers out."""

import csv
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from cardinality.execution.holds import Hold, Holds
from cardinality.experiment.places import PROTOCOLS
from cardinality.report.pages.serve import make_server
from cardinality.report.pages.write import write_report
from cardinality.results.epochs import Epoch, write_epochs
from cardinality.results.folder import Results
from tests.made_pages import NASTY, plan_of, put, write_protocol
from tests.places import ROOT

CHROMIUM = shutil.which("chromium")
# The library that drives it is an extra, which the other tests do without.
if CHROMIUM is None or find_spec("playwright") is None:
    if os.environ.get("BROWSER_TESTS") == "required":
        raise RuntimeError("no Chromium or no playwright here")
    pytest.skip("no browser here; make test-report installs one", allow_module_level=True)

pytestmark = pytest.mark.browser
AXE = ROOT / ".venv/axe/node_modules/axe-core/axe.min.js"
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
PAGES = ("index.html", "comparison.html", "made/index.html")


@dataclass
class Opened:
    """A page in the browser, with what it asked for and what its console said."""

    page: Any
    path: Path
    requests: list[str]
    errors: list[str]

    def script(self, text: str, given: object = None) -> Any:
        """What an expression gives in the page."""
        return self.page.evaluate(text, given)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two tables, one of them partial and with a failure that somebody worded."""
    folder = tmp_path_factory.mktemp("workspace")
    (folder / PROTOCOLS).mkdir(parents=True)
    protocol = write_protocol(folder / PROTOCOLS, nasty=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARDINALITY_WORKSPACE", str(folder))
        made = Results(folder / "results" / "made")
        put(plan_of("table3", protocol), made, keep=lambda n: n < 26,
            failure=lambda n: NASTY if n == 3 else None)  # fmt: skip
        put(plan_of("residual", protocol), made)
        write_report(folder / "results")
        yield folder / "results"


class Opens:
    """Opens pages of the results, each in a context of its own."""

    def __init__(self, browser: Any, results: Path) -> None:
        self.browser, self.results = browser, results
        self.contexts: list[Any] = []

    def __call__(self, name: str, **given: Any) -> Opened:
        context = self.browser.new_context(**given)
        self.contexts.append(context)
        page, path = context.new_page(), self.results / name
        opened = Opened(page, path, [], [])
        page.on("request", lambda request: opened.requests.append(request.url))
        page.on("console", lambda message: opened.errors.append(message.text))
        page.on("pageerror", lambda error: opened.errors.append(str(error)))
        page.goto(path.as_uri())
        return opened


@pytest.fixture
def opens(browser: Any, results: Path) -> Iterator[Opens]:
    made = Opens(browser, results)
    yield made
    for context in made.contexts:
        context.close()


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_from_disk_and_asks_for_nothing(opens: Opens, name: str, scheme: str) -> None:
    opened = opens(name, color_scheme=scheme)
    assert opened.errors == []
    asked = [url for url in opened.requests if not url.startswith("data:")]
    assert asked == [opened.path.as_uri()]
    ground = opened.script("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")


@pytest.mark.parametrize("name", PAGES)
def test_every_link_resolves(opens: Opens, results: Path, name: str) -> None:
    opened = opens(name)
    links = opened.script("[...document.querySelectorAll('a[href]')].map(a => a.href)")
    anchors: dict[str, set[str]] = {}
    assert len(links) > 5
    for link in set(links):
        file, _, anchor = link.removeprefix("file://").partition("#")
        path = Path(file)
        assert path.is_file(), link
        assert path.is_relative_to(results)
        if anchor:
            ids = anchors.setdefault(file, set(re.findall(r' id="([^"]*)"', path.read_text())))
            assert anchor in ids, link


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [375, 768, 1280])
def test_no_page_scrolls_sideways(opens: Opens, name: str, width: int) -> None:
    opened = opens(name, viewport={"width": width, "height": 800})
    opened.script("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert opened.script("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(opens: Opens, name: str, scheme: str) -> None:
    if not AXE.is_file():
        if os.environ.get("BROWSER_TESTS") == "required":
            raise RuntimeError(f"no {AXE.name} here")
        pytest.skip("no axe-core here; make test-report installs it")
    opened = opens(name, color_scheme=scheme)
    opened.script("document.querySelectorAll('details').forEach(d => { d.open = true })")
    opened.script(AXE.read_text())
    found = opened.script("axe.run().then(r => r.violations)")
    serious = [
        (each["id"], each["nodes"][0]["html"][:200], each["nodes"][0]["failureSummary"])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []


DRAWN = """part => [...document.querySelectorAll(`#figures-table3 ${part}`)]
  .filter(mark => mark.getClientRects().length && getComputedStyle(mark).display !== 'none').length
"""


def test_choosing_changes_what_is_drawn(opens: Opens) -> None:
    opened = opens("made/index.html")
    curves = ".curves path.line:not(.one)"
    assert opened.script(DRAWN, curves) == 20  # ten nets, test and training
    form = opened.page.locator("#figures-table3 form")
    form.locator("input[name=net][value='32x4d']").uncheck()
    assert opened.script(DRAWN, curves) == 16
    assert opened.script(DRAWN, ".differences path.point") == 6
    form.locator("input[name=depth][value='20']").uncheck()
    assert opened.script(DRAWN, curves) == 8
    assert opened.script(DRAWN, ".classes .panel") == 3
    form.locator("input[name=seed][value='0']").uncheck()
    assert opened.script(DRAWN, curves) == 0
    assert opened.script(DRAWN, ".curves path.one") == 8
    assert opened.script(DRAWN, ".cardinality path.mean") == 0
    assert "all seeds" in form.locator("[role=status]").inner_text()
    while form.locator("input:not(:checked)").count():
        form.locator("input:not(:checked)").first.check()
    assert opened.script(DRAWN, curves) == 20


def test_pointing_and_the_keyboard_show_values(opens: Opens, results: Path) -> None:
    opened = opens("made/index.html")
    tip = opened.page.locator(".tip")
    assert tip.is_hidden()
    drawing = opened.page.locator("#table3-differences svg").first
    drawing.locator("[role=img]").first.hover(force=True)
    assert re.match(r"2x40d to 1x64d, 11 layers: [+−]\d", tip.inner_text())
    drawing.locator("[role=img]").first.focus()
    opened.page.keyboard.press("ArrowDown")
    assert tip.inner_text().startswith("4x24d to 1x64d, 11 layers: ")
    opened.page.keyboard.press("Escape")
    assert tip.is_hidden()
    opened.page.mouse.move(2, 2)  # where nothing comes to lie under it
    opened.page.locator("#table3-curves svg").first.locator(".stop").nth(2).focus()
    assert tip.inner_text().startswith("epoch 3\n1x64d, test: ")
    assert opened.script(
        "[...document.querySelectorAll('svg.drawing')]"
        ".every(s => s.querySelectorAll('[tabindex=\"0\"]').length <= 1)"
    )


@pytest.mark.parametrize("name", PAGES)
def test_values_in_the_page_are_those_of_the_files(opens: Opens, results: Path, name: str) -> None:
    opened = opens(name)
    tables = opened.script(
        """[...document.querySelectorAll('table[data-csv]')].map(table => [table.dataset.csv,
        [...table.tBodies[0].rows].map(row => [...row.cells].map(cell => cell.textContent))])"""
    )
    assert bool(tables) == (name != "index.html")
    for file, shown in tables:
        with (opened.path.parent / file).open(newline="", encoding="utf-8") as opened_file:
            lines = list(csv.reader(opened_file))[1:]
        if len(lines) != len(shown):  # a long table has some of its lines on the page
            keys = [tuple(row[:3]) for row in shown]
            lines = [line for line in lines if tuple(line[:3]) in keys]
        assert len(lines) == len(shown)
        for line, row in zip(lines, shown, strict=True):
            for value, text in zip(line, row, strict=True):
                plain = text.replace("−", "-").replace(",", "")
                if value == "":
                    assert text == "–"
                elif re.fullmatch(r"-?[\d.]+(e[+-]\d+)?", plain) and value != text:
                    assert float(plain) == pytest.approx(float(value), abs=0.0051)
                else:
                    assert " ".join(text.split()) == " ".join(value.split())


@pytest.mark.parametrize("name", PAGES)
def test_everything_is_there_without_scripts(opens: Opens, name: str) -> None:
    opened = opens(name, java_script_enabled=False)
    with_scripts = opens(name)
    for part in ("svg.drawing", "table", "figure"):
        count = opened.page.locator(part).count()
        assert count == with_scripts.page.locator(part).count()
    if name != "index.html":
        assert opened.page.locator("figure svg.drawing").first.is_visible()
    assert opened.page.locator("form.choose:visible").count() == 0


@pytest.mark.parametrize("name", PAGES)
def test_it_prints_with_every_figure(opens: Opens, tmp_path: Path, name: str) -> None:
    opened = opens(name)
    opened.page.emulate_media(media="print")
    figures = opened.page.locator("figure svg.drawing")
    for n in range(figures.count()):
        assert figures.nth(n).is_visible()
    target = tmp_path / "page.pdf"
    opened.page.pdf(path=str(target), format="A4")
    assert target.stat().st_size > 10_000


def test_a_link_unfolds_what_it_leads_to(opens: Opens) -> None:
    opened = opens("made/index.html")
    opened.page.locator("#table-table3 td a").first.click()
    assert opened.page.locator("#cell-1x64d-depth11 article").first.is_visible()


def test_what_strangers_wrote_does_nothing(opens: Opens) -> None:
    opened = opens("made/index.html")
    assert opened.page.locator("h1").inner_text() == " ".join(NASTY.split())
    assert opened.page.locator("img").count() == 0
    assert json.dumps(opened.errors) == "[]"


def test_a_running_grid_brings_itself_up_to_date(browser: Any, results: Path) -> None:
    made = Results(results / "made")
    name = plan_of("table3", results.parent / PROTOCOLS / "made.yaml").runs()[-1].name
    epochs = [Epoch(n, 0.1, 1, 50 / n, 1, 40 / n, 9, 1500, 2.0, 0.1) for n in range(1, 6)]
    write_epochs(made.progress(name), epochs[:2])
    hold = Holds(made).take(name)
    assert isinstance(hold, Hold)
    with make_server(results, None, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        page = browser.new_page()
        errors: list[str] = []
        page.on("console", lambda message: errors.append(message.text))
        page.goto(f"http://127.0.0.1:{server.server_address[1]}/made/index.html")
        going = page.locator(".going")
        assert "epoch 2 of 7" in going.inner_text()
        assert "10 s left" in going.inner_text()
        write_epochs(made.progress(name), epochs)
        page.get_by_text("epoch 5 of 7").wait_for(timeout=30_000)
        assert going.locator("svg.drawing").count() == 1
        assert errors == []
        page.close()
        server.shutdown()
        thread.join()
    hold.release()
    made.progress(name).unlink()
