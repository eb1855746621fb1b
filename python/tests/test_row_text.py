from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from embed_worker.row_text import json_rows


def any_floats() -> np.ndarray:
    """Each exponent and sign, with random digits, and the ends of the range."""
    source = np.random.default_rng(7)
    bits = source.integers(0, 2**32, 20_000, dtype=np.uint32)
    values = bits.view(np.float32)
    ends = np.array([0, -0.0, 1, -1, 0.1, 1e-45, 1.1754944e-38, 3.4028235e38, 16_777_216, 1e-5], dtype=np.float32)
    return np.concatenate([values[np.isfinite(values)], ends])


def test_each_number_is_the_same_float32_again_and_no_shorter_decimal_is() -> None:
    values = any_floats()
    (row,) = json_rows(values[None])
    for value, decimal in zip(values, row.decode()[1:-1].split(","), strict=True):
        assert struct.pack("<f", float(decimal)) == struct.pack("<f", value)
        assert digits_of(decimal) <= digits_of(np.format_float_scientific(value, unique=True, trim="-"))


def digits_of(decimal: str) -> int:
    return len(decimal.lstrip("-").split("e")[0].replace(".", "").strip("0"))


@pytest.mark.parametrize("shape", [(0, 4), (1, 4), (3, 1)])
def test_one_text_per_row_in_order(shape: tuple[int, int]) -> None:
    data = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape) / 8
    assert [json.loads(text) for text in json_rows(data)] == data.tolist()


def test_rows_of_a_wider_matrix_are_written_too() -> None:
    wide = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert [json.loads(text) for text in json_rows(wide[:, :2])] == wide[:, :2].tolist()
