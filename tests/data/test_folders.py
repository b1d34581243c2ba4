"""Class folders on their way to the device."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from cardinality.architecture.settings import Architecture, Setting
from cardinality.data import resident
from cardinality.data.decoding import UnreadableImage, decode
from cardinality.data.device import Waited
from cardinality.data.folders import ClassFolders, find_folders
from cardinality.data.images import ImageSet
from cardinality.data.resident import ResidentImages
from cardinality.data.streamed import Choices, Decoder, StreamedImages
from cardinality.experiment.configuration import Training
from cardinality.experiment.datasets import Folders
from cardinality.experiment.run import Numerics, Run
from cardinality.training.checkpoint import restore, train
from cardinality.training.ends import Stopped
from cardinality.training.sittings import Watch
from cardinality.training.trainer import Trainer
from cardinality.training.weights import weights_checksum
from tests.made_images import DATA, made_folders, needs, noise, write_set
from tests.tiny import PLACE

CPU = torch.device("cpu")
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
# Everything that augmentation can do.
AUGMENTED = made_folders(area=0.2, jitter=0.4, lighting=0.1, resize=18)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with the made set."""
    write_set(tmp_path)
    return tmp_path


def find(root: Path, data: Folders | None = None) -> ClassFolders:
    return find_folders(data or made_folders(), root, root / "cache")


def epochs(images: StreamedImages, generator: torch.Generator, n: int = 1) -> list[Tensor]:
    """The images and labels of some epochs, batch by batch."""
    return [part for _ in range(n) for batch in images.epoch(generator, 8) for part in batch]


def same(some: list[Tensor], others: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(some, others, strict=True))


def test_listing_is_torchvisions(root: Path) -> None:
    for number, file in enumerate((root / "made/train/class2").glob("*.png")):
        for part in (f"part{7 * number % 4}", f"part{7 * number % 4}/deeper"):
            (root / "made/train/class2" / part).mkdir()
            (root / "made/train/class2" / part / file.name).write_bytes(file.read_bytes())
    found = find(root, made_folders(train=28))
    for samples, split in ((found.train, "train"), (found.test, "val")):
        theirs = ImageFolder(str(root / "made" / split))
        assert list(samples) == theirs.samples
        assert list(found.classes) == theirs.classes


def test_test_folder_serves_where_there_is_no_val(root: Path) -> None:
    (root / "made/val").rename(root / "made/test")
    assert len(find(root).test) == 10


def test_held_out_images_leave_training(root: Path) -> None:
    data = made_folders(evaluate_on="held-out")
    whole, found = find(root), find(root, data)
    assert len(found.train) == data.training_images == 18
    assert len(found.test) == data.evaluated_images == 2
    assert sorted(found.train + found.test) == sorted(whole.train)


def test_streamed_and_resident_batches_are_the_same(root: Path) -> None:
    found = find(root)
    pixels = np.stack([decode(Path(name)) for name, _ in found.train])
    labels = np.array([label for _, label in found.train])
    small = ResidentImages(ImageSet(pixels, labels), IMAGENET, CPU)
    streamed = StreamedImages(found.train, found.data, CPU)
    for ours, theirs in zip(streamed.plain(8), small.plain(8), strict=True):
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])
    # Where both are defined: the crop is the whole image, and only flips are left to choose.
    generator = torch.Generator().manual_seed(3)
    order = torch.randperm(20, generator=generator)
    choices = Choices.draw(20, found.data, True, generator)
    still = torch.zeros(20, dtype=torch.int64)
    assert 0 < choices.flip.sum() < 20
    ours_all = streamed.batches(order, choices, 8)
    theirs_all = small.batches(order, resident.Choices(still, still, choices.flip), 8)
    for ours, theirs in zip(ours_all, theirs_all, strict=True):
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])
        assert ours[0].is_contiguous(memory_format=torch.channels_last)


# torch says so where there is one core.
@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")
def test_batches_do_not_depend_on_the_number_of_workers(root: Path) -> None:
    found = find(root, AUGMENTED)
    one, two = (
        epochs(
            StreamedImages(found.train, found.data, CPU, flip=True, workers=workers),
            torch.Generator().manual_seed(0),
            2,
        )
        for workers in (1, 2)
    )
    assert same(one, two)
    assert not same(one[:6], one[6:])


def test_epochs_go_on_from_a_generators_state(root: Path) -> None:
    found = find(root, AUGMENTED)
    images = StreamedImages(found.train, found.data, CPU, flip=True)
    generator, torch_state = torch.Generator().manual_seed(0), torch.get_rng_state()
    epochs(images, generator)
    state = generator.get_state()
    second = epochs(images, generator)
    assert torch.equal(torch.get_rng_state(), torch_state)
    other = torch.Generator()
    other.set_state(state)
    assert same(epochs(StreamedImages(found.train, found.data, CPU, flip=True), other), second)


