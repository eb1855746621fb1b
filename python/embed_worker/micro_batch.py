"""How a batch is cut into forward passes: by length, under a budget of padded tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True)
class MicroBatch:
    """Texts of similar length that share one forward pass, right-padded."""

    rows: np.ndarray
    """(batch,) int64: where these texts stand in the whole batch."""
    ids: np.ndarray
    """(batch, tokens) int32, padded with `pad_id`."""
    lengths: np.ndarray
    """(batch,) int32: true tokens of each text, at least 1."""


def micro_batches(ids: Sequence[np.ndarray], tokens_max: int, pad_id: int) -> Iterator[MicroBatch]:
    """Cut texts, shortest first, into passes of at most `tokens_max` padded tokens; at least one text each.

    Texts without any token are left out: they have no vector.
    """
    order = sorted((row for row, text in enumerate(ids) if len(text)), key=lambda row: len(ids[row]))
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and (end + 1 - start) * len(ids[order[end]]) <= tokens_max:
            end += 1
        yield _pad([(row, ids[row]) for row in order[start:end]], pad_id)
        start = end


def _pad(texts: Sequence[tuple[int, np.ndarray]], pad_id: int) -> MicroBatch:
    lengths = np.array([len(ids) for _, ids in texts], dtype=np.int32)
    padded = np.full((len(texts), int(lengths.max())), pad_id, dtype=np.int32)
    for index, (_, ids) in enumerate(texts):
        padded[index, : len(ids)] = ids
    return MicroBatch(np.array([row for row, _ in texts]), padded, lengths)
