"""The cardinality ablations of ResNeXt (CVPR 2017), rebuilt at every scale.

What stands in `__all__` is for everybody; docs/api.md shows each in three lines. All else is
private to the suite and may change. Names come when they are asked for, so that importing this
takes no time: only `build` imports torch, and only `load_results` pandas.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cardinality.architecture.complexity import complexity, solve
    from cardinality.architecture.settings import Architecture, Setting
    from cardinality.common.errors import UserError
    from cardinality.nets.network import build
    from cardinality.report.frames import load_results

    __version__: str

__all__ = [
    "Architecture",
    "Setting",
    "UserError",
    "__version__",
    "build",
    "complexity",
    "load_results",
    "solve",
]

_HOMES = {
    "Architecture": "architecture.settings",
    "Setting": "architecture.settings",
    "UserError": "common.errors",
    "build": "nets.network",
    "complexity": "architecture.complexity",
    "load_results": "report.frames",
    "solve": "architecture.complexity",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562), and keep it."""
    if name == "__version__":
        value: Any = import_module("importlib.metadata").version(__name__)
    elif name in _HOMES:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
