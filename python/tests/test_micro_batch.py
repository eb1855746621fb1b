from __future__ import annotations

import random

import numpy as np
import pytest

from embed_worker.micro_batch import micro_batches


def texts(*lengths: int) -> list[np.ndarray]:
    return [np.full(length, row + 1, dtype=np.int32) for row, length in enumerate(lengths)]


def test_texts_of_similar_length_share_a_pass_shortest_first() -> None:
    parts = list(micro_batches(texts(9, 2, 10, 3), 20, pad_id=0))
    assert [part.rows.tolist() for part in parts] == [[1, 3], [0, 2]]


def test_a_pass_is_padded_to_its_own_longest_text() -> None:
    (part,) = micro_batches(texts(1, 3), 100, pad_id=7)
    assert part.ids.tolist() == [[1, 7, 7], [2, 2, 2]]
    assert part.lengths.tolist() == [1, 3]


def test_a_text_above_the_budget_gets_a_pass_of_its_own() -> None:
    assert [part.rows.tolist() for part in micro_batches(texts(50, 2), 10, pad_id=0)] == [[1], [0]]


def test_a_text_without_tokens_is_left_out() -> None:
    assert [part.rows.tolist() for part in micro_batches(texts(0, 4), 10, pad_id=0)] == [[1]]


def test_no_texts_make_no_pass() -> None:
    assert list(micro_batches([], 10, pad_id=0)) == []


@pytest.mark.parametrize("seed", range(50))
def test_every_text_runs_once_unchanged_and_within_the_budget(seed: int) -> None:
    chance = random.Random(seed)
    given = texts(*(chance.randint(1, 40) for _ in range(chance.randint(1, 60))))
    parts = list(micro_batches(given, 64, pad_id=0))
    assert sorted(row for part in parts for row in part.rows) == list(range(len(given)))
    for part in parts:
        assert part.ids.size <= 64 or len(part.rows) == 1
        for row, ids, length in zip(part.rows, part.ids, part.lengths, strict=True):
            assert np.array_equal(ids[:length], given[row])
            assert not ids[length:].any()
