from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support import PATIENCE_S, PYTHON, REPOSITORY, WORKER, Worker, start_worker

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support import Golden

SMALL_MODEL = REPOSITORY / "test/models/bert-cls"

# Each starts the lifeline, says so on the channel, and then keeps its main thread inside one long C call.
LONG_CALLS = {
    "mlx": "import mlx.core as mx; a = mx.ones((20_000, 20_000)); mx.eval(a @ a)",
    "numpy": "import numpy; a = numpy.ones(400_000_000, dtype=numpy.float32); numpy.arctan(a, out=a)",
    "sleep": "import time; time.sleep(1000)",
}
LIFELINE = """
import os, sys
sys.path.insert(0, {path!r})
from embed_worker.lifeline import exit_when_closed
exit_when_closed(3)
os.write(3, b"!")
{call}
os._exit(9)
"""


def test_a_worker_says_ready_once_with_what_it_holds(model_folder: Path, blas_library: Path | None) -> None:
    with start_worker(model_folder, blas_library, "--name", "the-name", "--core", "0") as worker:
        ready = worker.channel.receive().head
        info = ready["info"]
        assert (ready["type"], ready["protocol"], ready["pid"]) == ("ready", 1, worker.process.pid)
        assert info["blas"].keys() == {"name", "gflops"}
        assert {key: info[key] for key in ("model", "modelType", "dimensions", "maxTokens", "pooling", "device")} == {
            "model": "the-name",
            "modelType": "bert",
            "dimensions": 384,
            "maxTokens": 256,
            "pooling": "mean",
            "device": "cpu",
        }
        worker.channel.send({"type": "get_model_info", "id": 9})
        assert worker.channel.receive().head == {"type": "model_info", "id": 9, "info": info}


def test_vectors_through_a_worker_equal_the_reference(
    model_folder: Path, blas_library: Path | None, golden: Golden
) -> None:
    rows = range(0, 120, 7)
    with start_worker(model_folder, blas_library) as worker:
        worker.channel.receive()
        worker.channel.embed([golden.texts[row] for row in rows])
        answer = worker.channel.receive()
    vectors = np.frombuffer(answer.body, dtype="<f4", count=answer.head["rows"] * answer.head["dimensions"]).reshape(
        answer.head["rows"], answer.head["dimensions"]
    )
    assert np.abs(vectors - golden.vectors[list(rows)]).max() <= 1e-6
    assert answer.head["tokenCounts"] == [golden.token_counts[row] for row in rows]


def test_w43_a_worker_ends_when_the_host_closes_the_channel() -> None:
    with start_worker(SMALL_MODEL, None) as worker:
        worker.channel.receive()
        worker.channel.close()
        assert worker.end()[0] == 0


@pytest.mark.parametrize("call", sorted(LONG_CALLS))
def test_w43_a_process_ends_at_once_even_inside_a_long_c_call(call: str) -> None:
    script = LIFELINE.format(path=str(PYTHON), call=LONG_CALLS[call])
    with Worker([sys.executable, "-I", "-c", script]) as worker:
        assert worker.channel.socket.recv(1) == b"!"
        # Unread bytes in the channel must not hide its end.
        worker.channel.socket.sendall(b"never read")
        worker.channel.close()
        assert worker.end()[0] == 0


def test_w43_the_temporary_folder_of_a_worker_goes_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, other = tmp_path / "embedge-worker-abc", tmp_path / "other"
    for folder in (own, other):
        folder.mkdir()
        (folder / "file").touch()
        monkeypatch.setenv("TMPDIR", str(folder))
        with Worker([sys.executable, "-c", LIFELINE.format(path=str(PYTHON), call=LONG_CALLS["sleep"])]) as worker:
            assert worker.channel.socket.recv(1) == b"!"
            worker.channel.close()
            assert worker.end()[0] == 0
    assert (own.exists(), other.exists()) == (False, True)


def test_w42_a_child_of_the_worker_does_not_inherit_the_channel() -> None:
    script = f"""
import os, subprocess, sys
sys.path.insert(0, {str(PYTHON)!r})
from embed_worker.__main__ import open_channel
channel = open_channel()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], close_fds=False)
channel.write(str(child.pid).encode())
"""
    with Worker([sys.executable, "-I", "-c", script]) as worker:
        pid = int(worker.channel.socket.recv(20))
        try:
            assert worker.channel.socket.recv(1) == b"", "the channel is still open in the child"
        finally:
            os.kill(pid, signal.SIGKILL)


