"""The numbers of a model, out of safetensors files that may lie about themselves.

Types, shapes and offsets are checked with the safetensors reader before anything is loaded, since mx.load accepts some
files that lie about them (offsets that wrap at 2^64, negative sizes, tensors that overlap).
"""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import mlx.core as mx
from safetensors import SafetensorError, safe_open

from embed_worker.errors import BadModel
from embed_worker.ops.quantised import Quantised

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from embed_worker.folder import Folder
    from embed_worker.ops.quantised import Weight
    from embed_worker.quantisation import Grid, Quantisation

FILE_BYTES_MAX = 32 * 1024**3
# The header of a model with 10,000 tensors has 1 MB; the safetensors reader itself would take 100 MB.
HEADER_BYTES_MAX = 16 * 1024**2
FLOATS = ("F32", "F16", "BF16")

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Wanted:
    """Which weights a model needs, and in which form."""

    shapes: Mapping[str, tuple[int, ...]]
    """Of the matrices multiplied out, by our names."""
    dtype: mx.Dtype
    name_of: Callable[[str], str | None] = str
    """Our name of a stored tensor; None for one that is not needed."""
    stays_quantised: bool = False
    """Whether a matrix that is stored quantised is handed over so; else it is multiplied out."""
    is_held_quantised: bool = False
    """Whether it is also kept so, for the estimate of memory."""


@dataclass(frozen=True)
class _Tensor:
    """What a header says."""

    file: str
    dtype: str
    shape: tuple[int, ...]


class Checkpoint:
    """Safetensors files of a folder: their headers, checked, and on demand the numbers."""

    def __init__(self, folder: Folder, files: Sequence[str], quantisation: Quantisation | None = None) -> None:
        self._folder = folder
        self._quantisation = quantisation
        self._tensors: dict[str, _Tensor] = {}
        for file in files:
            for name, tensor in _read_header(folder, file).items():
                if name in self._tensors:
                    raise BadModel(f"{file} holds weight {name[:100]} a second time")
                self._tensors[name] = tensor

    def rows(self, stored: str) -> int | None:
        """Number of rows of a stored matrix; None without it."""
        tensor = self._tensors.get(stored)
        return tensor.shape[0] if tensor and tensor.shape else None

    def load(self, wanted: Wanted) -> dict[str, Weight]:
        """All wanted weights. Raises BadModel, naming what is missing, unknown, of another shape or not finite."""
        stored_as = self._match(wanted)
        grids = self._grids(wanted, stored_as)
        self._check_memory(wanted, grids)
        for name, shape in wanted.shapes.items():
            self._check(stored_as, name, shape, grids.get(name))
        files = {self._tensors[stored].file for stored in stored_as.values()}
        arrays = {file: mx.load(str(self._folder.file(file)), format="safetensors") for file in sorted(files)}
        read = {name: arrays[self._tensors[stored].file][stored] for name, stored in stored_as.items()}
        weights = {name: _weight(read, name, wanted, grids.get(name)) for name in wanted.shapes}
        del arrays, read
        _check_numbers(weights)
        mx.clear_cache()
        return weights

    def _match(self, wanted: Wanted) -> dict[str, str]:
        """Our names → stored names, scales and biases among them, of exactly what is wanted."""
        stored_as: dict[str, str] = {}
        for stored in self._tensors:
            name = wanted.name_of(stored)
            if name is not None and stored_as.setdefault(name, stored) != stored:
                raise BadModel(f"the model holds weight {name[:100]} twice")
        _refuse_names("lacks", wanted.shapes.keys() - stored_as.keys())
        extra = stored_as.keys() - wanted.shapes.keys()
        if self._quantisation is not None:
            matrices = {name.removesuffix("weight") for name, shape in wanted.shapes.items() if len(shape) == 2}
            extra -= {matrix + part for matrix in matrices for part in ("scales", "biases")}
        _refuse_names("has unknown", extra)
        return stored_as

    def _grids(self, wanted: Wanted, stored_as: Mapping[str, str]) -> dict[str, Grid]:
        """The grid of each quantised matrix: of one that has scales."""
        if self._quantisation is None:
            return {}
        return {
            name: self._quantisation.of(stored_as[name].removesuffix(".weight"))
            for name in wanted.shapes
            if _beside(name, "scales") in stored_as
        }

    def _check_memory(self, wanted: Wanted, grids: Mapping[str, Grid]) -> None:
        def size(name: str, shape: tuple[int, ...]) -> float:
            grid = grids.get(name) if wanted.is_held_quantised else None
            bytes_each = wanted.dtype.size if grid is None else grid.bits / 8 + 2 * wanted.dtype.size / grid.group_size
            return math.prod(shape) * bytes_each

        needed, there = sum(size(name, shape) for name, shape in wanted.shapes.items()), memory_bytes()
        if needed > there:
            sizes = f"{needed / 1e9:,.1f} GB of memory, and this machine has {there / 1e9:,.1f} GB"
            raise BadModel(f"the weights need {sizes}")

    def _check(self, stored_as: Mapping[str, str], name: str, shape: tuple[int, ...], grid: Grid | None) -> None:
        """Compare one weight, with its scales and biases, with what its header says."""
        if grid is None:
            return self._check_tensor(stored_as[name], shape, FLOATS)
        rows, columns = shape
        if columns % grid.group_size or columns * grid.bits % 32:
            raise BadModel(f"weight {name[:100]} has {columns} columns, no multiple of its groups of {grid.group_size}")
        self._check_tensor(stored_as[name], grid.packed_shape((rows, columns)), ("U32",))
        for part in ("scales", "biases"):
            stored = stored_as.get(_beside(name, part))
            if stored is None:
                raise BadModel(f"the model lacks weights: {_beside(name, part)[:100]}")
            self._check_tensor(stored, grid.scales_shape((rows, columns)), FLOATS)
        return None

    def _check_tensor(self, stored: str, shape: tuple[int, ...], dtypes: Sequence[str]) -> None:
        tensor = self._tensors[stored]
        if tensor.dtype not in dtypes or tensor.shape != shape:
            found = f"{tensor.dtype[:20]} {str(tensor.shape)[:60]}"
            raise BadModel(f"weight {stored[:100]} is {found}, not {' or '.join(dtypes)} {shape}")


