"""The epochs of a run, as training measures them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave; losses are means, errors are in percent.

    The training loss and error are running averages over the epoch, under augmentation, as in
    the paper's Fig. 5; the test loss and errors are of the net as the epoch left it. With fewer
    than five classes there is no top-5 error. Of the seconds, ``input_seconds`` went by while
    training waited for its batches.
    """

    epoch: int
    rate: float
    train_loss: float
    train_error: float
    test_loss: float
    top1_error: float
    top5_error: float | None
    seconds: float
    input_seconds: float
