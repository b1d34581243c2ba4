"""The same net, computed faster: what each layer is replaced by, and the rule that says when.

Nothing here changes the function: parameters, buffers and their names stay, and the tests hold
every path to the plain one in float64. Which path a layer takes follows from the run's numerics
alone. What each gained, and what was tried and left out, is in docs/performance.md.
"""

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import avg_pool2d, conv2d, linear

from cardinality.experiment.run import Numerics
from cardinality.host import kernel
from cardinality.host.machine import Precision
from cardinality.nets.ghost import GhostBatchNorm2d
from cardinality.nets.layers import ActivatingBatchNorm, Convolution, add_relu, replace_layers

# Channels that a CPU's convolution wants in a group, by precision and stride; narrower groups are
# packed up to it, and where nothing stands they are left alone. As benchmarks/groups.py found,
# bfloat16 on a processor with AMX alone.
PACK: dict[tuple[Precision, int], int] = {
    ("bfloat16", 1): 16,
    ("bfloat16", 2): 32,
    ("float32", 1): 16,
}

# What batch_norm.cpp takes: the type of activations, and of all that belongs to a channel.
ARITHMETIC = {
    torch.bfloat16: torch.float32,
    torch.float32: torch.float32,
    torch.float64: torch.float64,
}


def use_fast_paths(net: nn.Module, numerics: Numerics) -> None:
    """Replace a net's layers, in place, by those that are faster with a run's numerics."""
    replace_layers(net, lambda layer: faster(layer, numerics))


def faster(layer: nn.Module, numerics: Numerics) -> nn.Module:
    """What computes the same as a layer, with its parameters, faster; or the layer itself.

    On a CPU 1x1 convolutions are matrix products, narrow groups are packed, and, where the
    suite's kernel was built, batch norm is fused with what follows it.
    """
    if numerics.device != "cpu":
        return layer
    if isinstance(layer, nn.BatchNorm2d) and numerics.fused:
        return FusedBatchNorm(layer)
    if type(layer) is not Convolution:
        return layer
    if layer.kernel_size == (1, 1) and layer.groups == 1:
        return Pointwise(layer)
    return pack(layer, PACK.get((numerics.precision, layer.stride[0]), 1))