def weight_files(folder: Folder) -> list[str]:
    """Names of the model's own safetensors files, in order."""
    if folder.has("model.safetensors"):
        return ["model.safetensors"]
    shards = folder.names("model-*-of-*.safetensors")
    if not shards:
        raise BadModel(
            "the model folder has no model.safetensors; other formats, which may hold code, are never opened"
        )
    return shards


def weights_sha256(folder: Folder, files: Sequence[str]) -> str:
    """Hash of the weights: of the file, or of the hashes of all files in order."""
    hashes = [folder.sha256(name) for name in files]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def memory_bytes() -> int:
    """Memory that this process may hope for: the machine's, or less where a control group says so."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(physical, int(_CGROUP_LIMIT.read_text()))
    except (OSError, ValueError):  # not Linux, or "max"
        return physical


def _read_header(folder: Folder, file: str) -> dict[str, _Tensor]:
    """What a file says of its tensors, after the checks of the safetensors reader; the numbers are not touched."""
    path = folder.file(file)
    if path.stat().st_size > FILE_BYTES_MAX:
        raise BadModel(f"{file} is larger than {FILE_BYTES_MAX} bytes")
    with path.open("rb") as stream:
        header_bytes = int.from_bytes(stream.read(8), "little")
    if header_bytes > HEADER_BYTES_MAX:
        raise BadModel(f"{file} is not a sound safetensors file: it claims a header of {header_bytes} bytes")
    try:
        with safe_open(path, framework="numpy") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 - not a dict
            return {name: _Tensor(file, part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()}
    except (SafetensorError, OSError, ValueError) as error:
        raise BadModel(f"{file} is not a sound safetensors file: {str(error)[:200]}") from error


def _beside(name: str, part: str) -> str:
    return f"{name.removesuffix('weight')}{part}"


def _weight(read: Mapping[str, mx.array], name: str, wanted: Wanted, grid: Grid | None) -> Weight:
    """One weight in the form that is wanted, not computed yet."""
    if grid is None:
        return read[name].astype(wanted.dtype)
    scales, biases = (read[_beside(name, part)].astype(wanted.dtype) for part in ("scales", "biases"))
    matrix = Quantised(read[name], scales, biases, grid.group_size, grid.bits)
    return matrix if wanted.stays_quantised else matrix.dense()


def _check_numbers(weights: Mapping[str, Weight]) -> None:
    """Compute all weights, and refuse those with numbers that are not finite."""

    def parts(weight: Weight) -> list[mx.array]:
        return [weight.packed, weight.scales, weight.biases] if isinstance(weight, Quantised) else [weight]

    mx.eval([part for weight in weights.values() for part in parts(weight)])
    broken = [name for name, weight in weights.items() if not all(mx.isfinite(part).all() for part in parts(weight))]
    _refuse_names("has numbers that are not finite in", broken)


def _refuse_names(what: str, names: Iterable[str]) -> None:
    """Raise BadModel with the first few names when there are any."""
    found = sorted(names)
    if found:
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        raise BadModel(f"the model {what} weights: {', '.join(name[:100] for name in found[:5])}{more}")
