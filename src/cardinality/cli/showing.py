"""A table as its records have it: the command render, and what run shows in the end."""

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cardinality.cli.opened import open_plan
from cardinality.cli.options import (
    AblationArgument,
    BatchOption,
    FirstSeedOption,
    FormatName,
    FormatOption,
    ProtocolOption,
    ResultsOption,
    SeedsOption,
    shown_path,
)
from cardinality.common.errors import UserError
from cardinality.common.notes import note
from cardinality.common.text import line, plural

if TYPE_CHECKING:
    from cardinality.experiment.plan import Plan
    from cardinality.report.recorded import Recorded
    from cardinality.results.folder import Results


def render_command(
    ablation: AblationArgument,
    protocol: ProtocolOption = "quick",
    seeds: SeedsOption = None,
    results: ResultsOption = None,
    batch: BatchOption = None,
    form: FormatOption = "markdown",
    first_seed: FirstSeedOption = 0,
) -> None:
    """Write a table's Markdown, CSV and plots from the records on disk, partial or not."""
    plan, found, _ = open_plan(
        ablation, protocol, seeds, "auto", results, batch=batch, first_seed=first_seed
    )
    if results is not None and plan.ablation.trains and not results.is_dir():
        raise UserError(f"{results}: no such folder; allowed: one with results")
    show(plan, found, form, anew=True)


def show(plan: "Plan", found: "Results", form: FormatName, anew: bool = False) -> None:
    """Show a table and say where its files are; drawn anew only where something has changed."""
    from cardinality.report.kept import keep, made_of, recall

    now = made_of(plan, found, form)
    before = None if anew else recall(plan, found, now)
    if before is None:
        from cardinality.report.render import closing
        from cardinality.report.render import render as write

        try:
            page, files = write(plan, found, form)
        except OSError:  # who may only read sees the table at least, and then what was wrong
            print(closing(plan, found))
            raise
        keep(plan, found, now, page, files)
    else:
        page, files = before
    print(page)
    what = "wrote" if before is None else "unchanged:"
    for file in files:
        print(f"{what} {shown_path(file)}")


def shown_as_brought(
    plan: "Plan", found: "Results", form: FormatName, options: Sequence[str]
) -> bool:
    """Show a table as the repository brings it, unless the user has begun to compute it.

    Args:
        plan, found, form: the table, its records, and how it is shown.
        options: by which it was asked for otherwise than stated, for the command that computes it.

    Returns:
        Whether it was shown.
    """
    from cardinality.report.recorded import as_recorded
    from cardinality.results.manifest import brought

    shown = as_recorded(plan, found)
    whose = shown.done.keys() & brought(found.folder)
    begun = shown.done.keys() - whose or any(
        found.checkpoint(run.name).is_file() or found.status(run.name) != "missing"
        for run in plan.runs()
        if run.name not in whose
    )
    if not whose or begun:
        return False
    sittings = [sitting for name in whose for sitting in shown.done[name].sittings]
    machines = line(", ".join(sorted({sitting.device for sitting in sittings})))
    asked = len(shown.plan.runs())
    what = "All" if len(whose) == asked else f"{len(whose)} of"
    print(f"{what} {asked} runs come with the repository, made on {machines}.")
    words = ["cardinality", "run", plan.typed[0], "--protocol", plan.typed[1], *options]
    command = shlex.join(words)
    if len(whose) < asked and shown.plan == plan:
        print(f"To compute the others here: .venv/bin/{command}\n")
    else:  # with other numerics, or to see them come out again
        print(f"To compute them here: .venv/bin/{command} --results my-results\n")
    show(plan, found, form)
    return True


def say_whose(plan: "Plan", found: "Results") -> None:
    """Where some runs of a table come with the repository and others do not, say how many."""
    from cardinality.report.recorded import as_recorded
    from cardinality.results.manifest import brought

    done = as_recorded(plan, found).done.keys()
    try:
        theirs = len(done & brought(found.folder))
    except UserError as error:  # the runs are computed, and `cardinality verify` says it again
        note(str(error))
        return
    if 0 < theirs < len(done):
        print(f"{theirs} of these {len(done)} runs come with the repository, the others are yours.")


def say_what_is_shown(plan: "Plan", shown: "Recorded") -> None:
    """Say where a table leaves records out, or shows those with other numerics than are asked."""
    from cardinality.report.recorded import plan_numerics

    theirs = plan_numerics(shown.plan)
    if shown.done and theirs is not None and theirs != plan_numerics(plan):
        from cardinality.report.markdown import describe

        print(
            f"Note: {plural(len(shown.done), 'run')} with other numerics ({describe(theirs)}) are"
            " there. A table mixes none: it shows the kind of which it has more runs."
        )
    if shown.unsound:
        print(
            f"Note: {plural(len(shown.unsound), 'record')} of this table left out as unsound:"
            " cardinality verify says why. Move such folders elsewhere to compute them again."
        )


def write_pages(protocol: str, found: "Results") -> None:
    """Bring the pages to browse up to date with the records; that they cannot be is no failure."""
    from cardinality.report.pages.write import write_report

    try:
        first, _ = write_report(found.folder.parent, protocol)
    except UserError as error:  # a scale for tables of one's own, which lie elsewhere
        note(f"no pages to browse: {error}")
    else:
        print(f"wrote {shown_path(first)}")
