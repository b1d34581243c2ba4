"""How fast a CPU computes grouped 3x3 convolutions, packed and not; `fast.PACK` follows from it.

Usage: python -m benchmarks.groups [bfloat16|float32]

ONEDNN_MAX_CPU_ISA=AVX2 shows what an older processor would prefer.
"""

import argparse
from functools import partial

import pandas as pd
import torch
from torch.nn.functional import conv2d

from benchmarks.measure import Step, Where, in_turns
from cardinality.report.markdown import to_markdown

# Images, channels, groups, side and stride, as nets of 128 and 32 images at base 32, and of 64 at
# base 64, have them.
SHAPES = [
    (128, 64, 32, 16, 1),
    (128, 128, 32, 16, 2),
    (128, 128, 32, 8, 1),
    (128, 256, 32, 8, 2),
    (128, 56, 8, 16, 1),
    (128, 112, 8, 16, 2),
    (128, 48, 4, 16, 1),
    (64, 128, 32, 32, 1),
    (64, 256, 32, 16, 1),
    (64, 512, 32, 8, 1),
    (32, 64, 32, 12, 1),
    (32, 128, 32, 12, 2),
]
WIDEST = 64


def main() -> None:
    """Print milliseconds of forward and backward pass, by the width of a pack."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("precision", nargs="?", choices=["bfloat16", "float32"], default="bfloat16")
    dtype = getattr(torch, parser.parse_args().precision)
    torch.set_num_threads(1)
    rows = []
    for shape in SHAPES:
        n, channels, groups, side, stride = shape
        widths = [
            (packs, channels // packs)
            for packs in range(groups, 0, -1)
            if groups % packs == 0 and channels // packs <= max(WIDEST, channels // groups)
        ]
        makers = {str(width): partial(step, shape, packs, dtype) for packs, width in widths}
        lines = in_turns(Where("groups"), makers, "cpu", rounds=3, at_least=0.05)
        rows.append(
            {
                "shape": f"{n} of {channels} x {side} x {side}, stride {stride}, {groups} groups",
                **{f"{line.what} wide": f"{1e3 * line.value:.1f}" for line in lines},
            }
        )
    table = pd.DataFrame(rows).fillna("")
    order = sorted(table.columns[1:], key=lambda column: int(column.split()[0]))
    print(to_markdown({column: table[column] for column in ["shape", *order]}))


def step(shape: tuple[int, int, int, int, int], packs: int, dtype: torch.dtype) -> Step:
    """Forward and backward pass of one convolution in so many groups."""
    n, channels, _, side, stride = shape
    layout = torch.channels_last
    x = torch.randn(n, channels, side, side).to(dtype).to(memory_format=layout).requires_grad_()
    weight = torch.randn(channels, channels // packs, 3, 3).to(dtype).requires_grad_()
    gradient = torch.randn_like(conv2d(x, weight, None, stride, 1, groups=packs))

    def both() -> None:
        y = conv2d(x, weight, None, stride, 1, groups=packs)
        torch.autograd.grad(y, (x, weight), gradient)

    return both


if __name__ == "__main__":
    main()
