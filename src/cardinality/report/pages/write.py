"""The pages as files: written where they are other than what is there, else left alone."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from cardinality.analysis.planning import Runs
from cardinality.common.files import written_aside
from cardinality.common.notes import note
from cardinality.experiment.places import PROTOCOLS, find
from cardinality.report.judged import borrowed, folders_of
from cardinality.report.pages.content import overview_of, page_of
from cardinality.report.pages.gathered import gather
from cardinality.report.pages.html import comparison_page, index_page, protocol_page
from cardinality.report.pages.markdown_page import comparison_markdown, protocol_markdown
from cardinality.report.pages.shapes import Numbers, Overview, Page
from cardinality.report.pages.wording import exact


def write_report(
    results: Path, protocol: str | None = None, runs: Sequence[Runs] | None = None
) -> tuple[Path, list[Path]]:
    """Write every page from the records alone.

    Args:
        results: the folder of all results.
        protocol: a name or a file, whose page is written even if nothing has been run.
        runs: of all protocols, where they have been read already.

    Returns:
        The page to open first, and the files that are other than before.

    Raises:
        UserError: there is no such protocol, or a file of it is wrong; what the other protocols
            have is written.
    """
    if runs is None:
        runs = borrowed(folders_of(results))
    asked = None if protocol is None else find(protocol, PROTOCOLS).stem
    over = overview_of(results, protocol, runs)
    for name, why in over.broken:
        if name != asked:  # of the one that is asked for it is the error
            note(f"{name} has no page: {why}")
    changed = _write_overview(results, over)
    changed += [path for page in over.pages for path in _write_page(results, page)]
    if protocol is None or asked is None:
        return results / "index.html", changed
    if asked not in {page.protocol for page in over.pages}:
        changed += _write_page(results, page_of(gather(protocol, results, others=runs)))
    return results / asked / "index.html", changed


def _write_page(results: Path, page: Page) -> list[Path]:
    folder = results / page.protocol
    texts = {
        folder / "index.html": protocol_page(page),
        folder / "report.md": protocol_markdown(page),
    }
    for numbers in numbers_of(page):
        texts[folder / numbers.file] = to_csv(numbers)
    return [path for path, text in texts.items() if _put(path, text)]


def _write_overview(results: Path, over: Overview) -> list[Path]:
    texts = {
        results / "index.html": index_page(over),
        results / "comparison.html": comparison_page(over),
        results / "comparison.md": comparison_markdown(over),
    }
    for figure in over.figures:
        texts[results / figure.numbers.file] = to_csv(figure.numbers)
    return [path for path, text in texts.items() if _put(path, text)]


def numbers_of(page: Page) -> list[Numbers]:
    """Every table of numbers that a page links to."""
    figures = [figure.numbers for table in page.tables for figure in table.figures]
    tables = [table.numbers for table in page.tables]
    return [*tables, *figures, *(table.numbers for table in page.arithmetic)]


def to_csv(numbers: Numbers) -> str:
    """Numbers as a CSV file has them, to six digits; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(exact, numbers.headings))
    writer.writerows([exact(value) for value in line] for line in numbers.lines)
    return text.getvalue()


def _put(path: Path, text: str) -> bool:
    """Write a file unless it has these bytes already; whether it was written."""
    content = text.encode()
    if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
        return False
    with written_aside(path) as aside:
        aside.write_bytes(content)
    return True
