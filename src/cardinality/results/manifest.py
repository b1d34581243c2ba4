"""Which results the repository brings: a list of files with checksums, as sha256sum writes it.

It lies beside them, so that `sha256sum --check manifest.sha256` there checks every file.
"""

import hashlib
import re
import sys
from pathlib import Path

from cardinality.common.errors import UserError
from cardinality.common.files import read_text, written_aside

NAME = "manifest.sha256"
# What of a protocol's results is measured; the rest is rendered from it.
MEASURED = ("runs/*/*", "failed/*/*", "images/*")
LARGEST = 50_000_000  # bytes


def read(folder: Path) -> dict[str, str]:
    """The files that the repository brings, by their path below the folder, and their SHA-256.

    Raises:
        UserError: there is a list and it cannot be read.
    """
    path = folder / NAME
    if not path.exists():
        return {}
    listed = {}
    for number, line in enumerate(read_text(path, LARGEST).splitlines(), 1):
        match = re.fullmatch(r"([0-9a-f]{64})  (\S.{0,250})", line)
        if match is None:
            raise UserError(
                f"{path}: line {number}: no checksum and file, as sha256sum writes them; allowed:"
                " as the repository brings it, or no such file"
            )
        listed[match[2]] = match[1]
    return listed


def brought(folder: Path) -> set[str]:
    """The names of the finished runs that are as the repository brings them."""
    names = set()
    for name, expected in read(folder).items():
        parts = Path(name).parts
        if len(parts) == 3 and (parts[0], parts[2]) == ("runs", "run.json"):
            path = folder.joinpath(*parts)
            if ".." not in parts and path.is_file() and digest(path) == expected:
                names.add(parts[1])
    return names


def write(folder: Path) -> Path:
    """List everything measured that lies in a folder, by name."""
    files = sorted(path for pattern in MEASURED for path in folder.glob(pattern) if path.is_file())
    lines = [f"{digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    with written_aside(folder / NAME) as aside:
        aside.write_text("".join(lines), encoding="utf-8")
    return folder / NAME


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    for place in sys.argv[1:]:
        print(f"wrote {write(Path(place))}")
