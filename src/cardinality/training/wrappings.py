"""Weight files of other people: what is wrapped around the tensors, read without running any of it.

A file is looked at in three steps. What it begins with says what it is. A pickle's names say what
would be built from it: tensors are, and of a list of harmless things a stand-in that holds nothing;
all else is refused by name. What is left is unwrapped: the key in a checkpoint, then prefixes.
"""

import pickletools
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor, nn

from cardinality.common import files
from cardinality.common.errors import UserError
from cardinality.common.text import line

# Under which key checkpoints keep a net, in the order in which one is taken: this suite, torch's
# references and examples, torch's tutorial, timm, DeepSpeed; averaged weights are taken last.
KEYS = (
    "net",
    "model",
    "state_dict",
    "model_state_dict",
    "model_state",
    "module",
    "model_ema",
    "state_dict_ema",
    "ema_state_dict",
)
# What DataParallel, torch.compile and people's own modules put before every name.
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.")
# What averaging keeps beside the weights (torch.optim.swa_utils.AveragedModel).
BESIDE = {"n_averaged"}
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)

# What stands beside tensors in checkpoints: settings, dates, a best accuracy from numpy. None of
# these is built; a stand-in takes its place. (numpy's own scalar() takes any size of memory.)
HARMLESS = (
    "argparse.Namespace",
    "types.SimpleNamespace",
    "collections.defaultdict",
    "collections.deque",
    "datetime.datetime",
    "datetime.date",
    "datetime.timedelta",
    "datetime.timezone",
    "decimal.Decimal",
    "fractions.Fraction",
    "uuid.UUID",
    *(
        f"pathlib.{kind}{system}Path"
        for kind in ("", "Pure")
        for system in ("", "Posix", "Windows")
    ),
    *(f"pathlib._local.{system}Path" for system in ("", "Posix", "Windows")),
    *(
        f"numpy.{core}.multiarray.{name}"
        for core in ("core", "_core")
        for name in ("scalar", "_reconstruct")
    ),
    *(f"numpy.{core}.numeric._frombuffer" for core in ("core", "_core")),
    "numpy.dtype",
    "numpy.ndarray",
    *(
        f"numpy.{name}"
        for name in ("bool_", "int32", "int64", "float16", "float32", "float64", "longlong")
    ),
    *(
        f"numpy.dtypes.{name}DType"
        for name in ("Bool", "Int32", "Int64", "UInt32", "UInt64", "Float16", "Float32", "Float64")
    ),
    "lightning_fabric.utilities.data.AttributeDict",
    "lightning.fabric.utilities.data.AttributeDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "easydict.EasyDict",
    "addict.addict.Dict",
    "yacs.config.CfgNode",
)
# Of what torch would build, these take as much memory as a few bytes say.
REFUSED = {"builtins.bytearray", "__builtin__.bytearray"}

# What files begin with that are given as weights, and are none.
BEGINNINGS = (
    (b"version https://git-lfs", "a pointer of Git LFS and not the weights; run: git lfs pull"),
    (b"<", "a page of HTML, such as a server sends in place of a file; download it again"),
    (b"\x1f\x8b", "packed by gzip; unpack it first"),
    (b"BZh", "packed by bzip2; unpack it first"),
    (b"\xfd7zXZ", "packed by xz; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd; unpack it first"),
    (b"\x89HDF", "HDF5, as Keras writes it; allowed: .safetensors, or weights saved by torch"),
    (b"\x93NUMPY", "an array of numpy; allowed: .safetensors, or weights saved by torch"),
    (b"\x08", "perhaps ONNX; allowed: .safetensors, or weights saved by torch"),
)
HEAD = 512
# Of torch's format before 1.6: what it is, of which version and machine, the content, the keys.
PICKLES = 5
# The number that it begins with, as a pickle has it (torch/serialization.py, MAGIC_NUMBER).
MAGIC = 0x1950A86A20F9469CFC6C.to_bytes(10, "little")


