from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest

from embed_worker.micro_batch import Budget, micro_batches

if TYPE_CHECKING:
    from collections.abc import Sequence


def texts(*lengths: int) -> list[np.ndarray]:
    return [np.full(length, row + 1, dtype=np.int32) for row, length in enumerate(lengths)]


def with_pass_tokens(pass_tokens: int, tokens_max: int = 512) -> Budget:
    return Budget(tokens_max, lambda texts, longest: pass_tokens + texts * longest)


def rows(lengths: Sequence[int], budget: Budget) -> list[list[int]]:
    return [part.rows.tolist() for part in micro_batches(texts(*lengths), budget, pad_id=0)]


def test_texts_of_similar_length_share_a_pass_shortest_first() -> None:
    assert rows([9, 2, 10, 3], with_pass_tokens(5, tokens_max=20)) == [[1, 3], [0, 2]]


@pytest.mark.parametrize(
    ("pass_tokens", "passes"),
    [(0, [[0], [1], [2], [3]]), (5, [[0, 1], [2], [3]]), (50, [[0, 1, 2], [3]]), (500, [[0, 1, 2, 3]])],
)
def test_the_dearer_a_pass_the_more_padding_it_is_worth(pass_tokens: int, passes: list[list[int]]) -> None:
    assert rows([4, 6, 20, 100], with_pass_tokens(pass_tokens)) == passes


def test_a_pass_is_padded_to_its_own_longest_text() -> None:
    (part,) = micro_batches(texts(1, 3), with_pass_tokens(100), pad_id=7)
    assert part.ids.tolist() == [[1, 7, 7], [2, 2, 2]]
    assert part.lengths.tolist() == [1, 3]


def test_a_text_above_the_budget_gets_a_pass_of_its_own() -> None:
    assert rows([50, 2], with_pass_tokens(100, tokens_max=10)) == [[1], [0]]


def test_a_text_without_tokens_is_left_out() -> None:
    assert rows([0, 4], with_pass_tokens(9, tokens_max=10)) == [[1]]


def test_no_texts_make_no_pass() -> None:
    assert rows([], with_pass_tokens(9, tokens_max=10)) == []


@pytest.mark.parametrize("seed", range(50))
def test_every_text_runs_once_unchanged_and_within_the_budget(seed: int) -> None:
    chance = random.Random(seed)
    given = texts(*(chance.randint(1, 40) for _ in range(chance.randint(1, 60))))
    parts = list(micro_batches(given, with_pass_tokens(9, tokens_max=64), pad_id=0))
    assert sorted(row for part in parts for row in part.rows) == list(range(len(given)))
    for part in parts:
        assert part.ids.size <= 64 or len(part.rows) == 1
        for row, ids, length in zip(part.rows, part.ids, part.lengths, strict=True):
            assert np.array_equal(ids[:length], given[row])
            assert not ids[length:].any()
