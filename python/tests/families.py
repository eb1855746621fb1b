"""The small models of test/models: one folder per family, each with vectors by sentence-transformers (PyTorch)."""

from __future__ import annotations

import base64
import json
import shutil
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np

from embed_worker.embedder import Embedder
from embed_worker.load import load_model
from embed_worker.ops import choose_ops
from embed_worker.ops.metal import MetalOps
from tests.support import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MODELS = REPOSITORY / "test/models"
FOLDERS = sorted(path.name for path in MODELS.iterdir())


class MetalOpsInFloat32(MetalOps):
    """The operations of a GPU, run by whatever device there is."""

    def dtype(self, *, half_is_safe: bool) -> mx.Dtype:  # noqa: ARG002 - float16 would hide what differs
        return mx.float32


def load(folder: Path | str, ops: MetalOps | None = None, budget_tokens: int = 512) -> Embedder:
    """The embedder of a folder, or of one of FOLDERS."""
    return Embedder(load_model(MODELS / folder, ops or choose_ops("cpu")), budget_tokens)


def copy(name: str, to: Path) -> Path:
    """A copy of one of FOLDERS that a test may change."""
    return shutil.copytree(MODELS / name, to / name)


def edit(path: Path, **changes: object) -> None:
    """Set keys of a JSON file; None takes a key away."""
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def golden(name: str) -> dict[str, Any]:
    return json.loads((MODELS / name / "golden.json").read_text(encoding="utf-8"))


def reference(name: str, case: str) -> np.ndarray:
    """Vectors of the texts of a golden file: (texts, dimensions)."""
    stored = golden(name)["cases"][case]
    vectors = np.frombuffer(base64.b64decode(stored["vectors_base64_f32le"]), dtype="<f4")
    return vectors.reshape(-1, stored["dimensions"])


def embed(embedder: Embedder, texts: Sequence[str], prompt: str = "", **options: Any) -> np.ndarray:  # noqa: ANN401
    vectors = embedder.embed(embedder.tokenise(texts, prompt), **{"normalize": True, **options})
    assert vectors.failed_rows == []
    return vectors.data


def distance(left: np.ndarray, right: np.ndarray) -> float:
    assert left.shape == right.shape
    return float(np.abs(left - right).max())
