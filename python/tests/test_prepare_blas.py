from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support import PATIENCE_S, PYTHON

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="macOS has Accelerate")


def prepare(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PYTHON / "prepare_blas.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def test_the_library_is_made_whole_and_leaves_nothing_else_behind(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "libcblas.so"
    assert prepare(out).returncode == 0
    assert prepare("--verify", out).returncode == 0
    assert [entry.name for entry in out.parent.iterdir()] == ["libcblas.so"]


def test_a_library_that_works_is_kept_and_a_broken_one_replaced(tmp_path: Path, blas_library: Path) -> None:
    out = tmp_path / "libcblas.so"
    shutil.copy(blas_library, out)
    made = out.stat().st_ino
    assert prepare(out).returncode == 0
    assert out.stat().st_ino == made
    out.write_bytes(out.read_bytes()[:1_000_000])
    assert prepare(out).returncode == 0
    assert prepare("--verify", out).returncode == 0


def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = prepare(tmp_path / "file" / "libcblas.so")
    assert result.returncode == 1
    assert result.stderr.startswith("prepare_blas: ")
    assert len(result.stderr.splitlines()) == 1
