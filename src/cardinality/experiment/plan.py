"""Every run that one table needs at one scale, line by line, and what it is compared with."""

import shlex
from dataclasses import dataclass, replace

from cardinality.architecture.complexity import Complexity
from cardinality.architecture.settings import Architecture, Setting
from cardinality.common.errors import UserError
from cardinality.experiment.configuration import Ablation, Protocol, Row
from cardinality.experiment.run import Numerics, Run, net_name


@dataclass(frozen=True)
class Entry:
    """One line of a table: a row of the ablation at one depth.

    Attributes:
        row: what the ablation says of it.
        role: the role of its depth; of a row that states its layers, those.
        architecture, complexity: the net, and its counts at the size of the data set's images.
        runs: one a seed; none where the ablation, or the scale, only counts it.
    """

    row: Row
    role: str
    architecture: Architecture
    complexity: Complexity
    runs: tuple[Run, ...]

    @property
    def key(self) -> tuple[str, str, bool, str]:
        """What finds the same line in the paper's table."""
        net = self.architecture
        return str(net.setting), self.role, net.residual, net.variant


@dataclass(frozen=True)
class Plan:
    """Every run that one table needs at one scale.

    Attributes:
        ablation_name, protocol_name: names of the two files, without their endings.
        typed: the two as a command takes them: by name, or the path of a file that has none.
        entries: the table's lines, depth by depth, in the ablation's order.
        remark: in what the runs depart from the protocol, if in anything.
    """

    ablation_name: str
    ablation: Ablation
    protocol_name: str
    protocol: Protocol
    typed: tuple[str, str]
    entries: tuple[Entry, ...]
    remark: str | None = None

    def runs(self) -> list[Run]:
        """Every run once, in the order in which they are to be computed.

        Seed by seed, so that a table of half the runs compares like with like; in a seed the
        costly ones first, so that no worker is left alone with a long one at the end.
        """
        unique = {run.name: run for entry in self.entries for run in entry.runs}
        return sorted(unique.values(), key=lambda run: (run.seed, -run.cost))

    def select(
        self, only: str | None = None, role: str | None = None, seed: int | None = None
    ) -> list[Run]:
        """The runs of one setting, label or net, one depth or one seed, in the same order.

        Raises:
            UserError: there are none, with what there is.
        """
        asked = (only, role, seed)
        if asked != (None, None, None) and not self._has(*asked):
            raise UserError(self._none_such(*asked))
        chosen = self.chosen(*asked)
        return [run for run in self.runs() if run.name in chosen]

    def chosen(
        self, only: str | None = None, role: str | None = None, seed: int | None = None
    ) -> set[str]:
        """The names of the runs that `select` finds; there may be none."""
        lines = self.lines(only, role)
        return {run.name for line in lines for run in line.runs if seed in (None, run.seed)}

    def lines(self, only: str | None = None, role: str | None = None) -> list[Entry]:
        """The lines of one setting, label or net, or of one depth, also those without runs."""
        wanted = self._wanted(only)
        return [
            entry
            for entry in self.entries
            if wanted in (None, entry.row.setting, entry.row.label, net_name(entry.architecture))
            and role in (None, entry.role, entry.role.partition(" ")[0])
        ]

    def _has(
        self, only: str | None = None, role: str | None = None, seed: int | None = None
    ) -> bool:
        """Whether there is such a run; or in a table that trains none, such a line."""
        if self.ablation.trains:
            return bool(self.chosen(only, role, seed))
        return bool(self.lines(only, role)) and seed is None

    def _none_such(self, only: str | None, role: str | None, seed: int | None) -> str:
        """Which of these stands for no run, and what does."""
        if seed is not None and not self.ablation.trains:
            return (
                f"--seed {seed}: {self.ablation_name} is arithmetic, without runs; allowed: without"
            )
        # Lines that are only counted are no answer, but where there is no other.
        lines = [entry for entry in self.entries if entry.runs] or self.entries
        words = [str(entry.row.setting) for entry in lines]
        words += [shlex.quote(entry.row.label) for entry in lines if entry.row.label]
        rows, roles = dict.fromkeys(words), dict.fromkeys(entry.role for entry in lines)
        asked = (
            ("--only", only, self._has(only)),
            ("--depth", role, self._has(role=role)),
            ("--seed", seed, self._has(seed=seed)),
        )
        told = {f"{option} {value}": there for option, value, there in asked if value is not None}
        wrong = [option for option, there in told.items() if not there]
        return (
            f"{' '.join(wrong or told)}: {self.ablation_name} has no such run; allowed:"
            f" --only {', '.join(rows)}, or a net as runs are named by it; --depth"
            f" {', '.join(roles)}; --seed {self._seeds_in_words()}"
        )

    def _wanted(self, only: str | None) -> str | Setting | None:
        """The label, the setting or the net that a word stands for."""
        if only is None or only in {entry.row.label for entry in self.entries}:
            return only
        try:
            return Setting.parse(only)
        except UserError:
            return only

    def _seeds_in_words(self) -> str:
        seeds = {run.seed for entry in self.entries for run in entry.runs}
        if not seeds:
            return "none, since the scale states none"
        return f"{min(seeds)} to {max(seeds)}" if len(seeds) > 1 else str(min(seeds))

    def parts(self) -> "tuple[Plan, ...]":
        """The table depth by depth, where every row stands at several; else as a whole."""
        roles = self.ablation.depths or ()
        if len(roles) < 2:
            return (self,)
        return tuple(self.at(role) for role in roles)

    def at(self, role: str) -> "Plan":
        """The lines of one depth alone."""
        return replace(self, entries=tuple(e for e in self.entries if e.role == role))

    def with_numerics(self, numerics: Numerics) -> "Plan":
        """The same runs with other numerics, as another machine would have resolved them."""
        entries = (
            replace(entry, runs=tuple(replace(run, numerics=numerics) for run in entry.runs))
            for entry in self.entries
        )
        return replace(self, entries=tuple(entries))

    @property
    def seeds(self) -> int:
        """How many seeds its rows have, at most."""
        return max((len(entry.runs) for entry in self.entries), default=0)

    @property
    def files(self) -> str:
        """What its files are called: as the ablation, and by what was asked for otherwise.

        So a sample of other seeds, or with another batch, does not take the place of the table
        that is stated.
        """
        trained = [entry for entry in self.entries if entry.runs]
        seeds = {run.seed for entry in trained for run in entry.runs}
        batches = {run.training.batch for entry in trained for run in entry.runs}
        name = self.ablation_name
        if seeds and min(seeds) > 0:
            name += f"-seeds{min(seeds)}to{max(seeds)}"
        elif any(len(entry.runs) != self.protocol.count(entry.role) for entry in trained):
            name += f"-{self.seeds}seed{'' if self.seeds == 1 else 's'}"
        for batch in batches - {self.protocol.training.batch}:
            name += f"-batch{batch}"
        return name

    @property
    def names_references(self) -> bool:
        """Whether rows say each for itself what they are compared with."""
        return any(entry.row.against is not None for entry in self.entries)

    def reference(self, entry: Entry) -> Entry | None:
        """The line that a line is compared with, if the table has it.

        It is the one that the row names, at the line's depth if it stands there. Else it has the
        reference setting, once the complexity, and shortcuts if the line has them; at the line's
        depth, or for a line that goes deeper at the depth that it goes deeper than.
        """
        if entry.row.against is not None:
            named = [each for each in self.entries if each.row.label == entry.row.against]
            beside = [each for each in named if each.role == entry.role]
            return next(iter(beside or named), None)
        for candidate in self.entries:
            row = candidate.row
            if (
                row.setting == self.ablation.reference
                and row.budget == 1
                and not row.deeper
                and row.residual == entry.row.residual
                and (candidate.role == entry.role or entry.row.deeper)
            ):
                return candidate
        return None

    def with_shortcuts(self, entry: Entry) -> Entry | None:
        """For a line without shortcuts, the same net with them, if the table has it.

        Where it has it with shortcuts of several types, the first.
        """
        if entry.row.residual:
            return None
        net = entry.architecture

        def alike(other: Architecture) -> bool:
            return replace(net, residual=True, shortcut=other.shortcut) == other

        matches = (
            other
            for other in self.entries
            if other.role == entry.role and alike(other.architecture)
        )
        return next(matches, None)
