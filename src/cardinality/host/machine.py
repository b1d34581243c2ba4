"""What this machine is, without importing torch: its device, and what numerics it runs well."""

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from cardinality.common.errors import UserError
from cardinality.common.notes import note
from cardinality.common.text import plural
from cardinality.host import kernel, limits

Device = Literal["cpu", "cuda"]
DEVICE_NAMES: dict[Device, str] = {"cpu": "CPU", "cuda": "GPU"}
Precision = Literal["bfloat16", "float32"]

# The instructions with which a CPU multiplies bfloat16 faster than float32: Linux's names of
# AVX512-BF16 and AMX (Intel, AMD) and of the Arm extension.
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


@dataclass(frozen=True)
class Machine:
    """The device that runs are computed on.

    Attributes:
        device: ``cpu`` or ``cuda``.
        name: what the device calls itself.
        cores: CPU cores that this process may use.
        bfloat16: whether the device reports bfloat16 instructions.
        kernel: whether there is a kernel of the suite's for the device.
    """

    device: Device
    name: str
    cores: int
    bfloat16: bool
    kernel: bool = False

    def __str__(self) -> str:
        return f"{self.name}, {plural(self.cores, 'CPU core')}"

    def resolve(self, precision: Literal["auto", "bfloat16", "float32"]) -> Precision:
        """The precision that ``auto`` means here: bfloat16 where the device has instructions."""
        if precision != "auto":
            return precision
        return "bfloat16" if self.bfloat16 else "float32"


def detect(device: Literal["auto", "cpu", "cuda"] = "auto") -> Machine:
    """Describe this machine; ``auto`` takes an NVIDIA GPU where the driver shows one.

    Raises:
        UserError: ``cuda`` was asked for and no GPU is seen.
    """
    if device != "cpu":
        gpu = _gpu()
        if gpu is not None:
            return gpu
        if device == "cuda":
            raise UserError("device cuda: the NVIDIA driver shows no GPU here; allowed: auto, cpu")
    flags, name = _cpu()
    bfloat16, own = bool(flags & BFLOAT16_FLAGS), kernel.load() is not None
    return Machine("cpu", name, limits.cores(), bfloat16, own)


def check_usable(device: Device) -> None:
    """See that torch can compute on the device: the driver may show a GPU that torch cannot use.

    Raises:
        UserError: it cannot.
    """
    if device != "cuda":
        return
    import torch

    if not torch.cuda.is_available():
        raise UserError(
            f"device cuda: the NVIDIA driver shows a GPU and torch {torch.__version__} sees none;"
            " allowed: --device cpu, or a torch that was built for this driver"
        )


def processor() -> str:
    """The processor's own name."""
    return _cpu()[1]


@lru_cache(maxsize=1)
def _cpu() -> tuple[frozenset[str], str]:
    """Instruction flags and model name of the CPU, from Linux's own list."""
    listing = Path("/proc/cpuinfo")
    fields: dict[str, str] = {}
    if listing.exists():
        pairs = (
            line.partition(":")
            for line in listing.read_text(encoding="utf-8", errors="replace").splitlines()
        )
        for key, _, value in pairs:
            fields.setdefault(key.strip(), value.strip())
    flags = fields.get("flags", fields.get("Features", ""))
    return frozenset(flags.split()), fields.get("model name", platform.machine())


@dataclass(frozen=True)
class Gpu:
    """A GPU, or a slice of one (MIG), that the user does not hide.

    Attributes:
        visible: by which CUDA_VISIBLE_DEVICES names it alone.
        name: its own; a slice's says which part of which GPU it is.
        bfloat16: whether it has the instructions.
    """

    visible: str
    name: str
    bfloat16: bool