def test_ctrl_c_at_the_terminal_does_not_end_a_worker() -> None:
    with start_worker(SMALL_MODEL, None) as worker:
        worker.channel.receive()
        worker.process.send_signal(signal.SIGINT)
        worker.channel.send({"type": "ping", "id": 1})
        assert worker.channel.receive().head == {"type": "pong", "id": 1}


def test_w16_a_worker_that_reads_garbage_ends_with_70() -> None:
    with start_worker(SMALL_MODEL, None) as worker:
        worker.channel.receive()
        worker.channel.socket.sendall(os.urandom(8) + b"\xff" * 8)
        assert worker.end()[0] == 70


def test_w17_what_a_library_prints_goes_to_the_log_and_not_to_the_channel() -> None:
    with start_worker(SMALL_MODEL, None, "--core", "100000") as worker:
        assert worker.channel.receive().head["type"] == "ready"
        worker.channel.close()
        _, stdout, stderr = worker.end()
    assert stdout == ""
    if sys.platform == "linux":
        assert "core 100000 cannot be had" in stderr


@pytest.mark.parametrize(
    ("arguments", "code", "status", "says"),
    [
        (["--model", "/nowhere"], "bad_model", 64, "no model folder"),
        (["--model", str(PYTHON)], "bad_model", 64, "config.json"),
        (["--threads", "many"], "bad_arguments", 64, "--threads"),
        (["--budget-tokens", "0"], "bad_arguments", 64, "--budget-tokens"),
        (["--blas", "/nowhere.so"], "import_failed", 69, "BLAS"),
        (["--blas", "/dev/null"], "import_failed", 69, "BLAS"),
    ],
)
def test_w09_a_worker_that_cannot_start_says_why_and_exits(
    arguments: list[str], code: str, status: int, says: str
) -> None:
    with start_worker(SMALL_MODEL, None, *arguments) as worker:
        head = worker.channel.receive().head
        assert (head["type"], head["code"]) == ("start_failed", code)
        assert says in head["message"]
        exit_status, stdout, stderr = worker.end()
    assert exit_status == status
    assert stdout == ""
    assert says in stderr


def test_w09_c07_a_missing_package_is_named() -> None:
    script = f"""
import sys
sys.path.insert(0, {str(PYTHON)!r})
sys.modules["tokenizers"] = None
sys.argv = ["embed_worker", "--model", {str(SMALL_MODEL)!r}]
from embed_worker.__main__ import main
sys.exit(main())
"""
    with Worker([sys.executable, "-I", "-c", script]) as worker:
        head = worker.channel.receive().head
        assert (head["code"], worker.end()[0]) == ("import_failed", 69)
        assert "tokenizers" in head["message"]


def test_w14_a_worker_whose_vectors_are_wrong_never_says_ready(model_folder: Path, blas_library: Path | None) -> None:
    script = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(PYTHON)!r})
from embed_worker import blas
blas.preload(None if {blas_library is None} else Path({str(blas_library)!r}))
from embed_worker import pooling
pooling.mean_pool = lambda hidden, lengths: hidden.mean(axis=1)[:, ::-1]
sys.argv = ["embed_worker", "--model", {str(model_folder)!r}]
from embed_worker.__main__ import main
sys.exit(main())
"""
    with Worker([sys.executable, "-I", "-c", script]) as worker:
        assert worker.channel.receive().head["code"] == "self_test_failed"
        assert worker.end()[0] == 70


def test_without_a_channel_the_worker_says_who_starts_it() -> None:
    command = [sys.executable, "-I", str(WORKER)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert result.returncode == 64
    assert "fd 3 is not open" in result.stderr


def test_the_bench_prints_figures_of_every_kind_of_text_as_json() -> None:
    command = [sys.executable, "-I", str(PYTHON / "embed_worker/bench.py"), "--model", str(SMALL_MODEL)]
    arguments = ["--device", "cpu", "--seconds", "0.01"]
    result = subprocess.run([*command, *arguments], capture_output=True, timeout=PATIENCE_S, check=True)
    report = json.loads(result.stdout)
    assert len(report["figures"]) == 12
    assert all(figure["textsPerS"] > 0 for figure in report["figures"])
