"""Forms (a) and (b) of Fig. 3, made from the net's own form (c) by moving its weights.

The net is built and initialised in form (c) and then converted. Drawn by themselves, the C
separate 3x3 convolutions of a block would start with C times the variance of the grouped one,
because each sees only its own d output channels as fan-out.
"""

import copy
import re
from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from cardinality.nets.layers import Convolution
from cardinality.nets.network import Bottleneck, ResNeXt

Form = Literal["a", "b"]

# What is one in form (c) and one a path in form (a); in form (b) conv3 stays one. The value is
# the dimension of the weights that is cut: the outputs, but for conv3, whose inputs belong to
# the paths.
DIMENSION = {"conv1": 0, "bn1": 0, "conv2": 0, "bn2": 0, "conv3": 1}


def split(block: Mapping[str, Tensor], cardinality: int, form: Form) -> dict[str, Tensor]:
    """Cut the tensors of a block of form (c) into those of form (a) or (b).

    Args:
        block: weights, gradients or running averages under the names of `Bottleneck`.
        cardinality: C.
        form: the form to cut for.
    """
    parts: dict[str, Tensor] = {}
    for name, tensor in block.items():
        layer, _, rest = name.partition(".")
        if layer not in DIMENSION or (layer == "conv3" and form == "b"):
            parts[name] = tensor
            continue
        whole = tensor.ndim == 0  # batch norm's number of batches is every path's
        cut = (tensor,) * cardinality if whole else tensor.chunk(cardinality, DIMENSION[layer])
        for path, part in enumerate(cut):
            parts[f"paths.{path}.{layer}.{rest}"] = part
    return parts


def join(block: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put the tensors of a block of form (a) or (b) together as form (c) has them; undoes `split`.

    Args:
        block: weights, gradients or running averages under the names of `SplitBottleneck`,
            path by path.
    """
    joined: dict[str, Tensor] = {}
    paths: defaultdict[str, list[Tensor]] = defaultdict(list)
    for name, tensor in block.items():
        match = re.fullmatch(r"paths\.\d+\.(.+)", name)
        if match is None:
            joined[name] = tensor
        else:
            paths[match[1]].append(tensor)
    for name, parts in paths.items():
        dimension = DIMENSION[name.partition(".")[0]]
        joined[name] = parts[0] if parts[0].ndim == 0 else torch.cat(parts, dimension)
    return joined


class SplitBottleneck(nn.Module):
    """A bottleneck as C separate paths: form (a) sums them, form (b) concatenates within them.

    Form (a), Fig. 3(a): every path goes down to d channels, through its own 3x3 and up again; the
    outputs are summed, and batch norm comes after the sum (the paper's footnote in Section 4).
    Form (b), Fig. 3(b): the paths' d channels are concatenated and go up together; it is
    ``resnext_bottleneck_B`` of the authors' models/resnext.lua.

    It computes what the `Bottleneck` that it is made from computes, and holds copies of its
    weights, in its precision and on its device.

    Shapes: (N, inputs, H, W) -> (N, outputs, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, block: Bottleneck, form: Form) -> None:
        super().__init__()
        inputs, outputs = block.conv1.in_channels, block.conv3.out_channels
        cardinality, stride = block.conv2.groups, block.conv2.stride[0]
        width = block.conv2.out_channels // cardinality
        self.paths = nn.ModuleList(
            _path(inputs, width, outputs, stride, form) for _ in range(cardinality)
        )
        self.conv3 = Convolution(cardinality * width, outputs, 1) if form == "b" else None
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.residual = block.residual
        self.downsample = copy.deepcopy(block.downsample)
        self.to(block.conv1.weight)
        self.load_state_dict(split(block.state_dict(), cardinality, form))
        self.train(block.training)

    def forward(self, x: Tensor) -> Tensor:
        parts = [path(x) for path in self.paths]
        y = self.bn3(sum(parts) if self.conv3 is None else self.conv3(torch.cat(parts, 1)))
        if self.residual:
            y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


def _path(inputs: int, width: int, outputs: int, stride: int, form: Form) -> nn.Sequential:
    """One path: (N, inputs, H, W) to width channels in form (b), to outputs in form (a)."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=Convolution(inputs, width, 1),
        bn1=nn.BatchNorm2d(width),
        relu1=nn.ReLU(inplace=True),
        conv2=Convolution(width, width, 3, stride),
        bn2=nn.BatchNorm2d(width),
        relu2=nn.ReLU(inplace=True),
    )
    if form == "a":
        layers["conv3"] = Convolution(width, outputs, 1)
    return nn.Sequential(layers)


def convert(net: ResNeXt, form: Form) -> ResNeXt:
    """A copy of a net with every bottleneck in form (a) or (b).

    Raises:
        ValueError: the net has other blocks than `Bottleneck`, squeeze-and-excitation, or layers in
            which others were put, such as a run's faster ones or ghost batch norm.
    """
    net = copy.deepcopy(net)
    for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
        for name, block in list(stage.named_children()):
            setattr(stage, name, SplitBottleneck(_plain(block), form))
    return net


def _plain(block: nn.Module) -> Bottleneck:
    """A block, if it is one of Fig. 3 and no more.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(block, Bottleneck):
        raise ValueError(f"{type(block).__name__}: only Bottleneck has forms (a) and (b)")
    if block.se is not None:
        raise ValueError("squeeze: a block with squeeze-and-excitation has no forms (a) and (b)")
    for name in (*DIMENSION, "bn3"):
        layer = block.get_submodule(name)
        if type(layer) not in (Convolution, nn.BatchNorm2d):
            raise ValueError(
                f"{name}: is a {type(layer).__name__}; forms (a) and (b) are made of a net as built"
            )
    return block


def as_form_c(net: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A converted net's tensors under the names and in the layout of the net in form (c).

    Args:
        net: what `convert` made; a net in form (c) keeps its tensors as they are.
        tensors: its weights, gradients or running averages by name.
    """
    result = dict(tensors)
    for prefix, module in net.named_modules():
        if isinstance(module, SplitBottleneck):
            start = f"{prefix}."
            names = [name for name in tensors if name.startswith(start)]
            block = {name.removeprefix(start): result.pop(name) for name in names}
            result |= {start + name: tensor for name, tensor in join(block).items()}
    return result
