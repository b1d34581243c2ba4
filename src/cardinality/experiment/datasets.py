"""What a protocol may say about its data: which set, and how its images are brought to size.

Each kind tells classes, image side and numbers of images without reading any data, so that a plan
knows every net and its cost before the data are there. Images are held out of training to tune
on: where a set is evaluated on them, every tenth training image leaves training for evaluation.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cardinality.common.strict import Strict

# One training image in so many is held out where ``evaluate_on`` is ``held-out``.
HELD_OUT_EVERY = 10

EvaluateOn = Literal["test", "held-out"]
# One folder below the data root; a protocol cannot lead out of it.
FolderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class Patches(Strict):
    """Patches of photographs that come with scikit-image; see `cardinality.data.patches`.

    Attributes:
        side: of the images, in pixels.
        train, test: how many images of each.
        evaluate_on: blocks of the photographs to test on, or others to tune on.
    """

    name: Literal["patches"]
    side: int = Field(ge=16, le=32)
    train: int = Field(ge=1, le=1_000_000)
    test: int = Field(ge=1, le=1_000_000)
    evaluate_on: EvaluateOn = "test"

    @property
    def title(self) -> str:
        """What tables call the set."""
        return "patches of photographs"

    @property
    def classes(self) -> int:
        """Ten photographs."""
        return 10

    @property
    def training_images(self) -> int:
        """Images that an epoch trains on."""
        return self.train

    @property
    def evaluated_images(self) -> int:
        """Images that the error is measured on."""
        return self.test


class Cifar(Strict):
    """CIFAR-10 or CIFAR-100, 50,000 and 10,000 images; see `cardinality.data.cifar`."""

    name: Literal["cifar10", "cifar100"]
    evaluate_on: EvaluateOn = "test"

    @property
    def title(self) -> str:
        """What tables call the set."""
        return f"CIFAR-{self.classes}"

    @property
    def classes(self) -> int:
        """10 or 100."""
        return 10 if self.name == "cifar10" else 100

    @property
    def side(self) -> int:
        """Of the images, in pixels."""
        return 32

    @property
    def training_images(self) -> int:
        """Images that an epoch trains on."""
        return 50_000 - self._held_out

    @property
    def evaluated_images(self) -> int:
        """Images that the error is measured on."""
        return self._held_out or 10_000

    @property
    def _held_out(self) -> int:
        return 50_000 // HELD_OUT_EVERY if self.evaluate_on == "held-out" else 0


class Folders(Strict):
    """Photographs in class folders, ``train/CLASS/*`` and ``val/CLASS/*`` (or ``test/CLASS/*``).

    Attributes:
        title: what tables call the set; no part of a run's identity.
        folders: names below the data root under which it may lie; the first that is there.
        how_to_get: for the message where none is there; no part of a run's identity.
        classes, train, test: how many classes and images it has; checked before training.
        side: of the images that nets are fed, in pixels.
        resize: length of the shorter side from which evaluated images are cropped at the centre.
        area: smallest part of an image's area that a training crop shows.
        jitter: brightness, contrast and saturation vary by up to this factor either way.
        lighting: standard deviation of the noise along the colours' principal components.
        evaluate_on: the test images, or training images held out to tune on.
        class_list: a file beside the splits with the names of the classes, one a line, in the
            order of the labels: class folders that are not in it are passed over, and the test
            images may be of some of its classes alone (ResNeXt's ImageNet-5K, Section 5.2).
    """

    name: Literal["folders"]
    title: str = Field(exclude=True)
    folders: tuple[FolderName, ...] = Field(min_length=1)
    how_to_get: str = Field(exclude=True)
    classes: int = Field(ge=2, le=100_000)
    train: int = Field(ge=HELD_OUT_EVERY, le=100_000_000)
    test: int = Field(ge=1, le=100_000_000)
    side: int = Field(ge=16, le=1024)
    resize: int = Field(ge=16, le=2048)
    area: float = Field(gt=0, le=1)
    jitter: float = Field(ge=0, lt=1)
    lighting: float = Field(ge=0, le=1)
    evaluate_on: EvaluateOn = "test"
    class_list: FolderName | None = None

    @model_validator(mode="after")
    def _check_sizes(self) -> "Folders":
        if self.resize < self.side:
            raise ValueError(f"resize {self.resize}: at least side, {self.side}")
        return self

    @property
    def training_images(self) -> int:
        """Images that an epoch trains on."""
        return self.train - self._held_out

    @property
    def evaluated_images(self) -> int:
        """Images that the error is measured on."""
        return self._held_out or self.test

    @property
    def _held_out(self) -> int:
        return self.train // HELD_OUT_EVERY if self.evaluate_on == "held-out" else 0


DataSpec = Annotated[Patches | Cifar | Folders, Field(discriminator="name")]
