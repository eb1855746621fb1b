"""How a checkpoint is quantised, from config.json: MLX's affine mode, with exceptions per module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from embed_worker.errors import BadModel

if TYPE_CHECKING:
    from collections.abc import Mapping

_BITS = (2, 3, 4, 5, 6, 8)
_GROUP_SIZES = (32, 64, 128)


@dataclass(frozen=True)
class Grid:
    """How finely one matrix is quantised."""

    group_size: int
    bits: int

    def packed_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Shape of the packed integers of a matrix, as uint32."""
        return shape[0], shape[1] * self.bits // 32

    def scales_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Shape of the scales of a matrix, and of its biases."""
        return shape[0], shape[1] // self.group_size


@dataclass(frozen=True)
class Quantisation:
    """The grid of each module."""

    usual: Grid
    exceptions: Mapping[str, Grid]
    """By the module's path, as the checkpoint names it."""

    def of(self, module: str) -> Grid:
        """Grid of a module that is quantised."""
        return self.exceptions.get(module, self.usual)


def read_quantisation(settings: Mapping[str, Any]) -> Quantisation | None:
    """What config.json says; None when nothing is quantised. Raises BadModel on a mode other than affine.

    mlx-lm writes the same twice, as `quantization` and `quantization_config`; other tools use the second key alone,
    for layouts of their own.
    """
    config = settings.get("quantization", settings.get("quantization_config"))
    if config is None:
        return None
    if not isinstance(config, dict):
        raise BadModel("config: quantization must be an object")
    if "quant_method" in config:
        raise BadModel(f"config: quantisation by {str(config['quant_method'])[:40]} is not supported, only by MLX")
    exceptions = {
        module: _read_grid({**config, **value}, module) for module, value in config.items() if isinstance(value, dict)
    }
    return Quantisation(_read_grid(config, "quantization"), exceptions)


def _read_grid(config: Mapping[str, Any], where: str) -> Grid:
    mode = config.get("mode", "affine")
    if mode != "affine":
        raise BadModel(f"config: quantisation mode {str(mode)[:40]} is not supported, only affine")
    group_size, bits = config.get("group_size"), config.get("bits")
    if group_size not in _GROUP_SIZES or bits not in _BITS:
        raise BadModel(
            f"config: {where[:60]} has group_size {str(group_size)[:20]} and bits {str(bits)[:20]}, not one of"
            f" {_GROUP_SIZES} and {_BITS}"
        )
    return Grid(int(group_size), int(bits))