class Nothing:
    """Stands in for what is beside the weights: takes whatever a pickle gives it, keeps none."""

    def __new__(cls, *_: object, **__: object) -> "Nothing":
        """Whatever it is made of."""
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass


@dataclass(frozen=True)
class Unwrapped:
    """Weights as they were found.

    Attributes:
        weights: names, without prefixes, and tensors in float32.
        choice: in words under which key they stood, where there were several, and what stood
            beside them.
    """

    weights: dict[str, Tensor]
    choice: str | None


def kind_of(path: Path) -> str:
    """What a file is by what it begins with: ``safetensors``, ``zip`` or ``pickle``.

    Raises:
        UserError: it is none of them; in words what it is.
    """
    size = files.look(path).st_size
    if not size:
        raise UserError(f"{path}: is empty; copy or download it again")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise UserError(f"{path}: {files.reason(error)}") from None
    if head.startswith(b"PK"):
        return "zip"
    if head.startswith(b"\x80"):
        return "pickle"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**32:
        return "safetensors"
    bare = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    told = next((words for begin, words in BEGINNINGS if bare.startswith(begin)), None)
    if told is None:
        told = "nothing that is known; allowed: .safetensors, or weights saved by torch"
    raise UserError(f"{path}: is {told}")


def read_torch(path: Path, kind: str) -> Any:
    """What torch saved, with a stand-in for what is `HARMLESS` and is no tensor.

    Raises:
        UserError: it is damaged, or holds what cannot be read safely, by name.
    """
    size = path.stat().st_size
    unknown = sorted(_globals(path, kind, size) - _allowed())
    if unknown:
        raise UserError(_refusal(path, _first(unknown)))
    stand_ins = [(Nothing, name) for name in HARMLESS]
    try:
        with (
            torch.serialization.safe_globals(stand_ins),  # type: ignore[arg-type] # pairs, too
            warnings.catch_warnings(action="ignore"),  # of what is refused afterwards
            path.open("rb") as file,  # of a path torch would believe the name
        ):
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged pickle leads to
        # Torch's own message advises to read it without that protection, after the first line.
        if "Unsupported operand" in str(error):  # of another protocol than torch's, which is 2
            raise UserError(_refusal(path, "a pickle of another protocol than 2")) from None
        first = (str(error).strip().splitlines() or [""])[0].partition(". This file can")[0]
        told = f"{type(error).__name__}: {line(first, 120)}"
        raise UserError(f"{path}: damaged, or no weights ({told}); copy it again") from None


def _allowed() -> set[str]:
    """Names that a pickle of tensors and plain values may have."""
    from torch._weights_only_unpickler import _get_allowed_globals

    # Python 2's names of the builtins, which pickles of protocol 2 have.
    plain = {"__builtin__.set", "__builtin__.complex"}
    return ({*_get_allowed_globals(), *plain} - REFUSED) | {*HARMLESS}


def _globals(path: Path, kind: str, size: int) -> set[str]:
    """The names of everything that the pickles in a file would call."""
    try:
        if kind == "pickle":
            with path.open("rb") as file:
                return {name for _ in range(PICKLES) if file.peek(1) for name in _names(file)}
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > size:
                raise UserError(f"{path}: claims more bytes than it has; allowed: stored whole")
            if any(member.filename.endswith("constants.pkl") for member in members):
                raise UserError(_script(path))
            pickles = [m for m in members if m.filename.endswith("data.pkl")]
            if not pickles:
                raise UserError(
                    f"{path}: is a zip archive and not torch's; unpack it, and give the weights"
                )
            return {name for member in pickles for name in _names(BytesIO(archive.read(member)))}
    except UserError:
        raise
    except zipfile.BadZipFile:
        raise UserError(
            f"{path}: is cut or damaged: it begins as torch's files do and has no end; copy or"
            " download it again"
        ) from None
    except Exception as error:  # pickletools raises many kinds
        told = f"{type(error).__name__}: {line(error, 100)}"
        raise UserError(f"{path}: is cut or damaged ({told}); copy it again") from None


