"""What a user should know and need not mend: one line on standard error, once."""

import sys
from functools import lru_cache

from cardinality.common.text import terminal


@lru_cache(maxsize=256)
def note(text: str) -> None:
    """Say something once in the life of a process."""
    print(f"note: {terminal(text)}", file=sys.stderr, flush=True)
