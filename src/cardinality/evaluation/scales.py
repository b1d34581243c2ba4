"""The whole image at several sizes: how the ResNet paper's best figures were computed.

He et al. (2016), Section 3.4: "we adopt the fully-convolutional form [...], and average the
scores at multiple scales (images are resized such that the shorter side is in {224, 256, 384, 480,
640})". The last layer is linear, so the mean of its scores over all positions is its score of the
mean; a net that pools whatever map it gets is in that form already.
"""

from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.functional import pil_to_tensor

from cardinality.common.errors import UserError
from cardinality.evaluation.views import Answers, Interpolation

# The paper's: lengths of the shorter side, in pixels.
PAPER = (224, 256, 384, 480, 640)
LARGEST = 2048


@dataclass(frozen=True)
class Scales:
    """The whole of an image at several sizes; the logits are averaged.

    Attributes:
        sides: lengths of its shorter side, in pixels.
        interpolation: of the resizing.
    """

    sides: tuple[int, ...]
    interpolation: Interpolation

    @property
    def pixels(self) -> int:
        """Of all sizes of an image of the usual 3 : 4, about."""
        return sum(side * side * 4 // 3 for side in self.sides)

    @property
    def described(self) -> dict[str, Any]:
        """What a record says of it."""
        return {"resize": None, "crop": None, "views": "whole", "scales": self.sides} | {
            "interpolation": self.interpolation
        }

    def look(self, image: Image.Image | Tensor) -> tuple[Tensor, ...]:
        """An image, PIL's or (3, H, W) of uint8, at each size: (3, h, w) of uint8."""
        return tuple(self._resized(image, side) for side in self.sides)

    def _resized(self, image: Image.Image | Tensor, side: int) -> Tensor:
        found = v2.Resize(side, InterpolationMode(self.interpolation), antialias=True)(image)
        return found if isinstance(found, Tensor) else pil_to_tensor(found)

    def together(self, answers: Answers) -> tuple[tuple[Tensor, ...], Tensor] | str:
        """One image at its sizes, (1, 3, h, w) each, and its label (1,), or a message.

        Images of any shape do not fit into one batch.
        """
        (answer,) = answers
        if isinstance(answer, str):
            return answer
        return tuple(view[None] for view in answer[0]), torch.tensor([answer[1]])


def parse(text: str) -> tuple[int, ...]:
    """Read ``224,256,384``, or ``paper`` for the paper's.

    Raises:
        UserError: no such list.
    """
    if text == "paper":
        return PAPER
    parts = text.split(",")
    plain = all(part.isascii() and part.isdigit() and len(part) < 5 for part in parts)
    if not plain or not all(32 <= int(part) <= LARGEST for part in parts):
        raise UserError(
            f"--scales {text!r:.80}: allowed are 'paper', or sides of 32 to {LARGEST} with commas:"
            f" {','.join(map(str, PAPER))}"
        )
    return tuple(map(int, parts))
