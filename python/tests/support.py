from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embed_worker.wire import Frame, read_frame, write_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

PYTHON = Path(__file__).resolve().parent.parent
REPOSITORY = PYTHON.parent
WORKER = PYTHON / "embed_worker" / "__main__.py"
# Becomes the command, with the descriptor named first as its fd 3: no Python runs between fork and exec.
ON_FD_3 = """
import os, sys
fd = int(sys.argv[1])
os.dup2(fd, 3)
if fd != 3:
    os.close(fd)
os.execv(sys.argv[2], sys.argv[2:])
"""
# A test that waits longer than this has failed; nothing is expected to take a tenth of it.
PATIENCE_S = 60


@dataclass(frozen=True)
class Golden:
    """Texts and their vectors by a reference implementation: (texts, dimensions) float32."""

    texts: Sequence[str]
    token_counts: Sequence[int]
    vectors: np.ndarray


def read_golden(path: Path) -> Golden:
    stored = json.loads(path.read_text(encoding="utf-8"))
    texts, encoded = stored["texts"], stored.get("vectors_base64_f32le")
    if encoded is None:
        encoded = stored["cases"]["default"]["vectors_base64_f32le"]
    vectors = np.frombuffer(base64.b64decode(encoded), dtype="<f4").reshape(len(texts), -1)
    return Golden(texts, stored.get("tokens", ()), vectors)


class Channel:
    """The host's end of a worker's channel."""

    def __init__(self, end: socket.socket) -> None:
        end.settimeout(PATIENCE_S)
        self.socket = end
        self._file = end.makefile("rwb", buffering=0)

    def send(self, head: dict[str, Any], body: bytes = b"") -> None:
        write_frame(self._file, Frame(head, body))

    def embed(self, texts: Sequence[str], **head: object) -> None:
        request = {"type": "embed", "id": 1, "nonce": "00000000000000aa", "pooling": "default", "normalize": True}
        self.send(request | head, json.dumps(list(texts)).encode())

    def receive(self) -> Frame:
        frame = read_frame(self._file)
        assert frame is not None, "the channel has ended"
        return frame

    def close(self) -> None:
        self._file.close()
        self.socket.close()


class Worker:
    """A real child process that speaks on fd 3."""

    def __init__(self, command: Sequence[str | Path]) -> None:
        ours, theirs = socket.socketpair()
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", ON_FD_3, str(theirs.fileno()), *map(str, command)],
            env=environment,
            pass_fds=(theirs.fileno(),),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        theirs.close()
        self.channel = Channel(ours)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()
        self.process.kill()
        self.process.communicate()

    def end(self) -> tuple[int, str, str]:
        """Exit status, stdout and stderr, once it has ended."""
        stdout, stderr = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, stdout.decode(), stderr.decode()


def start_worker(model: Path, blas: Path | None, *more: str) -> Worker:
    command = [sys.executable, "-I", "-u", WORKER, "--model", model, "--device", "cpu"]
    return Worker([*command, *(["--blas", blas] if blas else []), *more])
