"""Records of runs that nobody has computed, and that hold together."""

import numpy as np

from cardinality.data.images import Identity
from cardinality.experiment.run import Run
from cardinality.results.epochs import Epoch
from cardinality.results.folder import Results
from cardinality.results.images import Correct, checksum
from cardinality.results.progress import Header, write_checkpoint
from cardinality.results.records import Sitting, make_record
from tests.tiny import sitting

# Which of at most 10,000 images a made run gets right.
DRAWN = np.random.default_rng(0).random(10_000) < 0.7


def write(run: Run, results: Results) -> None:
    """Write a record with made figures."""
    images = run.data.evaluated_images
    correct = Correct(DRAWN[:images])
    epochs = [
        Epoch(n, 0.1, 1.0, 50.0, 1.0, correct.error, 10.0, images, 1.5, 0.1)
        for n in range(1, run.epochs + 1)
    ]
    record = make_record(
        run,
        Identity("0123456789abcdef", "pixels"),
        epochs,
        [sitting(1, run.epochs)],
        weights_checksum="fedcba9876543210",
        correct_checksum=checksum(correct.pack()),
    )
    results.write(record, epochs, correct)


def write_stopped(run: Run, results: Results) -> Sitting:
    """Write the checkpoint of a run that has done one epoch, in the sitting that is returned."""
    made = sitting(1, 1)
    header = Header(
        format=2,
        run=run.name,
        data_checksum="0123456789abcdef",
        data_kind="pixels",
        epochs=1,
        sittings=(made,),
        sha256="",
    )
    write_checkpoint(results.checkpoint(run.name), header, b"")
    return made
