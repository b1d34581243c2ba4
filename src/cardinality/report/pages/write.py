"""The pages as files: written where they are other than what is there, else left alone."""

import csv
import io
from collections.abc import Iterator, Sequence
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
    """Write every page from the records alone, see `pages_of`.

    Returns:
        The page to open first, and the files that are other than before.
    """
    asked = [] if protocol is None else [find(protocol, PROTOCOLS).stem]
    changed = [path for path, text in pages_of(results, protocol, runs) if put(path, text)]
    return results.joinpath(*asked, "index.html"), changed


def pages_of(
    results: Path, protocol: str | None = None, runs: Sequence[Runs] | None = None
) -> Iterator[tuple[Path, str]]:
    """Every page and file of numbers with its text, made one after the other.

    Args:
        results: the folder of all results.
        protocol: a name or a file, which has a page even if nothing has been run.
        runs: of all protocols, where they have been read already.

    Raises:
        UserError: there is no such protocol, or a file of it is wrong; after the pages of the
            other protocols.
    """
    if runs is None:
        runs = borrowed(folders_of(results))
    asked = None if protocol is None else find(protocol, PROTOCOLS).stem
    over = overview_of(results, protocol, runs)
    for name, why in over.broken:
        if name != asked:  # of the one that is asked for it is the error
            note(f"{name} has no page: {why}")
    yield from _overview(results, over)
    for page in over.pages:
        yield from _of_protocol(results, page)
    if protocol is not None and asked not in {page.protocol for page in over.pages}:
        yield from _of_protocol(results, page_of(gather(protocol, results, others=runs)))


def _of_protocol(results: Path, page: Page) -> Iterator[tuple[Path, str]]:
    folder = results / page.protocol
    yield folder / "index.html", protocol_page(page)
    yield folder / "report.md", protocol_markdown(page)
    for numbers in numbers_of(page):
        yield folder / numbers.file, to_csv(numbers)


def _overview(results: Path, over: Overview) -> Iterator[tuple[Path, str]]:
    yield results / "index.html", index_page(over)
    yield results / "comparison.html", comparison_page(over)
    yield results / "comparison.md", comparison_markdown(over)
    for figure in over.figures:
        yield results / figure.numbers.file, to_csv(figure.numbers)


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


def put(path: Path, text: str) -> bool:
    """Write a file unless it has these bytes already; whether it was written."""
    content = text.encode()
    if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
        return False
    with written_aside(path) as aside:
        aside.write_bytes(content)
    return True
