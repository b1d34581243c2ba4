"""The one place where what an input or a machine has caused becomes a line that a user can read.

Errors of this suite's own (a KeyError, an assertion) are no user's business to mend: those keep
their traceback.
"""

import sys

from cardinality.common.errors import of_system
from cardinality.common.text import line

# What libraries raise for files that are damaged, cut or of another kind. Their own errors are
# told by where they are defined, since some are ValueErrors, which ours may be, too.
LIBRARIES = {
    "PIL",
    "_csv",
    "_pickle",
    "binascii",
    "filelock",
    "json",
    "pandas",
    "pickle",
    "pydantic_core",
    "safetensors",
    "safetensors_rust",
    "struct",
    "yaml",
    "zipfile",
    "zlib",
}


def told(error: Exception) -> str | None:
    """The line for an exception that an input or the machine can cause; None for one of ours."""
    spoken = getattr(error, "format_message", None)
    if spoken is not None:  # the command line's own parser
        return str(spoken())
    if isinstance(error, OSError):
        return of_system(error)
    if isinstance(error, MemoryError) or _is_out_of_memory(error):
        return f"more memory was needed than there is ({_named(error)}); allowed: smaller sizes"
    if isinstance(error, RecursionError):
        return "an input is nested too deeply; allowed: a flatter one"
    if isinstance(error, UnicodeError):
        return f"a text is no UTF-8 and cannot be read or written: {_named(error)}"
    if type(error).__module__.partition(".")[0] in LIBRARIES:
        return f"an input cannot be read: {_named(error)}"
    return None


def _is_out_of_memory(error: Exception) -> bool:
    """Torch raises a RuntimeError on a CPU, and a kind of it on a GPU."""
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in text
        or "out of memory" in text
        or "Storage size calculation overflowed" in text
    )


def _named(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    return line(f"{type(error).__name__}: {first}".rstrip(": "), 250)


def let_everything_be_printed() -> None:
    """What a terminal's encoding has no letter for is spelt, and does not end the work."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
