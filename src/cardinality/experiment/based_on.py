"""``based_on: NAME``: a protocol, or a file of claims, that says what differs from another."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cardinality.common import workspace
from cardinality.common.errors import UserError

KEY = "based_on"
# What makes another scale of a protocol: its data and its nets.
SCALE = {"data", "stem", "base", "depths", "deeper_block"}
# Of which a training has exactly one.
DURATIONS = {"epochs", "steps"}
Content = dict[str, Any]
# A file and what stands in it, without ``based_on``.
Link = tuple[Path, Content]


def chain(path: Path, kind: str, read: Callable[[Path], Content]) -> list[Link]:
    """A file, the one that it is based on, and so on to the one that is based on none.

    Args:
        path: the file.
        kind: of file, where a name is looked for that is not beside the file which has it.
        read: reads one file.

    Raises:
        UserError: a name that no file has, or a circle of files.
    """
    links: list[Link] = []
    while True:
        content = read(path)
        name = content.pop(KEY, None)
        links.append((path, content))
        if name is None:
            return links
        base = _find(path, name, kind)
        if base.resolve() in {link.resolve() for link, _ in links}:
            raise UserError(f"{path}: {KEY}: {name!r} leads back to itself; allowed: no circle")
        workspace.tell_if_replacing(base, kind)
        path = base


def _find(path: Path, name: object, kind: str) -> Path:
    folders = workspace.folders(kind)
    places = list({place.resolve(): place for place in (path.parent, *folders)}.values())
    for number, place in enumerate(places):
        # A name, not a path: it is one of the names of files that are there.
        known = {file.stem: file for file in sorted(place.glob("*.yaml"))}
        later = any((other / path.name).is_file() for other in places[number + 1 :])
        if name == path.stem and place.resolve() == path.parent.resolve() and later:
            continue  # a user's own quick.yaml may be based on the suite's
        if isinstance(name, str) and name in known:
            return known[name]
    names = sorted({file.stem for place in places for file in place.glob("*.yaml")} - {path.stem})
    what = Path(kind).name.removesuffix("s")
    raise UserError(f"{path}: {KEY}: {name!r} is no {what}; allowed: {', '.join(names)}")


def merge(links: Sequence[Link]) -> Content:
    """The content of a whole chain, each file over the one that it is based on.

    Raises:
        UserError: a file changes the batch and keeps the rate that was stated for another.
    """
    merged: Content = {}
    for path, content in reversed(links):
        _check_rate(path, merged, content)
        merged = {key: value for key, value in merged.items() if key not in _dropped(content)}
        merged = _over(merged, content)
    return merged


def _dropped(changes: Content) -> set[str]:
    """What was said of another scale and is not inherited: it would be said of this one falsely."""
    if SCALE & changes.keys():
        return {"evidence", "speed", "claims", "margin", "next"}
    return {"speed"} if "numerics" in changes else set()


def _over(base: Content, changes: Content) -> Content:
    """Mappings are merged key by key; all else, lists too, is replaced."""
    merged = dict(base)
    if DURATIONS & changes.keys():  # a duration in another unit takes the place of the old one
        merged = {key: value for key, value in base.items() if key not in DURATIONS}
    for key, value in changes.items():
        old: Any = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = _over(old, value) if both and _same_kind(old, value) else value
    return merged


def _same_kind(old: Content, new: Content) -> bool:
    """``name`` says of which kind a mapping is, and another kind has other keys."""
    return "name" not in new or new["name"] == old.get("name")


def _check_rate(path: Path, base: Content, changes: Content) -> None:
    old, new = base.get("training"), changes.get("training")
    if not isinstance(old, dict) or not isinstance(new, dict):
        return
    if new.get("batch", old.get("batch")) != old.get("batch") and "rate" not in new:
        raise UserError(
            f"{path}: training.batch: another batch than the protocol's that it is based on;"
            " allowed: together with training.rate, stated for this batch"
        )


def origin(links: Sequence[Link], keys: Sequence[str]) -> Path:
    """The file of a chain that has a key, the nearest one; the first where none has it."""
    for path, content in links:
        value: object = content
        for key in keys:
            if isinstance(value, list) and key.isdigit() and int(key) < len(value):
                value = value[int(key)]
            elif isinstance(value, dict) and key in value:
                value = value[key]
            else:
                break
        else:
            return path
    return links[0][0]
