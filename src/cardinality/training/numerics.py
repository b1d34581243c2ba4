"""How a process computes: its threads, its precision, and the forward pass in it."""

import torch
from torch import Tensor

from cardinality.experiment.run import Numerics
from cardinality.host.machine import Precision
from cardinality.nets.network import ResNeXt


def prepare_process(numerics: Numerics) -> None:
    """Make this process compute as a run's numerics say."""
    torch.set_num_threads(numerics.threads)
    exact_float32()


def exact_float32() -> None:
    """Make float32 mean float32 on GPUs too, where convolutions default to the shorter TF32."""
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    # By torch's older name as well: whoever reads that one, as torch.export does, would else be
    # told that the two do not agree.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined] # of run time


def forward(net: ResNeXt, images: Tensor, precision: Precision) -> Tensor:
    """Logits in float32, (N, classes), of images (N, 3, side, side) on the net's device.

    In bfloat16 convolutions multiply in it; weights stay float32, and so does the fully connected
    layer: of 1,500 images some would have two logits that round to the same bfloat16. A net in
    float64, as some tests have it, computes in that.
    """
    mixed = precision == "bfloat16"
    with torch.autocast(images.device.type, torch.bfloat16, enabled=mixed):
        features = net.features(images.to(net.fc.weight.dtype))
    return net.fc(features.to(net.fc.weight.dtype))
