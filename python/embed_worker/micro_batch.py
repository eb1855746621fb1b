"""How a batch is cut into forward passes: by length, under a budget of padded tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

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


class PassCost(Protocol):
    """What a pass costs, in any unit; what no way to cut changes may be left out."""

    def __call__(self, texts: int, longest: int) -> float:
        """Cost of a pass over so many texts of at most `longest` tokens."""


@runtime_checkable
class CountsPasses(Protocol):
    """A model that knows better than its device what a pass costs."""

    pass_cost: PassCost


@dataclass(frozen=True)
class Budget:
    """What one pass may hold, and what it costs."""

    tokens_max: int
    """Padded tokens."""
    pass_cost: PassCost


def micro_batches(ids: Sequence[np.ndarray], budget: Budget, pad_id: int) -> Iterator[MicroBatch]:
    """Cut texts, shortest first, into the passes that cost least; each within the budget, or of one text.

    Texts without any token are left out: they have no vector.
    """
    order = sorted((row for row, text in enumerate(ids) if len(text)), key=lambda row: len(ids[row]))
    for start, end in _cheapest_cuts([len(ids[row]) for row in order], budget):
        yield _pad([(row, ids[row]) for row in order[start:end]], pad_id)


def _cheapest_cuts(lengths: Sequence[int], budget: Budget) -> list[tuple[int, int]]:
    """Ranges of the ascending lengths, in order, whose costs have the least sum: the shortest path over all cuts."""
    least, starts = [0.0], [0]
    for end in range(1, len(lengths) + 1):
        longest = lengths[end - 1]
        count_max = max(1, budget.tokens_max // longest)
        least_here, start_here = min(
            (least[start] + budget.pass_cost(end - start, longest), start)
            for start in range(max(0, end - count_max), end)
        )
        least.append(least_here)
        starts.append(start_here)
    ranges, end = [], len(lengths)
    while end:
        ranges.append((starts[end], end))
        end = starts[end]
    return ranges[::-1]


def _pad(texts: Sequence[tuple[int, np.ndarray]], pad_id: int) -> MicroBatch:
    lengths = np.array([len(ids) for _, ids in texts], dtype=np.int32)
    padded = np.full((len(texts), int(lengths.max())), pad_id, dtype=np.int32)
    for index, (_, ids) in enumerate(texts):
        padded[index, : len(ids)] = ids
    return MicroBatch(np.array([row for row, _ in texts]), padded, lengths)
