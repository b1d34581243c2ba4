"""Ways to train the same net on the same images: the suite's, the plain loop's and timm's.

Each is a `Step`: called, it takes the next batch and trains on it, input included.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.models.resnet import Bottleneck, downsample_conv
from timm.optim import create_optimizer_v2
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.measure import Step
from cardinality.architecture.settings import Architecture
from cardinality.data.device import batches
from cardinality.data.images import Images, ImageSet
from cardinality.experiment.run import Run
from cardinality.nets.layers import Convolution
from cardinality.nets.network import ResNeXt
from cardinality.training.numerics import exact_float32
from cardinality.training.tally import Tally
from cardinality.training.trainer import CHECKED_EVERY, Trainer

# Of made images, an epoch of them, again and again. A GPU is through them so soon that a loader's
# new beginning would count for more than with CIFAR-10's 391.
BATCHES = {"cpu": 40, "cuda": 391}
STATISTICS = ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7))  # CIFAR-10's


def made_images(run: Run, steps: int | None = None) -> Images:
    """Noise of the shape of a run's images; what they show does not change a step's time.

    Args:
        steps: of an epoch, instead of the device's.
    """
    rng, side = np.random.default_rng(0), run.data.side
    n = (steps or BATCHES[run.numerics.device]) * run.training.batch
    pixels = rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    images = ImageSet(pixels, rng.integers(0, run.data.classes, n))
    few = images.take(np.arange(run.training.batch))
    return Images(images, few, ("",) * run.data.classes, STATISTICS)


def again(epoch: Callable[[], Iterable[Any]]) -> Iterator[Any]:
    """Batches without an end."""
    while True:
        yield from epoch()


def suite(run: Run, images: Images) -> Step:
    """A step of the suite's own `Trainer`."""
    trainer = Trainer(run, images)
    batch = run.training.batch
    stream = again(lambda: trainer.train_images.epoch(trainer.generator, batch))
    tally, steps = Tally(trainer.device), 0
    trainer.net.train()

    def step() -> None:
        # The schedule has an end, the benchmark has not.
        trainer.scheduler.last_epoch = 0
        nonlocal steps
        exact_float32()  # the plain loop's turn was before
        inputs, labels = next(stream)
        trainer.step(inputs, labels, tally)
        steps += 1
        if steps % CHECKED_EVERY == 0:
            tally.check("in the benchmark")

    return step


class Pictures(Dataset[tuple[Tensor, int]]):
    """Images as torchvision's CIFAR-10 gives them: PIL images through its transforms."""

    def __init__(self, run: Run, images: ImageSet) -> None:
        self.images = images
        steps: list[Any] = [transforms.RandomCrop(run.data.side, padding=run.training.shift)]
        if run.training.flip:
            steps.append(transforms.RandomHorizontalFlip())
        mean, deviation = ([value / 255 for value in values] for values in STATISTICS)
        steps += [transforms.ToTensor(), transforms.Normalize(mean, deviation)]
        self.transform = transforms.Compose(steps)

    def __len__(self) -> int:
        return len(self.images.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self.images.pixels[index])
        return self.transform(image), int(self.images.labels[index])


def pictures(run: Run, images: Images, workers: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of a `DataLoader` with so many worker processes; none decodes in this one."""
    loader = DataLoader(
        Pictures(run, images.train),
        batch_size=run.training.batch,
        shuffle=True,
        num_workers=workers,
        pin_memory=run.numerics.device == "cuda",
        persistent_workers=workers > 0,
    )
    return again(lambda: loader)


def plain(run: Run, images: Images, workers: int) -> Step:
    """The loop that is copied from tutorials: float32, contiguous, a `DataLoader` with PIL.

    The net is the suite's without its fast paths, which has torchvision's bits.
    """
    net = ResNeXt(run.architecture).to(run.numerics.device)
    recipe = run.training
    optimizer = torch.optim.SGD(
        net.parameters(),
        lr=recipe.rate,
        momentum=recipe.momentum,
        nesterov=True,
        weight_decay=recipe.decay,
    )
    stream = pictures(run, images, workers)
    net.train()
    total, right = 0.0, 0

    def step() -> None:
        nonlocal total, right
        # Torch's default, which the suite's trainer turns off.
        torch.backends.cudnn.conv.fp32_precision = "tf32"  # type: ignore[attr-defined] # of run time
        inputs, labels = (part.to(run.numerics.device) for part in next(stream))
        optimizer.zero_grad()
        outputs = net(inputs)
        loss = cross_entropy(outputs, labels)
        loss.backward()
        optimizer.step()
        total += loss.item()
        right += int((outputs.argmax(1) == labels).sum().item())

    return step


def with_timm(run: Run, images: Images, workers: int, own_input: bool) -> Step:
    """Timm's blocks and optimizer as its ``train.py`` is run: mixed precision, channels last.

    Args:
        workers: of its loader.
        own_input: with the suite's resident images instead of a loader, which is not timm's but
            the best that one can do with its net.
    """
    device = run.numerics.device
    net = timm_net(run.architecture).to(device).to(memory_format=torch.channels_last)
    recipe = run.training
    optimizer = create_optimizer_v2(
        net, opt="sgd", lr=recipe.rate, momentum=recipe.momentum, weight_decay=recipe.decay
    )
    stream: Iterator[tuple[Tensor, Tensor]] = pictures(run, images, workers)
    if own_input:
        resident, _ = batches(images, recipe, torch.device(device))
        generator = torch.Generator().manual_seed(run.seed)
        stream = again(lambda: resident.epoch(generator, recipe.batch))
    net.train()
    mixed = run.numerics.precision == "bfloat16"

    def step() -> None:
        inputs, labels = next(stream)
        inputs = inputs.to(device, memory_format=torch.channels_last, non_blocking=True)
        labels = labels.to(device, non_blocking=True)
        with torch.autocast(device, torch.bfloat16, enabled=mixed):
            loss = cross_entropy(net(inputs), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def timm_net(architecture: Architecture) -> nn.Sequential:
    """The net of an architecture from timm's parts; its weights stand in the same order."""
    base, setting = architecture.base, architecture.setting
    stride = 2 if architecture.stem == "cifar-stride2" else 1
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=Convolution(3, base, 3, stride), bn1=nn.BatchNorm2d(base), act1=nn.ReLU(inplace=True)
    )
    channels = base
    for stage, blocks in enumerate(architecture.blocks):
        planes = base * 2**stage
        for number in range(blocks):
            stride = 2 if stage > 0 and number == 0 else 1
            changes = stride != 1 or channels != 4 * planes
            layers[f"layer{stage + 1}_{number}"] = Bottleneck(
                channels,
                planes,
                stride,
                downsample_conv(channels, 4 * planes, 1, stride) if changes else None,
                cardinality=setting.cardinality,
                base_width=setting.width,
            )
            channels = 4 * planes
    layers.update(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
    layers["fc"] = nn.Linear(channels, architecture.classes)
    return nn.Sequential(layers)
