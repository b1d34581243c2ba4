"""The suite's own kernel (batch_norm.cpp), if it was built and can be loaded; without torch."""

import ctypes
from functools import lru_cache
from importlib.util import find_spec

# What `kernel_version` in batch_norm.cpp answers. A library of another version is not used.
VERSION = 3


@lru_cache(maxsize=1)
def load() -> ctypes.CDLL | None:
    """The library, or nothing where there was no compiler or it is another version's."""
    spec = find_spec("cardinality.host.batch_norm")
    if spec is None or spec.origin is None:
        return None
    try:
        library = ctypes.CDLL(spec.origin)
    except OSError:  # built for another system
        return None
    version = getattr(library, "kernel_version", None)
    return library if version is not None and version() == VERSION else None