def pack(layer: nn.Conv2d, width: int) -> nn.Module:
    """A convolution with its groups packed up to ``width`` channels, or itself if none fit."""
    packs = count_packs(layer.groups, layer.out_channels // layer.groups, width)
    return Packed(layer, packs) if packs < layer.groups else layer


class Pointwise(nn.Module):
    """A 1x1 convolution as the matrix product that it is; ``weight`` is the convolution's own.

    oneDNN's gradient of a 1x1 convolution's weight takes up to seven times as long as the
    product's, most where the maps are small.

    Shapes: (N, inputs, H, W) -> (N, outputs, ceil(H / stride), ceil(W / stride)), channels last.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.weight = layer.weight
        self.stride = layer.stride[0]

    def forward(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            # Every second position: pooling over one, whose way back is faster than a slice's.
            x = avg_pool2d(x, 1, self.stride)
        return linear(x.permute(0, 2, 3, 1), self.weight.flatten(1)).permute(0, 3, 1, 2)

    def fork(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The output, and x itself for the shortcut; see `Convolution.fork`."""
        if self.stride > 1 or not torch.is_grad_enabled():
            return self(x), x
        return _Fork.apply(x, self.weight)


class _Fork(torch.autograd.Function):
    """A 1x1 convolution beside the identity: on the way back one product adds to the shortcut's.

    By itself that sum, of two gradients as large as a block's output, is a tenth of a step.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        product = weight.flatten(1).to(x.dtype)
        ctx.save_for_backward(x, product)
        ctx.kind = weight.dtype, weight.shape
        return linear(x.permute(0, 2, 3, 1), product).permute(0, 3, 1, 2), x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, branch: Tensor, shortcut: Tensor | None) -> tuple[Tensor, Tensor]:
        x, product = ctx.saved_tensors
        dtype, shape = ctx.kind
        out, rows = as_rows(branch), as_rows(x)
        # In place: the branch's gradient, which is here too, was computed from the shortcut's or
        # beside it, so nobody reads that one any more; see `Convolution.fork`.
        dx = out @ product if shortcut is None else as_rows(shortcut).addmm_(out, product)
        n, _, height, width = x.shape
        weight = (out.t() @ rows).to(dtype).view(shape)
        return dx.view(n, height, width, -1).permute(0, 3, 1, 2), weight


def as_rows(x: Tensor) -> Tensor:
    """(N, C, H, W) as (N H W, C), which it is in memory if it is channels last."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def count_packs(groups: int, width: int, wanted: int) -> int:
    """Into how many packs groups go when each pack takes as many as fit into ``wanted`` channels.

    Args:
        groups: of a convolution with as many inputs as outputs.
        width: channels of a group.
        wanted: channels of a pack at most; groups that are as wide stay alone.
    """
    fitting = (n for n in range(1, groups + 1) if groups % n == 0 and n * width <= wanted)
    return groups // max(fitting, default=1)


class Packed(nn.Module):
    """A grouped convolution in fewer, wider groups with zeros off the diagonal.

    Neighbouring groups share a pack, whose weight has their weights as blocks on its diagonal:
    more multiplications, but in tiles that a matrix unit fills. ``weight`` is the grouped
    convolution's own, (outputs, inputs / groups, k, k).

    Shapes: those of the convolution.
    """

    def __init__(self, layer: nn.Conv2d, packs: int) -> None:
        super().__init__()
        self.weight = layer.weight
        self.groups, self.packs = layer.groups, packs
        self.stride, self.padding = layer.stride, layer.padding
        each = layer.groups // packs
        self.eye: Tensor
        eye = torch.eye(each, device=layer.weight.device, dtype=layer.weight.dtype)
        self.register_buffer("eye", eye.view(1, each, 1, each, 1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        outputs, inputs, *kernel = self.weight.shape
        each = self.groups // self.packs
        blocks = self.weight.view(self.packs, each, outputs // self.groups, 1, inputs, *kernel)
        weight = (blocks * self.eye).reshape(outputs, each * inputs, *kernel)
        return conv2d(x, weight, None, self.stride, self.padding, groups=self.packs)


class FusedBatchNorm(ActivatingBatchNorm):
    """Batch norm, the shortcut's addition and ReLU in batch_norm.cpp's two passes each way.

    The forward pass reads its input twice and writes once; torch's three layers read five times
    and write three times. The same for the way back. Of a `GhostBatchNorm2d` every group of
    images is normalised by itself.
    """

    def __init__(self, layer: nn.BatchNorm2d) -> None:
        super().__init__(layer.num_features, layer.eps, layer.momentum, device="meta")
        if not layer.affine or not layer.track_running_stats or layer.momentum is None:
            raise ValueError(f"{layer}: only batch norm with weights and running averages")
        self.images = layer.images if isinstance(layer, GhostBatchNorm2d) else None
        for name, parameter in layer.named_parameters():
            setattr(self, name, parameter)
        for name, buffer in layer.named_buffers():
            setattr(self, name, buffer)
        self.train(layer.training)

    def forward(self, x: Tensor) -> Tensor:
        return self._normalise(x, None, relu=False)

    def activate(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        return self._normalise(x, shortcut, relu=True)

    def _normalise(self, x: Tensor, shortcut: Tensor | None, relu: bool) -> Tensor:
        # The kernel is told addresses alone, so all that they stand for is looked at here.
        if ARITHMETIC.get(x.dtype) != self.weight.dtype:
            raise TypeError(f"batch norm of {x.dtype} with {self.weight.dtype}: {ARITHMETIC}")
        if x.ndim != 4 or x.shape[1] != self.num_features or not x.numel() or not x.is_cpu:
            expected = f"(N, {self.num_features}, H, W) on the CPU"
            raise TypeError(f"batch norm of {tuple(x.shape)} on {x.device}: {expected}")
        x = x.contiguous(memory_format=torch.channels_last)
        if shortcut is not None:
            if (shortcut.dtype, shortcut.shape) != (x.dtype, x.shape):
                raise TypeError(f"cannot add {shortcut.dtype} {shortcut.shape} to {x.shape}")
            shortcut = shortcut.contiguous(memory_format=torch.channels_last)
        if not self.training:
            return self._evaluate(x, shortcut, relu)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        return _Normalise.apply(x, shortcut, self.weight, self.bias, self, relu)

    def _evaluate(self, x: Tensor, shortcut: Tensor | None, relu: bool) -> Tensor:
        if torch.is_grad_enabled():  # nobody needs it fast
            y = super().forward(x)
            return add_relu(y, shortcut) if relu else y
        y = torch.empty_like(x)
        learned = (self.weight, self.bias, self.running_mean, self.running_var)
        _call("evaluate", x, shortcut, y, *_shape(x), *learned, self.eps, relu)
        return y


class _Normalise(torch.autograd.Function):
    """`FusedBatchNorm` in training."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        shortcut: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        layer: FusedBatchNorm,
        relu: bool,
    ) -> Tensor:
        n, channels, height, width = x.shape
        rows, group = n * height * width, (layer.images or n) * height * width
        if rows % group == 1 or group == 1:
            raise ValueError(f"expected more than one value a channel in training: {x.shape}")
        y = torch.empty_like(x)
        saved = torch.empty(-(-rows // group), 2, channels, dtype=torch.float64)
        learned = (weight, bias, layer.running_mean, layer.running_var)
        constants = (layer.momentum, layer.eps, relu)
        _call("train", x, shortcut, y, rows, channels, group, *learned, *constants, saved)
        # Where nothing was added, x tells what ReLU let through, and y need not be kept for it.
        kept = y if shortcut is not None else None
        ctx.save_for_backward(x, kept, weight, bias, saved)
        ctx.relu, ctx.group = relu, group
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, y, weight, bias, saved = ctx.saved_tensors
        relu, group = ctx.relu, ctx.group
        gradient = gradient.to(x.dtype).contiguous(memory_format=torch.channels_last)
        dx = torch.empty_like(x)
        passed = torch.empty_like(x) if y is not None else None
        by_weight, by_bias = torch.empty_like(weight), torch.empty_like(bias)
        activations, size = (x, y, gradient, dx, passed), (*_shape(x), group)
        _call("backward", *activations, *size, weight, bias, saved, relu, by_weight, by_bias)
        return dx, passed, by_weight, by_bias, None, None


def _shape(x: Tensor) -> tuple[int, int]:
    """Rows and channels."""
    return x.numel() // x.shape[1], x.shape[1]


def _call(name: str, x: Tensor, *arguments: Tensor | float | None) -> None:
    """Call the function of batch_norm.cpp for x's type; tensors are passed by their addresses."""
    function = _functions()[name, x.dtype]
    function(x.data_ptr(), *(a.data_ptr() if isinstance(a, Tensor) else a for a in arguments))


@lru_cache(maxsize=1)
def _functions() -> dict[tuple[str, torch.dtype], Callable[..., None]]:
    """The functions of batch_norm.cpp, by name and type of the tensors.

    Raises:
        RuntimeError: it was not built, or for another version.
    """
    library = kernel.load()
    if library is None:
        raise RuntimeError("no kernel: reinstall the package where there is a C++ compiler")
    tensor, count, number, flag = (ctypes.c_void_p, ctypes.c_long, ctypes.c_double, ctypes.c_int)
    declared = {
        "train": [*[tensor] * 3, *[count] * 3, *[tensor] * 4, number, number, flag, tensor],
        "evaluate": [*[tensor] * 3, *[count] * 2, *[tensor] * 4, number, flag],
        "backward": [*[tensor] * 5, *[count] * 3, *[tensor] * 3, flag, *[tensor] * 2],
    }
    functions = {}
    for name, arguments in declared.items():
        for dtype in ARITHMETIC:
            function = getattr(library, f"{name}_{str(dtype).removeprefix('torch.')}")
            function.argtypes, function.restype = arguments, None
            functions[name, dtype] = function
    return functions
