"""Matrices in MLX's affine quantisation, as mlx-lm stores them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import mlx.core as mx


@dataclass(frozen=True)
class Quantised:
    """A matrix (rows, columns) of small integers: an element is scale x integer + bias, both per group of a row.

    DWQ and other learned variants change the values of scales and biases, not this layout.
    """

    packed: mx.array
    """uint32 (rows, columns x bits / 32)"""
    scales: mx.array
    """(rows, columns / group_size)"""
    biases: mx.array
    """like `scales`"""
    group_size: int
    bits: int

    def dense(self) -> mx.array:
        """Multiply it out: (rows, columns), of the type of the scales."""
        return mx.dequantize(self.packed, self.scales, self.biases, group_size=self.group_size, bits=self.bits)

    def rows(self, ids: mx.array) -> Quantised:
        """Some of its rows: int32 (…) → a matrix of (…, columns)."""
        return Quantised(self.packed[ids], self.scales[ids], self.biases[ids], self.group_size, self.bits)

    def multiply(self, x: mx.array) -> mx.array:
        """Multiply by its transpose as it is, without multiplying it out: (…, columns) → (…, rows)."""
        return mx.quantized_matmul(
            x, self.packed, self.scales, self.biases, transpose=True, group_size=self.group_size, bits=self.bits
        )


Weight: TypeAlias = mx.array | Quantised
