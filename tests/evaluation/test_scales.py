"""Whole images at several sizes, and classes by name."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.nn.functional import conv2d
from torchvision.transforms import v2

from cardinality.common.errors import UserError
from cardinality.data.augmentation import IMAGENET_STATISTICS
from cardinality.data.decoding import decode
from cardinality.data.listing import scan
from cardinality.data.names import read_names
from cardinality.evaluation.among import chosen, labelled_by_name
from cardinality.evaluation.counting import count_errors
from cardinality.evaluation.scales import PAPER, Scales, parse
from cardinality.evaluation.views import stream
from cardinality.experiment.run import Numerics
from cardinality.nets.network import build
from tests.comparison import randomise
from tests.made_images import DATA, needs, noise, write_split

PLAIN = Numerics("cpu", "float32", 1)


def test_the_sides_are_the_papers() -> None:
    assert parse("paper") == PAPER == (224, 256, 384, 480, 640)
    assert parse("64,96") == (64, 96)
    for wrong in ("", "64,", "a", "16", "64,9999", "6_4"):
        with pytest.raises(UserError, match="allowed"):
            parse(wrong)


@needs("imagenette128")
def test_photographs_at_several_sizes_are_scored_as_by_a_score_map() -> None:
    """The second way: PIL's resizing, and the last layer as a 1x1 convolution over the map."""
    sides = (64, 96, 128)
    net = build("1x64d", 50, classes=10, base=16)
    randomise(net)
    net.eval()
    samples = scan(Path(DATA, "imagenette128", "val")).samples()[::1000]
    assert len(samples) >= 3
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in IMAGENET_STATISTICS)
    scores = []
    for name, _ in samples:
        whole = Image.fromarray(decode(Path(name))).crop((0, 0, 128, 100))
        maps = []
        for side in sides:
            size = (side, int(side * whole.width / whole.height))
            pixels = v2.functional.pil_to_tensor(
                whole.resize(size[::-1], Image.Resampling.BILINEAR)
            )
            x = ((pixels - mean) / deviation)[None]
            with torch.no_grad():
                x = net.maxpool(net.bn1(net.conv1(x)).relu())
                x = net.layer4(net.layer3(net.layer2(net.layer1(x))))
                scored = conv2d(x, net.fc.weight[:, :, None, None], net.fc.bias)
            maps.append(scored.mean((2, 3)))
        scores.append(torch.stack(maps).mean(0)[0])
    looks = Scales(sides, "bilinear")
    for (name, _), expected in zip(samples, scores, strict=True):
        whole = Image.fromarray(decode(Path(name))).crop((0, 0, 128, 100))
        views = tuple(view[None] for view in looks.look(whole))
        assert {view.shape[2] for view in views} == set(sides)
        order = expected.argsort(descending=True)
        for rank in (0, 1, 5):
            wrong = count_errors(net, [(views, order[rank : rank + 1])], PLAIN, IMAGENET_STATISTICS)
            assert wrong == (rank > 0, rank > 4)


def test_one_image_at_a_time_goes_through_at_every_size(tmp_path: Path) -> None:
    write_split(tmp_path, noise(4, 40), 2)
    samples = scan(tmp_path).samples()
    found = list(stream(samples, Scales((32, 48), "bilinear"), 1, 0))
    assert [int(label) for _, label in found] == [label for _, label in samples]
    assert [tuple(view.shape) for view in found[0][0]] == [(1, 3, 32, 32), (1, 3, 48, 48)]


def test_classes_are_found_by_name_wherever_they_stand(tmp_path: Path) -> None:
    """A net of five classes, images of two of them: all compete, or some alone."""
    write_split(tmp_path / "val", noise(4, 16), 2)
    here = sorted(scan(tmp_path / "val").classes)
    names = ("zebra", here[1], "ant", here[0], "bee")
    net = build("2x40d", 11, "cifar", 5, base=16).eval()
    torch.nn.init.zeros_(net.fc.weight)  # so that the logits are the biases
    net.fc.bias.data = torch.tensor([5.0, 1.0, 4.0, 2.0, 3.0])
    samples = labelled_by_name(tmp_path / "val", names)
    assert {(Path(name).parent.name, label) for name, label in samples} == {
        (here[0], 3),
        (here[1], 1),
    }
    views = torch.zeros(len(samples), 1, 3, 8, 8, dtype=torch.uint8)
    nothing = ((0.0,) * 3, (255.0,) * 3)
    labels = torch.tensor([label for _, label in samples])
    assert count_errors(net, [(views, labels)], PLAIN, nothing)[0] == len(samples)
    few = (here[1], here[0])
    places = chosen(names, few, tmp_path)
    assert places == (1, 3)
    among = torch.tensor([label for _, label in labelled_by_name(tmp_path / "val", few)])
    wrong, _ = count_errors(net, [(views, among)], PLAIN, nothing, places)
    assert wrong == sum(Path(name).parent.name == here[1] for name, _ in samples)


def test_lists_of_names_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("a\n\nb\na\n")
    with pytest.raises(UserError, match="a stands twice"):
        read_names(path)
    path.write_text("a\n")
    with pytest.raises(UserError, match="two or more"):
        read_names(path)
    path.write_text("a\n b \n")
    assert read_names(path) == ("a", "b")
    with pytest.raises(UserError, match="no such class"):
        chosen(("a", "b"), ("c",), path)
    write_split(tmp_path / "val", noise(2, 16), 2)
    with pytest.raises(UserError, match="none of the 2 classes"):
        labelled_by_name(tmp_path / "val", ("a", "b"))