def _names(file: IO[bytes]) -> Iterable[str]:
    """The globals of one pickle; nothing of it is built."""
    recent: list[str] = []
    # What is put on the stack once may be taken from the memo later; of it only texts are names.
    memo: dict[int, str | None] = {}
    top: str | None = None
    for operation, argument, _ in pickletools.genops(file):
        name = operation.name
        if name == "MEMOIZE" or name.endswith("PUT"):
            memo[len(memo) if name == "MEMOIZE" else int(argument or 0)] = top
            continue
        top = None
        if name in ("GLOBAL", "INST"):
            yield str(argument).replace(" ", ".", 1)
        elif name == "STACK_GLOBAL":
            yield ".".join(recent[-2:])
        elif name.endswith("UNICODE"):
            top = str(argument)
        elif name.endswith("GET"):
            top = memo.get(int(argument or 0))
        if top is not None:
            recent = [*recent[-1:], top]


def _first(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return line(", ".join(names[:3]), 120) + more


def _refusal(path: Path, holds: str) -> str:
    """Why a file is not read, and how whoever trusts it makes one of it that is."""
    name = repr(path.name[:60])
    with path.open("rb") as file:
        head = file.read(HEAD)
        plain = head.startswith(b"\x80") and MAGIC not in head[:32]
    load = f"net = torch.load({name}, weights_only=False)"
    if plain:
        load = f"import pathlib, pickle; net = pickle.loads(pathlib.Path({name}).read_bytes())"
    return (
        f"{path}: refused, for it holds {holds}, which cannot be read without running code; where"
        f" you trust it, convert it in Python: {load}; torch.save(getattr(net, 'state_dict',"
        " lambda: net.get('state_dict', net))(), 'weights.pth')"
    )


def _script(path: Path) -> str:
    return (
        f"{path}: refused, for it is TorchScript, a program; where you trust it, convert it in"
        f" Python: torch.save(torch.jit.load({path.name[:60]!r}).state_dict(), 'weights.pth')"
    )


def unwrap(content: Any, path: Path, key: str | None = None) -> Unwrapped:
    """Find the weights in what a file holds.

    Args:
        content: what was read.
        path: the file, for messages.
        key: under which they stand, where the user says so.

    Raises:
        UserError: there are none, or ones that are not sound, by name.
    """
    content, choice = _choose(content, path, key)
    if not isinstance(content, Mapping) or not content:
        raise UserError(f"{path}: holds no weights; allowed: names with tensors")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise UserError(f"{path}: {name!r:.80} is no tensor; allowed: names with tensors")
    found = {name: value for name, value in content.items() if name not in BESIDE}
    beside = _beside(found)
    weights = _bare({name: value for name, value in found.items() if name not in beside})
    if beside:
        told = f"without {line(', '.join(beside), 200)}, which stand beside the net"
        choice = told if choice is None else f"{choice}, {told}"
    check(weights, path)
    return Unwrapped(_complete({name: _plain(value) for name, value in weights.items()}), choice)


def _choose(content: Any, path: Path, key: str | None) -> tuple[Any, str | None]:
    """What stands under the key, and where there were several which one that was."""
    if not isinstance(content, Mapping):
        return content, None
    there = [name for name, value in content.items() if _holds_tensors(value)]
    if key is not None:
        if key not in there:
            allowed = ", ".join(str(name) for name in there) or "none: the tensors are not wrapped"
            raise UserError(f"{path}: --key {key!r:.80}: no weights there; allowed: {allowed}")
        return content[key], _told(key, there)
    for name in KEYS:
        if name in there:
            return content[name], _told(name, there) if _several(there) else None
    if there and not any(isinstance(value, Tensor) for value in content.values()):
        allowed = " or ".join(line(f"--key {name}", 100) for name in there)
        raise UserError(f"{path}: which weights is not clear; allowed: {allowed}")
    return content, None


def _several(there: list[Any]) -> bool:
    return len([name for name in there if name in KEYS]) > 1


def _told(name: str, there: list[Any]) -> str:
    others = ", ".join(str(other) for other in there if other != name and other in KEYS)
    return f"{name} (there are also: {others})" if others else name


def _holds_tensors(value: object) -> bool:
    return isinstance(value, Mapping) and any(isinstance(part, Tensor) for part in value.values())


def _beside(weights: Mapping[str, Tensor]) -> list[str]:
    """What stands beside a net that is a part of something, as Lightning's losses and metrics do.

    The net's own names begin with a prefix; its head's may not.
    """
    prefix = _prefix_of_net(weights)
    own = (prefix or "", "fc.", "head.")
    return [] if prefix is None else [name for name in weights if not name.startswith(own)]


def _prefix_of_net(weights: Mapping[str, Tensor]) -> str | None:
    """What stands before the name of the first convolution, where that is a wrapping's."""
    for name in weights:
        prefix = name.removesuffix("conv1.weight")
        if prefix != name and prefix and _is_wrapping(prefix):
            return prefix
    return None


def _is_wrapping(prefix: str) -> bool:
    while prefix:
        first = next((each for each in PREFIXES if prefix.startswith(each)), None)
        if first is None:
            return False
        prefix = prefix.removeprefix(first)
    return True


def _bare(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without what wrappings put before them; a head of its own loses its prefix as well."""
    while True:
        prefix = next((p for p in PREFIXES if f"{p}conv1.weight" in weights), None) or next(
            (p for p in PREFIXES if all(name.startswith(p) for name in weights)), None
        )
        if prefix is None or "conv1.weight" in weights or not weights:
            return weights
        bare = {name.removeprefix(prefix).removeprefix("head."): t for name, t in weights.items()}
        if len(bare) < len(weights):  # two would have one name
            return weights
        weights = bare


def check(weights: Mapping[str, Tensor], path: Path) -> None:
    """See that every tensor is there, plain and finite, before anything is computed with it.

    Raises:
        UserError: one is not, by name.
    """
    claimed = 0
    for name, tensor in weights.items():
        problem = _problem(tensor)
        if problem:
            raise UserError(
                f"{path}: {line(name, 100)} is {problem}; allowed: plain tensors of numbers"
            )
        claimed += tensor.numel() * tensor.element_size()
    if claimed > path.stat().st_size:
        raise UserError(f"{path}: its tensors claim {claimed:,} bytes, more than the file has")
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise UserError(
                f"{path}: {line(name, 100)} has values that are not finite (NaN or infinite), so"
                " that no error would mean anything; allowed: finite weights"
            )
        if name.endswith("running_var") and (tensor < 0).any():
            raise UserError(
                f"{path}: {line(name, 100)} has a negative variance; allowed: 0 or more"
            )


def _problem(tensor: Tensor) -> str | None:
    """What is wrong with a tensor, by what it says of itself; its values are not touched."""
    if type(tensor) not in (Tensor, nn.Parameter):
        return f"of the type {type(tensor).__name__}"
    if tensor.layout != torch.strided:
        return f"sparse ({str(tensor.layout).removeprefix('torch.')})"
    if tensor.device.type != "cpu":
        return f"on the device {tensor.device.type}, without values"
    if tensor.is_quantized:
        return "quantised"
    if tensor.dtype not in (*FLOATS, torch.int64, torch.int32):
        return f"of {str(tensor.dtype).removeprefix('torch.')}"
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        held = tensor.untyped_storage().nbytes()
        return f"{tuple(tensor.shape)} by its shape, of which the file holds {held:,} bytes"
    return None


def _plain(tensor: Tensor) -> Tensor:
    """A tensor in the numbers that a net has: other floats become float32."""
    plain = tensor.detach()
    return plain.float() if plain.is_floating_point() else plain.long()


def _complete(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """With batch norm's counts, which torch before 0.4.1 did not have and evaluation does not use.

    They are filled in where none is there at all: a single one that is missing was lost.
    """
    count = "num_batches_tracked"
    if any(name.endswith(count) for name in weights):
        return weights
    norms = [n.removesuffix("running_mean") for n in weights if n.endswith("running_mean")]
    return {**weights, **{f"{norm}{count}": torch.tensor(0) for norm in norms}}
