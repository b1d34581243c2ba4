"""Classes by name: a net's outputs where its classes are more than, or others than, the images'.

ResNeXt's Section 5.2: a net trained on ImageNet-5K is evaluated on the 1K validation images 5K-way,
all its classes competing, and 1K-way, the softmax over the 1K classes alone.
"""

from collections.abc import Sequence
from pathlib import Path

from cardinality.common.errors import UserError
from cardinality.common.text import line
from cardinality.data.checks import split_of
from cardinality.data.listing import Sample


def chosen(classes: Sequence[str], among: Sequence[str], path: Path) -> tuple[int, ...]:
    """The places of some classes among a net's outputs.

    Args:
        classes: of the net, in the order of its outputs.
        among: some of them.
        path: the file that they are from.

    Raises:
        UserError: one that the net has not.
    """
    places = {name: place for place, name in enumerate(classes)}
    for name in among:
        if name not in places:
            raise UserError(
                f"{path}: {line(name, 60)}: the net has no such class; allowed: its own"
            )
    return tuple(places[name] for name in among)


def labelled_by_name(folder: Path, names: Sequence[str]) -> list[Sample]:
    """Every image below a folder of class folders, labelled by the place of its class's name.

    Args:
        folder: that has a folder for some of the classes.
        names: all classes in the order of the labels.

    Raises:
        UserError: there is no such folder, or it has a class that is not among them.
    """
    split = split_of(folder)
    places = {name: place for place, name in enumerate(names)}
    for name in split.classes:
        if name not in places:
            raise UserError(
                f"{folder}: {line(name, 60)}: is none of the {len(names):,} classes that compete;"
                " allowed: folders of these alone"
            )
    return split.samples(names)
