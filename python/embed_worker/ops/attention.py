"""Softmax attention within a reach, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import mlx.core as mx

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Reach:
    """Which tokens a token attends to; itself is always among them."""

    causal: bool = False
    """None after it. Texts are padded at the right, so a real token then never sees padding."""
    window: int | None = None
    """None farther away than so many places, either way. Not together with `causal`."""


@dataclass(frozen=True)
class Block:
    """Queries that attend together, and the keys within their reach."""

    queries: slice
    keys: slice
    mask: mx.array | str | None
    """Bool, true where a query sees a key, broadcast to (batch, heads, queries, keys); or "causal"; None: all."""


class Attention:
    """Softmax attention (Vaswani et al. 2017) in bounded memory, however long the text."""

    def __init__(self, heads: int, scale: float, reach: Reach, scores_max: int) -> None:
        self._heads = heads
        self._scale = scale
        self._reach = reach
        self._scores_max = scores_max

    def plan(self, batch: int, tokens: int, inside: mx.array | None) -> Sequence[Block]:
        """How a batch is cut, for all layers alike; `inside` bool (batch, tokens), None when no text is padded."""
        window = self._reach.window
        if window is not None and window >= tokens - 1:
            window = None
        rows = max(1, self._scores_max // (batch * self._heads * tokens))
        if window is not None:
            # A block of 4 windows meets 6 windows of keys; a single block would meet all tokens.
            rows = min(tokens, max(4 * window, 64))
        starts = range(0, tokens, rows)
        if self._reach.causal:
            return [Block(slice(at, at + rows), slice(0, min(at + rows, tokens)), "causal") for at in starts]
        if window is None:
            mask = None if inside is None else inside[:, None, None]
            return [Block(slice(at, at + rows), slice(None), mask) for at in starts]
        return [_windowed(range(at, min(at + rows, tokens)), window, tokens, inside) for at in starts]

    def __call__(self, query: mx.array, key: mx.array, value: mx.array, blocks: Sequence[Block]) -> mx.array:
        """(batch, heads, tokens, head), key and value with fewer heads where several share one → like `query`."""
        parts = [
            mx.fast.scaled_dot_product_attention(
                query[:, :, block.queries],
                key[:, :, block.keys],
                value[:, :, block.keys],
                scale=self._scale,
                mask=block.mask,
            )
            for block in blocks
        ]
        return parts[0] if len(parts) == 1 else mx.concatenate(parts, axis=2)


def _windowed(queries: range, window: int, tokens: int, inside: mx.array | None) -> Block:
    """A block of queries with the keys in their windows."""
    keys = slice(max(0, queries.start - window), min(tokens, queries.stop + window))
    distance = mx.arange(queries.start, queries.stop)[:, None] - mx.arange(keys.start, keys.stop)
    mask = mx.abs(distance) <= window
    if inside is not None:
        # A padded query sees itself at least: a row without any key would give NaN, which spreads.
        mask = (mask & inside[:, None, None, keys]) | (distance == 0)
    return Block(slice(queries.start, queries.stop), keys, mask)
