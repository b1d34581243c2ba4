"""From records to files: each table as Markdown, CSV and plots under results/PROTOCOL/."""

from pathlib import Path

import pandas as pd

from cardinality.common.files import written_aside
from cardinality.data.store import load_images
from cardinality.experiment.datasets import Digits
from cardinality.experiment.plan import Plan
from cardinality.report import markdown, plots
from cardinality.report.recorded import as_recorded
from cardinality.report.tables import arithmetic_table, published, trained_table
from cardinality.results.folder import Results


def render(plan: Plan, results: Results) -> tuple[str, list[Path]]:
    """Write a table's files from the records alone.

    Args:
        plan: the table; its numerics are replaced by those of the records (`as_recorded`).
        results: where the records are and the files go.

    Returns:
        The Markdown page, and every file written.
    """
    if plan.ablation.trains:
        return _render_trained(plan, results)
    table = arithmetic_table(plan)
    page = markdown.document(plan, markdown.arithmetic(table), markdown.arithmetic_notes(plan))
    files = _write(plan, results, table, page)
    files += plots.save(
        lambda figure: plots.widths(table, figure), (8, 3.2), results.plots / plan.ablation_name
    )
    return page, files


def _render_trained(plan: Plan, results: Results) -> tuple[str, list[Path]]:
    found = as_recorded(plan, results)
    plan, done, failed = found.plan, found.done, found.failed
    paper = published(plan)
    table = trained_table(plan, done, failed)
    notes = markdown.trained_notes(found, paper)
    page = markdown.document(plan, markdown.trained(table, paper), notes)
    files = _write(plan, results, table, page)

    name = plan.ablation_name
    if plots.is_sweep(plan):
        files += plots.save(
            lambda figure: plots.by_cardinality(plan, table, figure), (9, 4.2), results.plots / name
        )
    elif plan.ablation.tolerance is None:
        files += plots.save(
            lambda figure: plots.by_parameters(plan, table, figure), (7, 4.2), results.plots / name
        )
    else:
        height = 1.4 + 0.55 * len(table)
        files += plots.save(
            lambda figure: plots.by_row(plan, table, figure), (8, height), results.plots / name
        )
    epochs = {name: results.epochs(record) for name, record in done.items()}
    files += plots.save(
        lambda figure: plots.curves(plan, epochs, figure),
        (9, 3.6),
        results.plots / f"{name}-curves",
    )
    # Only made images may be shown: the other sets' pictures are not ours to publish.
    if isinstance(plan.protocol.data, Digits):
        images = load_images(plan.protocol.data)
        files += plots.save(
            lambda figure: plots.contact_sheet(images.train, images.classes, figure),
            (7, 4.7),
            results.plots / "samples",
        )
    return page, files


def _write(plan: Plan, results: Results, table: pd.DataFrame, page: str) -> list[Path]:
    text = results.tables / f"{plan.ablation_name}.md"
    data = results.tables / f"{plan.ablation_name}.csv"
    with written_aside(text) as aside:
        aside.write_text(page, encoding="utf-8")
    with written_aside(data) as aside:
        table.to_csv(aside, index=False, lineterminator="\n", float_format="%.6g")
    return [text, data]
