"""Prove, before the host is told "ready", that this process makes right vectors."""

from __future__ import annotations

import base64
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import mlx.core as mx
import numpy as np

from embed_worker.embedder import Embedder
from embed_worker.errors import SelfTestFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

GOLDEN_FOLDER = Path(__file__).parent / "golden"
# Largest difference of one number. float32 gives 4e-7 in practice, float16 5e-4.
TOLERANCE = {mx.float32: 1e-4, mx.float16: 5e-3}

# From one short word to past every limit, so that each path of the device's operations runs.
TEXTS = (
    "hello",
    "A short sentence about the weather in spring.",
    "Many words make a text of middling length. " * 6,
    "This text is longer than what most models can read at once. " * 40,
)


@dataclass(frozen=True)
class Golden:
    """Vectors of a reference implementation for known weights: (texts, dimensions) float32, normalised."""

    texts: Sequence[str]
    vectors: np.ndarray


def run_self_test(embedder: Embedder) -> None:
    """Raise SelfTestFailed unless vectors are right.

    They must be finite, of length 1, repeatable, the same alone and in a batch, and, for weights whose reference
    vectors are shipped, equal to those.
    """
    tolerance = TOLERANCE[embedder.loaded.dtype]
    golden = find_golden(embedder.loaded.weights_sha256)
    texts = golden.texts if golden else TEXTS
    # Padded to the longest, whatever the device would cut, since only then a mask that is wrong shows.
    one_pass = Embedder(embedder.loaded, sys.maxsize, lambda texts, longest: 1)  # noqa: ARG005
    alone = np.concatenate([_embed(embedder, [text]) for text in texts])
    together = _embed(one_pass, texts)
    if not np.array_equal(together, _embed(one_pass, texts)):
        raise SelfTestFailed("the same texts gave two different sets of vectors")
    _compare(alone, together, tolerance, "a text alone and the same text in a batch")
    if golden:
        _compare(alone, golden.vectors, tolerance, "a text and its pinned vector")


def find_golden(weights_sha256: str) -> Golden | None:
    """Reference vectors for these weights; None where none are shipped."""
    for path in sorted(GOLDEN_FOLDER.glob("*.json")):
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["weights_sha256"] == weights_sha256:
            texts = stored["texts"]
            vectors = np.frombuffer(base64.b64decode(stored["vectors_base64_f32le"]), dtype="<f4")
            return Golden(texts, vectors.reshape(len(texts), -1))
    return None


def _embed(embedder: Embedder, texts: Sequence[str]) -> np.ndarray:
    vectors = embedder.embed(embedder.tokenise(texts), normalize=True)
    if vectors.failed_rows:
        raise SelfTestFailed("a vector was not finite or not of length 1")
    return vectors.data


def _compare(left: np.ndarray, right: np.ndarray, tolerance: float, what: str) -> None:
    if left.shape != right.shape:
        raise SelfTestFailed(f"{what} have {left.shape[1]} and {right.shape[1]} dimensions")
    difference = float(np.abs(left - right).max())
    if difference > tolerance:
        raise SelfTestFailed(f"{what} differ by {difference:.1e}, more than {tolerance:.0e}")