def test_every_image_is_seen_once_an_epoch(root: Path) -> None:
    found = find(root)
    images = StreamedImages(found.train, found.data, CPU)
    seen = torch.cat([x for x, _ in images.epoch(torch.Generator().manual_seed(0), 8)])
    plain = torch.cat([x for x, _ in images.plain(8)])
    assert len(seen.flatten(1).unique(dim=0)) == 20
    assert torch.equal(seen.flatten(1).unique(dim=0), plain.flatten(1).unique(dim=0))


def test_crops_are_torchvisions(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(noise(1, 40)[0, :30]).save(path)
    data = made_folders(side=16, resize=20, area=0.08)
    decoder = Decoder(data)

    def pixels(seed: int | None) -> torch.Tensor:
        answer = decoder[(str(path), 3, seed)]
        assert not isinstance(answer, str), answer
        return answer[0]

    with Image.open(path) as image:
        evaluation = v2.Compose(
            [v2.Resize(20, v2.InterpolationMode.BICUBIC), v2.CenterCrop(16), v2.PILToTensor()]
        )
        # Pillow and torch round differently.
        assert (pixels(None).int() - evaluation(image).int()).abs().max() <= 1
        crop = v2.RandomResizedCrop(16, interpolation=v2.InterpolationMode.BICUBIC)
        before = torch.get_rng_state()
        try:
            torch.manual_seed(5)
            theirs = v2.functional.pil_to_tensor(crop(image))
            ours = pixels(5)
        finally:
            torch.set_rng_state(before)
        assert (ours.int() - theirs.int()).abs().max() <= 1


def test_undecodable_image_stops_by_its_name(root: Path) -> None:
    found = find(root)
    path = Path(found.train[7][0])
    path.write_bytes(path.read_bytes()[:-300])
    images = StreamedImages(found.train, found.data, CPU, workers=1)
    with pytest.raises(UnreadableImage, match=f"^{path}: damaged image"):
        epochs(images, torch.Generator().manual_seed(0))


def test_time_waiting_for_input_is_counted() -> None:
    batch = (torch.zeros(1), torch.zeros(1))
    waited = Waited([batch, batch])
    assert waited.seconds == 0
    assert list(waited) == [batch, batch]
    assert 0 < waited.seconds < 1


def run_on(data: Folders) -> Run:
    training = Training.model_validate(
        {
            "epochs": 2,
            "batch": 8,
            "rate": 0.01,
            "momentum": 0.9,
            "decay": 1e-4,
            "schedule": {"name": "one-cycle", "warmup": 0.5},
            "shift": 0,
            "flip": True,
        }
    )
    net = Architecture(Setting(2, 16), 11, "cifar-stride2", data.classes, 16)
    return Run(net, data, training, Numerics("cpu", "float32", 1), seed=0)


@pytest.mark.long
def test_stopped_and_resumed_run_ends_with_the_same_bits(root: Path, tmp_path: Path) -> None:
    found, run = find(root, AUGMENTED), run_on(AUGMENTED)
    whole = Trainer(run, found)
    train(whole, tmp_path / "whole.pt", lambda _: None, Watch(PLACE, whole.device))

    def stop(done: float) -> None:
        if done > 1:
            raise Stopped

    stopped = Trainer(run, found)
    with pytest.raises(Stopped):
        train(stopped, tmp_path / "parts.pt", stop, Watch(PLACE, stopped.device))
    resumed = Trainer(run, found)
    before = restore(resumed, tmp_path / "parts.pt")
    train(resumed, tmp_path / "parts.pt", lambda _: None, Watch(PLACE, resumed.device), before)
    assert weights_checksum(resumed.net) == weights_checksum(whole.net)
    assert [epoch.train_loss for epoch in resumed.epochs] == [
        epoch.train_loss for epoch in whole.epochs
    ]
    assert all(0 < epoch.input_seconds < epoch.seconds for epoch in whole.epochs)


@needs("imagenette128/train")
def test_the_real_set(tmp_path: Path) -> None:
    from cardinality.experiment.grid import make_plan
    from cardinality.host.machine import Machine

    data = make_plan("table3", "imagenette128", Machine("cpu", "x", 2, False)).protocol.data
    assert isinstance(data, Folders)
    found = find_folders(data, Path(DATA), tmp_path)
    assert (len(found.train), len(found.test)) == (9469, 3925)
    images = StreamedImages(found.test[::50], data, CPU)
    batches = list(images.plain(40))
    assert [len(labels) for _, labels in batches] == [40, 39]
    pixels = torch.cat([x for x, _ in batches])
    assert pixels.shape == (79, 3, 128, 128)
    # ImageNet's statistics make photographs about standard.
    assert pixels.mean().abs() < 0.3
    assert 0.8 < pixels.std() < 1.3
