"""The command that makes pages to browse, opens them, and serves them while a grid is running."""

from typing import Annotated

import typer

from cardinality.cli.check import protocols
from cardinality.cli.options import ResultsOption, refuse, results_root, shown_path


def report_command(
    protocol: Annotated[
        str | None,
        typer.Option("--protocol", help="Also this one's page, a name or a .yaml file."),
    ] = None,
    results: ResultsOption = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    serve: Annotated[
        bool,
        typer.Option(
            "--serve", help="Show it on this machine alone, with a running grid's progress."
        ),
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=0,
            max=65535,
            help="For --serve; by default 8765; 0 takes any that is free.",
        ),
    ] = None,
) -> None:
    """Write pages to browse from the records on disk: results/index.html and one a protocol."""
    folder = results_root(results)
    if serve:
        from cardinality.report.pages.serve import serve_report

        serve_report(folder, protocol, 8765 if port is None else port, open_page)
        return
    refuse({"--port": port}, "without --serve", "both, or neither")
    from cardinality.report.pages.write import write_report

    if protocol is None:
        protocols(folder, None)  # a page of nothing would be made where a name is misspelt
    first, changed = write_report(folder, protocol)
    for path in (path for path in changed if path.suffix != ".csv"):
        print(f"wrote {shown_path(path)}")
    numbers = sum(path.suffix == ".csv" for path in changed)
    if numbers:
        print(f"and {numbers} files of the figures' numbers beside them.")
    if not changed:
        print(f"{shown_path(first)} is as the records have it.")
    if open_page:
        import webbrowser

        webbrowser.open(first.resolve().as_uri())
