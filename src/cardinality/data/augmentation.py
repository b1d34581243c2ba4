"""What is done to batches on the device: normalisation and, for photographs, colour.

The authors' datasets/imagenet.lua and datasets/transforms.lua: brightness, contrast and
saturation in random order, then lighting, then normalisation. Nothing is clipped in between, as
there. So each step is affine in the pixel and in the image's mean grey, the three in any order
give the same, and all of it is one 3 x 3 matrix and one offset for each image.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from cardinality.data.images import Statistics

# datasets/imagenet.lua, "computed from random subset of ImageNet training images".
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
IMAGENET_STATISTICS: Statistics = (
    tuple(255 * value for value in IMAGENET_MEAN),
    tuple(255 * value for value in IMAGENET_DEVIATION),
)
# The same file: principal components of the colours of pixels in 0 to 1; a column is a component.
EIGENVALUES = (0.2175, 0.0188, 0.0045)
EIGENVECTORS = (
    (-0.5675, 0.7192, 0.4009),
    (-0.5808, -0.0045, -0.8140),
    (-0.5836, -0.6948, 0.4203),
)
# Luma of ITU-R BT.601, by which datasets/transforms.lua makes grey.
GREY = (0.299, 0.587, 0.114)


def normalise(pixels: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Pixels (B, H, W, 3) uint8 to float32 (B, 3, H, W) in channels-last layout.

    Args:
        mean, deviation: (3,), in 0 to 255.
    """
    # Row by row, since an operation over three channels at a time is slow.
    side = pixels.shape[2]
    rows = (pixels.flatten(2) - mean.repeat(side)).div_(deviation.repeat(side))
    return rows.unflatten(2, (side, 3)).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Colour:
    """What is done to the colours of each of N images.

    Attributes:
        brightness, contrast, saturation: (N,) factors; 1 leaves the image as it is.
        lighting: (N, 3), what is added to red, green and blue, in parts of the range.
    """

    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    lighting: Tensor

    @classmethod
    def draw(cls, n: int, jitter: float, lighting: float, generator: torch.Generator) -> "Colour":
        """Factors uniform in 1 - jitter to 1 + jitter; noise of deviation ``lighting``.

        The noise is along the principal components, in proportion to their eigenvalues. The
        generator is the CPU's on every device, so that a seed means the same everywhere.
        """
        factors = 1 + jitter * (2 * torch.rand(3, n, generator=generator) - 1)
        alpha = lighting * torch.randn(n, 3, generator=generator)
        shift = (alpha * torch.tensor(EIGENVALUES)) @ torch.tensor(EIGENVECTORS).T
        return cls(factors[0], factors[1], factors[2], shift)

    def to(self, device: torch.device) -> "Colour":
        """The same on a device."""
        return Colour(*(value.to(device) for value in vars(self).values()))

    def __getitem__(self, chosen: slice | Tensor) -> "Colour":
        """Those of some images."""
        return Colour(*(value[chosen] for value in vars(self).values()))

    def apply(self, pixels: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
        """Change and normalise a batch of N images; shapes and units as of `normalise`.

        With g the grey of a pixel and m its mean over the image: brightness gives b x, contrast
        c x + (1 - c) m and saturation s x + (1 - s) g, each by the colours that it finds. So all
        three give b (c (s x + (1 - s) g) + (1 - c) m).
        """
        x = pixels.float()
        grey = _on(x.device, GREY)
        b, c, s = (
            value[:, None, None] for value in (self.brightness, self.contrast, self.saturation)
        )
        # Row i of the matrix says what of red, green and blue goes into channel i.
        identity = torch.eye(3, device=x.device)
        matrix = b * c * (s * identity + (1 - s) * grey) / deviation[:, None]
        mean_grey = (x.mean(dim=(1, 2)) @ grey)[:, None]
        b, c = b[:, 0], c[:, 0]
        offset = (b * (1 - c) * mean_grey + 255 * self.lighting - mean) / deviation
        n, height, width, _ = x.shape
        changed = torch.baddbmm(offset[:, None], x.reshape(n, -1, 3), matrix.mT)
        return changed.reshape(n, height, width, 3).permute(0, 3, 1, 2)


@lru_cache(maxsize=8)
def _on(device: torch.device, values: tuple[float, ...]) -> Tensor:
    """Constants on a device, brought there once: each time it would be waited for."""
    return torch.tensor(values, device=device)
