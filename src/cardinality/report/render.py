"""From records to files: each table as Markdown, CSV and plots under results/PROTOCOL/."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from cardinality.common import text
from cardinality.common.files import written_aside
from cardinality.data.store import load_images
from cardinality.experiment.datasets import Patches
from cardinality.experiment.plan import Plan
from cardinality.report import canvas, curves, forest, latex, markdown, plots, reference
from cardinality.report.decision import decided
from cardinality.report.lines import TableLine, lines_of
from cardinality.report.published import Published, published
from cardinality.report.recorded import Recorded, as_recorded
from cardinality.report.tables import arithmetic_table, seeds_table, trained_table
from cardinality.results.folder import Results

Form = Literal["markdown", "latex"]


def render(plan: Plan, results: Results, form: Form = "markdown") -> tuple[str, list[Path]]:
    """Write a table's files from the records alone.

    Args:
        plan: the table; its numerics are replaced by those of the records (`as_recorded`).
        results: where the records are and the files go.
        form: of the page that is given back; with ``latex`` a .tex is written, too.

    Returns:
        The page, and every file written.
    """
    if plan.ablation.trains:
        return _render_trained(plan, results, form)
    table = arithmetic_table(plan)
    columns, notes = markdown.arithmetic(table), markdown.arithmetic_notes(plan)
    page, files = _write(plan, results, table, columns, notes, form)
    files += canvas.save(
        lambda figure: plots.widths(table, figure),
        (8, 3.4),
        results.plots / plan.files,
        table,
    )
    return page, files


def _render_trained(plan: Plan, results: Results, form: Form) -> tuple[str, list[Path]]:
    found = as_recorded(plan, results)
    plan, done = found.plan, found.done
    paper = published(plan)
    lines = lines_of(found, paper)
    table = trained_table(lines, paper)
    notes = markdown.trained_notes(found, paper)
    columns = markdown.trained(plan, table, paper)
    ends = decided(plan, results)
    beside = reference.beside(found)
    page, files = _write(plan, results, table, columns, notes, form, ends, beside)
    files += _draw(found.plan, lines, table, paper, results)
    if plan.runs():
        epochs = {name: results.epochs(record) for name, record in done.items()}
        files += canvas.save(
            lambda figure: curves.draw(plan, epochs, figure),
            curves.size(plan),
            results.plots / f"{plan.files}-curves",
            curves.data(plan, epochs),
        )
    # Only these may be shown: the photographs are free, the other sets' are not ours to publish.
    if isinstance(plan.protocol.data, Patches):
        images = load_images(plan.protocol.data)
        files += canvas.save(
            lambda figure: plots.contact_sheet(images.train, images.classes, figure),
            (7, 4.7),
            results.plots / "samples",
        )
    return page, files


def closing(plan: Plan, results: Results) -> str:
    """A table without its notes, to be shown while others are computed, and what it decides."""
    if not plan.ablation.trains:
        return markdown.to_markdown(markdown.arithmetic(arithmetic_table(plan))) + "\n"
    found = as_recorded(plan, results)
    ends = text.markdown(decided(found.plan, results))
    parts = (markdown.to_markdown(columns_of(found)), reference.beside(found), ends)
    return "\n\n".join(part for part in parts if part) + "\n"


def columns_of(found: Recorded) -> dict[str, pd.Series]:
    """The columns of a table that trains, as texts."""
    paper = published(found.plan)
    table = trained_table(lines_of(found, paper), paper)
    return markdown.trained(found.plan, table, paper)


def _draw(
    plan: Plan,
    lines: Sequence[TableLine],
    table: pd.DataFrame,
    paper: Published | None,
    results: Results,
) -> list[Path]:
    """The table's own plot: against C, against parameters, or all Δ one below the other."""
    path, seeds = results.plots / plan.files, seeds_table(lines)
    if plots.is_sweep(plan):
        return canvas.save(
            lambda figure: plots.by_cardinality(plan, table, seeds, figure),
            (9.5, 4.8),
            path,
            plots.sweep_data(table, seeds),
        )
    if plots.is_of_sizes(plan):
        return canvas.save(
            lambda figure: plots.by_parameters(plan, table, seeds, figure),
            (8, 4.6),
            path,
            plots.parameters_data(table, seeds),
        )
    dots = plots.differences(plan, table)
    if not dots:  # nothing is compared with anything
        return []
    theirs = "" if paper is None else f"paper, {paper.data}"
    label = "top-1 error, difference in points; lower is better"
    return canvas.save(
        lambda figure: forest.forest(dots, figure, plots.title(plan, table), label, theirs),
        (8.5, forest.height(dots)),
        path,
        forest.data(dots),
    )


def _write(
    plan: Plan,
    results: Results,
    table: pd.DataFrame,
    columns: dict[str, pd.Series],
    notes: list[str],
    form: Form,
    closing: str = "",
    beside: str = "",
) -> tuple[str, list[Path]]:
    """The page and the data of a table, and the page that is asked for."""
    name = plan.files
    files = [results.tables / f"{name}.md", results.tables / f"{name}.csv"]
    body = "\n\n".join(part for part in (markdown.to_markdown(columns), beside) if part)
    page = markdown.document(plan, body, notes, closing)
    write_text(files[0], page)
    canvas.write_csv(files[1], table)
    if form == "latex":
        page = latex.table(columns, plan.ablation.title, [*notes, closing], f"tab:{name}")
        files.append(results.tables / f"{name}.tex")
        write_text(files[2], page)
    return page, files


def write_text(path: Path, page: str) -> None:
    """Write a page, whole or not at all."""
    with written_aside(path) as aside:
        aside.write_text(page, encoding="utf-8")