@lru_cache(maxsize=1)
def gpus() -> tuple[Gpu, ...]:
    """Every GPU that the NVIDIA driver shows and the user does not hide, slices one by one.

    They are in the order of CUDA_VISIBLE_DEVICES, which is read as CUDA reads it: what comes after
    a name that is none is hidden. Numbers are the driver's, as CUDA has them where
    CUDA_DEVICE_ORDER is PCI_BUS_ID or the GPUs are alike.
    """
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        every = [pynvml.nvmlDeviceGetHandleByIndex(n) for n in range(pynvml.nvmlDeviceGetCount())]
        asked = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(len(every)))))
        found: dict[str, Gpu] = {}
        for name in map(str.strip, asked.split(",")):
            number = next((n for n, gpu in enumerate(every) if _is_named(name, n, gpu)), None)
            if number is None:
                break
            found.update({gpu.visible: gpu for gpu in _named(name, every[number])})
        return tuple(found.values())
    finally:
        pynvml.nvmlShutdown()


def usable_gpus(precision: Precision) -> tuple[Gpu, ...]:
    """Those that have the instructions that a precision takes; the others compute none of it."""
    found = gpus()
    usable = tuple(gpu for gpu in found if gpu.bfloat16 or precision == "float32")
    for gpu in found:
        if gpu not in usable:
            note(f"{gpu.name}: is left out, since it has no instructions for {precision}")
    return usable


def _named(name: str, gpu: Any) -> Iterator[Gpu]:
    """What CUDA_VISIBLE_DEVICES means by a name: a GPU, all of its slices, or one."""
    import pynvml

    # Tensor cores multiply bfloat16 from Ampere (compute capability 8) on.
    bfloat16 = pynvml.nvmlDeviceGetCudaComputeCapability(gpu)[0] >= 8
    slices = dict(_slices(gpu))
    if name.startswith("MIG-GPU-"):  # before driver 470; nothing else names it
        yield Gpu(name, pynvml.nvmlDeviceGetName(gpu), bfloat16)
    elif name.startswith("MIG-"):
        visible = next(each for each in slices if each.startswith(name))
        yield Gpu(visible, slices[visible], bfloat16)
    elif _is_split(gpu):
        yield from (Gpu(visible, own, bfloat16) for visible, own in slices.items())
    else:
        uuid = pynvml.nvmlDeviceGetUUID(gpu)
        yield Gpu(uuid, pynvml.nvmlDeviceGetName(gpu), bfloat16)


def _is_split(gpu: Any) -> bool:
    """Whether a GPU computes in slices alone."""
    import pynvml

    try:
        return bool(pynvml.nvmlDeviceGetMigMode(gpu)[0])
    except pynvml.NVMLError:  # it cannot be split
        return False


def _is_named(name: str, number: int, gpu: Any) -> bool:
    """Whether CUDA_VISIBLE_DEVICES names a GPU, or a slice of it (MIG).

    CUDA takes the beginning of a name, too; anything else hides all.
    """
    import pynvml

    if name.startswith("GPU-"):
        return bool(pynvml.nvmlDeviceGetUUID(gpu).startswith(name))
    if name.startswith("MIG-GPU-"):  # before driver 470: MIG-GPU-UUID/INSTANCE/COMPUTE
        return bool(f"MIG-{pynvml.nvmlDeviceGetUUID(gpu)}".startswith(name.partition("/")[0]))
    if name.startswith("MIG-"):
        return any(slice_.startswith(name) for slice_, _ in _slices(gpu))
    return name == str(number)


def _slices(gpu: Any) -> Iterator[tuple[str, str]]:
    """By what each slice of a GPU is told from others, and its name."""
    import pynvml

    try:
        count = pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu)
    except pynvml.NVMLError:
        return
    for number in range(count):
        try:
            part = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, number)
            yield pynvml.nvmlDeviceGetUUID(part), pynvml.nvmlDeviceGetName(part)
        except pynvml.NVMLError:  # there is none of this number
            continue


def _gpu() -> Machine | None:
    """The first GPU that the user does not hide, if any."""
    first = next(iter(gpus()), None)
    return None if first is None else Machine("cuda", first.name, limits.cores(), first.bfloat16)
