from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

PYTHON = Path(__file__).resolve().parent.parent
REPOSITORY = PYTHON.parent
sys.path.insert(0, str(PYTHON))

from embed_worker import blas  # noqa: E402

MODEL = Path(os.environ.get("EMBEDGE_TEST_MODEL", REPOSITORY / ".embedge/models/all-MiniLM-L6-v2"))
BLAS = Path(os.environ.get("EMBEDGE_TEST_BLAS", REPOSITORY / ".embedge/blas/libcblas.so"))

FAST = Path(os.environ.get("EMBEDGE_TEST_FAST", REPOSITORY / ".embedge/fast"))
if FAST.is_dir():
    os.environ["NUMBA_CACHE_DIR"] = str(FAST / "compiled")
    sys.path.append(str(FAST))

# Before any test module imports MLX, as in a worker. A missing library is a failure of the run, not a skip.
if sys.platform == "linux":
    blas.preload(BLAS)

from embed_worker.embedder import Embedder  # noqa: E402
from embed_worker.load import load_model  # noqa: E402
from embed_worker.ops import choose_ops  # noqa: E402
from tests.support import Golden, read_golden  # noqa: E402


@pytest.fixture(scope="session")
def model_folder() -> Path:
    assert MODEL.is_dir(), f"no model in {MODEL}: run npm start once, or set EMBEDGE_TEST_MODEL"
    return MODEL


@pytest.fixture(scope="session")
def blas_library() -> Path | None:
    return BLAS if sys.platform == "linux" else None


@pytest.fixture(scope="session")
def minilm(model_folder: Path) -> Embedder:
    loaded = load_model(model_folder, choose_ops("cpu"))
    return Embedder(loaded, 512, loaded.model.pass_cost)


@pytest.fixture(scope="session")
def golden() -> Golden:
    return read_golden(REPOSITORY / "test/golden/minilm.json")
