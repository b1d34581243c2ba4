"""What stands beside an unfinished run, to be read without torch: its checkpoint's header.

A checkpoint is one file: a line of JSON, then what torch has saved. The line says which run and
which images it belongs to, and holds the rest to its checksum.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from cardinality.common.errors import UserError
from cardinality.common.files import look, written_aside
from cardinality.common.strict import Strict
from cardinality.data.images import Identity, Kind
from cardinality.results.records import Checksum, Sitting, check_order

LARGEST_HEADER = 1_000_000  # bytes
LARGEST = 2**35  # of the whole; ten times those of the largest nets of the paper


class Unsound(Exception):
    """A checkpoint does not hold together; the message says in what."""


class Header(Strict):
    """The first line of a checkpoint.

    Attributes:
        format: of the file; up to 1 it was taken at an epoch's end alone.
        run: name of the run.
        data_checksum, data_kind: of the images that it was trained on so far.
        epochs: how many are done.
        part: of the next one that is done.
        sittings: in which they were computed.
        sha256: of all that follows the line.
    """

    format: Literal[1, 2]
    run: str
    data_checksum: Checksum
    data_kind: Kind
    epochs: int = Field(ge=0)
    part: float = Field(default=0.0, ge=0, le=1)
    sittings: tuple[Sitting, ...]
    sha256: str

    @model_validator(mode="after")
    def _check(self) -> "Header":
        check_order(self.sittings)
        return self

    @property
    def identity(self) -> Identity:
        """Which images it was trained on so far."""
        return Identity(self.data_checksum, self.data_kind)


def read_header(path: Path) -> Header:
    """Read the header of a checkpoint.

    Raises:
        Unsound: there is none.
        OSError: the file cannot be read.
    """
    _look(path)
    with path.open("rb") as file:
        return _header(file.readline(LARGEST_HEADER))


def read_checkpoint(path: Path) -> tuple[Header, bytes]:
    """Read a checkpoint's header and the rest, held to its checksum.

    Raises:
        Unsound: the bytes are not those that were written.
        OSError: the file cannot be read.
    """
    _look(path)
    with path.open("rb") as file:
        header, begin = _header(file.readline(LARGEST_HEADER)), file.tell()
        # Before it is in memory: a file may claim to be of any size.
        if hashlib.file_digest(file, "sha256").hexdigest() != header.sha256:
            raise Unsound("its bytes are not those that were written")
        file.seek(begin)
        return header, file.read()


def _look(path: Path) -> None:
    """See that it is a plain file, and no enormous one: a pipe would be waited for."""
    try:
        look(path, LARGEST)
    except UserError as error:
        raise Unsound(str(error)) from None


def write_checkpoint(path: Path, header: Header, content: bytes) -> None:
    """Write a checkpoint, whole or not at all."""
    with written_aside(path) as aside, aside.open("wb") as file:
        file.write(header.model_dump_json().encode() + b"\n")
        file.write(content)


def _header(line: bytes) -> Header:
    try:
        return Header.model_validate_json(line)
    except (ValidationError, RecursionError):
        raise Unsound("it does not begin as a checkpoint of this revision does") from None


def set_aside(path: Path) -> Path:
    """Move what does not hold together to a name that says so, beside where it was."""
    target = next(name for name in _names(path) if not name.exists())
    path.replace(target)
    return target


def _names(path: Path) -> Iterator[Path]:
    number = 1
    while True:
        yield path.with_name(f"{path.name}.unsound-{number}")
        number += 1
