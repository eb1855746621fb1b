"""From texts to vectors with one loaded model; everything but tokenising belongs to the MLX thread."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import mlx.core as mx
import numpy as np

from embed_worker.micro_batch import Budget, micro_batches
from embed_worker.pooling import normalise, pool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embed_worker.load import LoadedModel
    from embed_worker.micro_batch import MicroBatch, PassCost
    from embed_worker.pooling import Pooling
    from embed_worker.recipe import Side
    from embed_worker.tokenise import Tokens

# How far from 1 the length of a normalised vector may be.
LENGTH_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Vectors:
    """One row per text."""

    data: np.ndarray
    """(rows, dimensions) float32; failed rows are zero."""
    failed_rows: Sequence[int]
    """Rows that gave no valid vector: not finite, zero, or not of length 1 when normalised."""
    pooling: Pooling


class Embedder:
    """One model on one device."""

    def __init__(self, loaded: LoadedModel, micro_batch_tokens: int, pass_cost: PassCost = operator.mul) -> None:
        self.loaded = loaded
        self._budget = Budget(micro_batch_tokens, pass_cost)

    def tokenise(self, texts: Sequence[str], prompt: str = "", side: Side | None = None) -> Tokens:
        """Token ids of the texts, each after the prompt; on any thread, one at a time. Raises BadRequest.

        As sentence-transformers does it, prompt and text are one string: the prompt's tokens count for the limit, and
        are cut first when a long text is cut at the left.
        """
        return self.loaded.tokeniser.encode([prompt + text for text in texts] if prompt else texts, side)

    def embed(
        self,
        tokens: Tokens,
        pooling: Pooling | Literal["default"] = "default",
        *,
        normalize: bool,
        dimensions: int | None = None,
    ) -> Vectors:
        """Vectors of the texts, in their order. Raises what MLX raises; the process cannot be trusted after that.

        With `dimensions` only so many numbers are kept, and then normalised (Matryoshka, Kusupati et al. 2022).
        """
        chosen = self.loaded.pooling if pooling == "default" else pooling
        data = np.zeros((len(tokens.ids), dimensions or self.loaded.dimensions), dtype=np.float32)
        for part in micro_batches(tokens.ids, self._budget, self.loaded.pad_id):
            vectors = self._forward(part, chosen)[:, : data.shape[1]]
            if normalize:
                vectors = normalise(vectors)
            mx.eval(vectors)
            data[part.rows] = np.array(vectors)
        valid = _valid_rows(data, normalize=normalize)
        data[~valid] = 0
        return Vectors(data, np.flatnonzero(~valid).tolist(), chosen)

    def _forward(self, part: MicroBatch, pooling: Pooling) -> mx.array:
        """One pass, not computed yet: (batch, tokens) → (batch, dimensions), float32."""
        lengths = mx.array(part.lengths)
        tokens = part.ids.shape[1]
        is_padded = bool((part.lengths < tokens).any())
        inside = mx.arange(tokens)[None] < lengths[:, None] if is_padded else None
        vectors = pool(self.loaded.model(mx.array(part.ids), inside), lengths, pooling)
        for layer in self.loaded.dense:
            vectors = layer(vectors)
        return vectors


def _valid_rows(data: np.ndarray, *, normalize: bool) -> np.ndarray:
    """Which rows are real vectors: (rows, dim) → bool (rows,)."""
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.sqrt(np.square(data, dtype=np.float64).sum(axis=1))
    if normalize:
        return np.abs(lengths - 1) < LENGTH_TOLERANCE
    return np.isfinite(lengths) & (lengths > 0)
