"""Lists of class names: which classes there are, or compete, and in which order."""

import unicodedata
from pathlib import Path

from cardinality.common.errors import UserError
from cardinality.common.files import read_text
from cardinality.common.text import line

LARGEST = 10_000_000  # bytes


def read_names(path: Path) -> tuple[str, ...]:
    """The names in a file, one a line; empty lines are passed over.

    Names are composed, as those of folders are (`cardinality.data.listing.scan`).

    Raises:
        UserError: there is no such file, or a name stands twice, or fewer than two are there.
    """
    found = [text.strip() for text in read_text(path, LARGEST).splitlines()]
    names = tuple(unicodedata.normalize("NFC", name) for name in found if name)
    known: set[str] = set()
    for name in names:
        if name in known:
            raise UserError(f"{path}: {line(name, 60)} stands twice; allowed: each class once")
        known.add(name)
    if len(names) < 2:
        raise UserError(f"{path}: {len(names)} classes; allowed: two or more, a name a line")
    return names
