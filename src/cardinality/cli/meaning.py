"""The commands about what the numbers mean: claims, compare."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cardinality.cli.options import FormatOption, ResultsOption, refuse, results_root, shown_path
from cardinality.common.errors import UserError
from cardinality.common.notes import note
from cardinality.common.text import terminal

if TYPE_CHECKING:
    from cardinality.report.judged import Judged


def claims_command(
    protocol: Annotated[
        str | None,
        typer.Option("--protocol", help="A name or a .yaml file; by default all with results."),
    ] = None,
    results: ResultsOption = None,
    form: FormatOption = "markdown",
) -> None:
    """Say which of the paper's sentences the records support, and how sure that is."""
    from cardinality.report import claims_page
    from cardinality.report.claims_files import write, write_overview

    root = results_root(results)
    if protocol is not None:
        judged = _judged(root, protocol)
        with _told_anyway(lambda: claims_page.page(judged)):
            page, files = write(judged, form)
        _show(page, files)
        return
    everything = _all(root)
    if not everything:
        raise UserError(
            f"{root}: no protocol has results there that can be judged; allowed: --protocol, or"
            " --results"
        )
    with _told_anyway(lambda: claims_page.overview(everything)):
        files = [file for judged in everything for file in write(judged, form)[1]]
        page, more = write_overview(everything, root)
    _show(page, [*files, *more])


@contextmanager
def _told_anyway(page: Callable[[], str]) -> Iterator[None]:
    """Print a page where it cannot be written: who may only read sees it at least."""
    try:
        yield
    except OSError:
        print(page())
        raise


def _show(page: str, files: Sequence[Path]) -> None:
    print(page)
    for file in files:
        print(f"wrote {shown_path(file)}")


def _judged(root: Path, protocol: str) -> "Judged":
    """One protocol's claims; deviations that it lacks are borrowed from the others."""
    from cardinality.experiment.places import PROTOCOLS, find
    from cardinality.report.judged import borrowed, folders_of, judge_protocol
    from cardinality.results.folder import Results

    name = find(protocol, PROTOCOLS).stem
    others = [results for results in folders_of(root) if results.folder.name != name]
    return judge_protocol(protocol, Results(root / name), borrowed(others))


# What `compare --output` writes.
FILES = ("compare.md", "compare.csv", "compare.png", "compare.svg")


def _all(root: Path) -> "list[Judged]":
    """Every protocol with results that can be judged; one's mistake keeps no other back."""
    from cardinality.report.judged import borrowed, folders_of, judge_protocol

    folders, found = folders_of(root), []
    runs = borrowed(folders)
    for results in folders:
        try:
            found.append(judge_protocol(results.folder.name, results, runs))
        except UserError as error:
            note(f"{results.folder.name} is left out: {error}")
    return found


def compare_command(
    given: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE.csv | RESULTS_A RESULTS_B",
            help="Anyone's runs (setting, seed, error), or two folders of results.",
        ),
    ],
    claim: Annotated[
        str | None, typer.Option("--claim", help="Only this claim, as a family of its own.")
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option("--margin", help="Of two results: how many points count as the same."),
    ] = None,
    protocol: Annotated[
        str | None, typer.Option("--protocol", help="Whose figures of ours stand beside.")
    ] = None,
    results: ResultsOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", help="Write page, data and plot there."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Judge other people's runs by the same rules, or ask whether two results are the same."""
    if len(given) == 2:
        of_one = {"--claim": claim, "--results": results}
        refuse(of_one, "where two results are compared, cell by cell", "with one FILE.csv")
        _compare_results(given, margin, protocol, output, as_json)
        return
    if len(given) != 1:
        raise UserError(f"{len(given)} files; allowed: one FILE.csv, or RESULTS_A and RESULTS_B")
    refuse({"--margin": margin}, "on one FILE.csv", "with RESULTS_A and RESULTS_B")
    _compare_file(given[0], claim, protocol, results, output, as_json)


def _compare_file(
    path: Path,
    claim: str | None,
    protocol: str | None,
    results: Path | None,
    output: Path | None,
    as_json: bool,
) -> None:
    from cardinality.report import outside

    root = results_root(results)
    if output is not None and any((output / name).resolve() == path.resolve() for name in FILES):
        raise UserError(f"--output {output}: would write over {path}; allowed: another folder")
    ours = _all(root) if protocol is None else [_judged(root, protocol)]
    found = outside.judge_file(path, claim, ours)
    print(json.dumps(outside.as_json(found), indent=1) if as_json else outside.page(found))
    if output is not None:
        _wrote(outside.write(found, output), as_json)


def _compare_results(
    given: Sequence[Path],
    margin: float | None,
    protocol: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    from cardinality.report import twice

    if margin is None or not 0 < margin < 100:
        raise UserError(
            "--margin: must say how many points count as the same, before anyone looks;"
            " allowed: a number above 0 and below 100"
        )
    found = twice.compare(given[0], given[1], margin, protocol)
    print(json.dumps(twice.as_json(found), indent=1) if as_json else twice.page(found))
    if output is not None:
        _wrote(twice.write(found, output), as_json)


def _wrote(files: Sequence[Path], as_json: bool) -> None:
    """Name the files; what is read by a program is not mixed with that."""
    if not as_json:
        for file in files:
            print(f"wrote {terminal(file)}")
