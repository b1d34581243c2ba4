"""How many images a net gets wrong, computed as it was trained where this machine can."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cardinality.common.notes import note
from cardinality.data.augmentation import normalise
from cardinality.data.images import Statistics
from cardinality.data.loaders import EVALUATION_BATCH
from cardinality.experiment.run import Numerics
from cardinality.host.machine import Machine
from cardinality.nets.fast import use_fast_paths
from cardinality.nets.network import ResNeXt
from cardinality.training.numerics import exact_float32, forward, prepare_process
from cardinality.training.tally import rivals
from cardinality.training.weights import numerics_of, precision_of

# Images at a time where nothing says how many: of photographs, on a machine of any size.
BATCH = 50


class Way(NamedTuple):
    """How a net is evaluated.

    Attributes:
        numerics: what it is computed with.
        as_trained: whether those are its run's, so that its layers and batches are too.
    """

    numerics: Numerics
    as_trained: bool

    def batch(self, views: int) -> int:
        """Images at a time, of so many views each."""
        return EVALUATION_BATCH // views if self.as_trained else BATCH


def way(metadata: Mapping[str, str], machine: Machine) -> Way:
    """As a net's run was computed, by what its weights say, if this machine can; else plainly.

    Raises:
        UserError: the weights say something else than numerics.
    """
    theirs = numerics_of(metadata)
    if theirs is not None:
        if theirs.device == machine.device and (machine.kernel or not theirs.fused):
            return Way(theirs, as_trained=True)
        lacking = "the suite's kernel" if theirs.device == machine.device else theirs.device
        note(
            f"trained with {lacking}, which is not used here: computed plainly, so the error may"
            " differ from the record's in its last digits"
        )
    return Way(
        Numerics(machine.device, precision_of(metadata), torch.get_num_threads()), as_trained=False
    )


def prepare(net: ResNeXt, chosen: Way) -> ResNeXt:
    """Bring a net to the device in evaluation mode, with the layers that it is computed by."""
    net = net.to(chosen.numerics.device).to(memory_format=torch.channels_last)
    exact_float32()
    if chosen.as_trained:
        prepare_process(chosen.numerics)
        use_fast_paths(net, chosen.numerics)
    return net.eval()


@torch.no_grad()
def count_errors(
    net: ResNeXt,
    batches: Iterable[tuple[Tensor | tuple[Tensor, ...], Tensor]],
    numerics: Numerics,
    statistics: Statistics,
    among: Sequence[int] | None = None,
) -> tuple[int, int]:
    """How many images are wrong by top-1 and by top-5, by the rule of training's own evaluation.

    Args:
        net: as `prepare` leaves it.
        batches: views (B, V, 3, H, W) of uint8, or several of (B, 3, H, W) and other sizes; and
            labels (B,).
        numerics: device, and the precision in which convolutions multiply.
        statistics: mean and deviation of each channel, in 0 to 255.
        among: the outputs that compete, in the order of the labels; by default all.
    """
    device = torch.device(numerics.device)
    mean, deviation = (torch.tensor(values, device=device) for values in statistics)
    wrong1 = wrong5 = 0

    def logits_of(views: Tensor) -> Tensor:
        pixels = views.to(device).permute(0, 2, 3, 1).contiguous()
        return forward(net, normalise(pixels, mean, deviation), numerics.precision)

    for views, labels in batches:
        if isinstance(views, tuple):
            logits = torch.stack([logits_of(each) for each in views]).mean(0)
        else:
            logits = logits_of(views.flatten(0, 1)).unflatten(0, views.shape[:2]).mean(1)
        if among is not None:
            logits = logits[:, list(among)]
        ahead = rivals(logits, labels.to(device))
        wrong1 += int((ahead != 1).sum())
        wrong5 += int((ahead > 5).sum())
    return wrong1, wrong5
