"""The images that an error was measured on, and which of them a net got right.

Both are committed with the records, so that whoever compares runs image by image needs no data.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError, model_validator

from cardinality.common.errors import UserError
from cardinality.common.files import read_text, written_aside
from cardinality.common.strict import Strict, first_problem
from cardinality.common.text import line

LARGEST = 100_000_000  # bytes; ImageNet's is some 250,000


class TestImages(Strict):
    """Evaluated images in the order in which they are evaluated.

    Attributes:
        classes: their names, in the order of the labels.
        labels: of the N images.
        sources: of each image the number of what it was made of, where several were made of one
            thing (a written digit, a block of a photograph) and so are not independent.
    """

    __test__ = False  # to pytest its name looks like a test's

    classes: tuple[str, ...]
    labels: tuple[int, ...]
    sources: tuple[int, ...] | None = None

    @model_validator(mode="after")
    def _check(self) -> "TestImages":
        if not all(0 <= label < len(self.classes) for label in self.labels):
            raise ValueError("labels: one is no class's number")
        if not all(name.isprintable() for name in self.classes):
            raise ValueError("classes: one is no printable name")
        if self.sources is not None and len(self.sources) != len(self.labels):
            raise ValueError("sources: must be as many as labels")
        return self

    def write(self, path: Path) -> None:
        """Write them as JSON, unless they are there."""
        if not path.exists():
            with written_aside(path) as aside:
                text = json.dumps(self.model_dump(), separators=(",", ":"), ensure_ascii=False)
                aside.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "TestImages":
        """Read them.

        Raises:
            UserError: the file is not there or holds something else.
        """
        try:
            return cls.model_validate_json(read_text(path, LARGEST))
        except ValidationError as error:
            reason = line(first_problem(error), 200)
            raise UserError(f"{path}: no list of evaluated images: {reason}") from None


@dataclass(frozen=True)
class Correct:
    """Which of N images a net got right by top-1, ``right`` (N,) of bool."""

    right: NDArray[np.bool_]

    def pack(self) -> bytes:
        """A bit an image, the first image in the highest bit; the last byte is filled with 0."""
        return np.packbits(self.right).tobytes()

    @classmethod
    def unpack(cls, packed: bytes, images: int) -> "Correct":
        """Undo `pack`.

        Raises:
            ValueError: these bytes are not those of so many images.
        """
        bits = np.unpackbits(np.frombuffer(packed, np.uint8))
        if len(packed) != -(-images // 8) or bits[images:].any():
            raise ValueError(f"{len(packed):,} bytes are not the bits of {images:,} images")
        return cls(bits[:images].astype(bool))

    @property
    def error(self) -> float:
        """Top-1 error in percent."""
        return 100 * int((~self.right).sum()) / len(self.right)


def checksum(content: bytes) -> str:
    """SHA-256 of some bytes; 16 hexadecimal digits of it."""
    return hashlib.sha256(content).hexdigest()[:16]
