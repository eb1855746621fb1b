from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import TYPE_CHECKING

import mlx.core as mx
import numpy as np
import pytest

from embed_worker import extras
from embed_worker.embedder import Embedder
from embed_worker.load import load_model
from embed_worker.ops.cpu import CpuOps
from embed_worker.ops.in_place import NumpyElementwise
from embed_worker.self_test import run_self_test
from tests.conftest import FAST, PYTHON

if TYPE_CHECKING:
    from pathlib import Path

needs_fast = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="the extra `fast` is not installed")


class Wrong(NumpyElementwise):
    """GELU that forgets the bias."""

    def gelu(self, product: mx.array, bias: mx.array) -> mx.array:
        return super().gelu(product, mx.zeros_like(bias))


def test_loops_that_are_wrong_here_are_seen() -> None:
    assert extras._largest_difference(Wrong) > 0.01
    assert extras._largest_difference(NumpyElementwise) == 0


def test_a_folder_without_the_packages_is_said_and_does_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(FAST)])
    for name in [name for name in sys.modules if name.split(".")[0] == "numba" or name == "embed_worker.ops.fast"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    assert extras.load_fast(tmp_path) is None
    assert "`fast` does not load (ModuleNotFoundError)" in capsys.readouterr().err


def test_loops_that_are_off_are_not_used(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    monkeypatch.setattr("embed_worker.ops.fast.NumbaElementwise", Wrong)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert extras.load_fast(FAST) is None
    assert "going on without it" in capsys.readouterr().err


@needs_fast
def test_the_compiled_loops_give_the_pinned_vectors_alone_and_in_a_batch(model_folder: Path) -> None:
    from embed_worker.ops.fast import NumbaElementwise  # noqa: PLC0415

    fast = Embedder(load_model(model_folder, CpuOps(NumbaElementwise)), 512)
    run_self_test(fast)
    texts = [" ".join(["river"] * words) for words in (1, 3, 3, 11, 30, 60, 200, 254)]
    together = fast.embed(fast.tokenise(texts), normalize=True).data
    alone = np.concatenate([fast.embed(fast.tokenise([text]), normalize=True).data for text in texts])
    assert np.abs(together - alone).max() <= 1e-6


@needs_fast
@pytest.mark.skipif(not FAST.is_dir(), reason="numba is in the environment itself here")
def test_what_is_compiled_once_is_found_again(tmp_path: Path) -> None:
    listed = (path.name for path in (FAST / "compiled").rglob("*.nbi"))
    assert {name.split("-")[0] for name in listed} >= {"fast._gelu", "fast._standardise", "fast._power_of_two"}
    command = [sys.executable, "-I", str(PYTHON / "prepare_fast.py")]
    assert subprocess.run([*command, str(FAST)], check=False).returncode == 0
    assert subprocess.run([*command, str(tmp_path)], check=False, capture_output=True).returncode == 1
