"""The commands about clusters: status, and what run does with --executor slurm."""

import os
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cardinality.cli.options import ProtocolOption, ResultsOption, results_root
from cardinality.common.errors import UserError
from cardinality.common.text import line, plural, terminal
from cardinality.common.workspace import workspace

if TYPE_CHECKING:
    from cardinality.execution.cluster import Cluster
    from cardinality.execution.driver import Summary
    from cardinality.experiment.run import Run
    from cardinality.results.folder import Results

# Seconds between two looks of `status --watch`, and after how many that saw nothing it ends: a
# grid that has just begun, or is between two runs, looks like one that has ended.
AGAIN = 10.0
QUIET = 6


def read_cluster(
    executor: str, path: Path | None, dry_run: bool, device: str, jobs: int | None
) -> "Cluster | None":
    """The file that --executor slurm needs, and no other executor takes.

    Raises:
        UserError: it is missing, has something wrong in it, or other options say the same.
    """
    if executor == "pool":
        for option, given in (("--cluster", path is not None), ("--dry-run", dry_run)):
            if given:
                raise UserError(f"{option}: nothing is sent; allowed: with --executor slurm")
        return None
    if path is None:
        raise UserError("--executor slurm: needs --cluster FILE; docs/scale.md says what is in it")
    if device != "auto":
        raise UserError(f"--device: {path} says that; allowed: its key device")
    if jobs is not None:
        raise UserError(f"--jobs: {path} says that; allowed: its key array")
    from cardinality.execution.cluster import Cluster
    from cardinality.experiment.reading import load

    return load(path, Cluster)


def show_scripts(cluster: "Cluster", found: "Results", count: int) -> None:
    """Print what would be given to sbatch."""
    from cardinality.execution.slurm import logs_of, scripts

    print("\n".join(scripts(cluster, logs_of(found), count)) or "All runs are there.")


def send(
    runs: "list[Run]",
    found: "Results",
    cluster: "Cluster",
    asked: "tuple[str, str, int | None, int | None, int]",
    limit: float | None,
) -> "Summary":
    """Compute runs as jobs, and wait for them, so many seconds at most where it is limited.

    Args:
        runs: which.
        found: the protocol's results.
        cluster: where they go.
        asked: ablation and protocol, how many seeds, the batch and the first seed, as given.
        limit: seconds.
    """
    from cardinality.data.store import data_root
    from cardinality.execution.display import Display
    from cardinality.execution.driver import compute_with
    from cardinality.execution.job import Order
    from cardinality.execution.slurm import Slurm
    from cardinality.execution.stopping import Stop

    ablation, protocol, seeds, batch, first_seed = asked
    order = Order(
        run="",
        ablation=_whole(ablation),
        protocol=_whole(protocol),
        seeds=seeds,
        batch=batch,
        first_seed=first_seed,
        device=cluster.device,
        precision=cluster.precision,
        results=str(found.folder.absolute()),
        data=str(data_root().absolute()),
        seconds=60.0 * cluster.minutes - cluster.notice,
    )
    executor = Slurm(cluster, found, order, str(workspace().absolute()))
    with Stop(limit) as stop:
        print(f"{plural(len(runs), 'run')} to send, {cluster.array} at once at most.", flush=True)
        return compute_with(lambda: executor, runs, found, Display(runs, doing="awaited"), stop)


def _whole(name: str) -> str:
    """A file by its whole path, a name as it is."""
    return str(Path(name).absolute()) if name.endswith((".yaml", ".yml")) else name


def status_command(
    protocol: ProtocolOption = "quick",
    results: ResultsOption = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look on, until nothing has run for a minute.")
    ] = False,
) -> None:
    """Say which runs are running, queued, stopped, lost, failed or done, from any shell."""
    from cardinality.execution.state import STATES, states
    from cardinality.experiment.places import PROTOCOLS, find
    from cardinality.results.folder import Results

    name = find(protocol, PROTOCOLS).stem
    root = results_root(results)
    found = Results(root / name)
    quiet = 0
    while True:
        every = states(found)
        counts = Counter(one.state for one in every)
        if watch and os.isatty(1):
            print("\x1b[2J\x1b[H", end="")
        for one in every:
            if one.state != "done":
                epochs = "" if one.epochs is None else f"epoch {one.epochs}"
                print(
                    f"{one.state:8}  {terminal(one.name)}  {epochs}  {terminal(one.note)}".rstrip()
                )
        told = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
        nothing = f"nothing yet{'' if root.is_dir() else f' (no such folder: {line(str(root))})'}"
        print(f"{terminal(name)}: {told or nothing}", flush=True)
        quiet = 0 if counts["running"] + counts["queued"] else quiet + 1
        if not watch or quiet == QUIET:
            return
        time.sleep(AGAIN)
