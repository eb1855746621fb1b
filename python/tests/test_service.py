from __future__ import annotations

import json
import socket
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from embed_worker.embedder import Vectors
from embed_worker.errors import BadRequest
from embed_worker.service import STATUS_BROKEN, STATUS_DONE, Service
from embed_worker.start import Started
from embed_worker.tokenise import Tokens
from tests.support import PATIENCE_S, Channel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

INFO = {"model": "stub", "dimensions": 2}


class StubEmbedder:
    """A model of words: a row is [words, 1]. The first text may ask for a fault; a batch may be made to wait."""

    def __init__(self) -> None:
        self.may_run = threading.Event()
        self.may_run.set()
        self.asked: list[tuple[str, bool]] = []
        self.loaded = SimpleNamespace(
            prompts={"query": "find this: "}, default_prompt=None, dimensions=2, dimensions_allowed=None
        )

    def tokenise(self, texts: Sequence[str], prompt: str, _: str | None) -> Tokens:
        texts = [prompt + text for text in texts]
        if "untokenisable" in texts:
            raise BadRequest("the tokenizer failed (Exception)")
        if "panic" in texts:
            raise SystemError("secret text")
        ids = [np.ones(len(text.split()), dtype=np.int32) for text in texts]
        return Tokens(ids, [row for row, text in enumerate(texts) if text == "cut"])

    def embed(self, tokens: Tokens, pooling: str, *, normalize: bool, dimensions: int | None) -> Vectors:
        assert self.may_run.wait(PATIENCE_S)
        self.asked.append((pooling, normalize))
        if any(count > 99 for count in tokens.counts):
            raise RuntimeError("[metal] Command buffer execution failed")
        data = np.array([[count, 1] for count in tokens.counts], dtype=np.float32).reshape(-1, 2)
        return Vectors(data[:, :dimensions], [row for row, count in enumerate(tokens.counts) if count == 0], "mean")


class Running:
    """A service on a real socket pair, in a thread of its own."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.channel = Channel(ours)
        self.embedder = StubEmbedder()
        self._file = theirs.makefile("rwb", buffering=0)
        theirs.close()
        self._service = Service(self._file, Started(self.embedder, INFO), body_bytes_max=10_000)
        self._statuses: list[int] = []
        self._thread = threading.Thread(target=lambda: self._statuses.append(self._service.run()))
        self._thread.start()

    def status(self) -> int:
        """Exit status, once it has ended."""
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the service goes on"
        return self._statuses[0]

    def stop(self) -> None:
        self.embedder.may_run.set()
        self.channel.close()
        self._thread.join(PATIENCE_S)
        self._file.close()


@pytest.fixture
def running() -> Iterator[Running]:
    service = Running()
    yield service
    service.stop()


def test_a_batch_is_answered_with_one_row_per_text_in_order(running: Running) -> None:
    running.channel.embed(["a b c", "cut", "", "d e"], id=5, nonce="00000000000000ff")
    answer = running.channel.receive()
    assert answer.head.pop("computeMs") >= 0
    # Where the system does not tell it cheaply, it is not there.
    assert answer.head.pop("residentBytes", 1) > 0
    assert answer.head == {
        "type": "result",
        "id": 5,
        "nonce": "00000000000000ff",
        "rows": 4,
        "dimensions": 2,
        "tokenCounts": [3, 1, 0, 2],
        "truncatedRows": [1],
        "failedRows": [2],
        "pooling": "mean",
        "jsonBytes": [9, 9, 9, 9],
    }
    assert np.frombuffer(answer.body[:32], dtype="<f4").tolist() == [3, 1, 1, 1, 0, 1, 2, 1]
    assert answer.body[32:] == b"[3.0,1.0][1.0,1.0][0.0,1.0][2.0,1.0]"


def test_an_empty_batch_is_answered_with_no_rows(running: Running) -> None:
    running.channel.embed([])
    answer = running.channel.receive()
    assert (answer.head["rows"], answer.head["dimensions"], answer.body) == (0, 2, b"")


def test_the_model_is_asked_for_what_the_request_says(running: Running) -> None:
    for request in ({"pooling": "cls", "normalize": False}, {}):
        running.channel.embed(["a"], **request)
        running.channel.receive()
    assert running.embedder.asked == [("cls", False), ("default", True)]


def test_a_prompt_is_put_before_each_text_and_dimensions_cut_each_vector(running: Running) -> None:
    running.channel.embed(["a", "b c"], promptName="query", dimensions=1)
    answer = running.channel.receive()
    assert (answer.head["dimensions"], answer.head["tokenCounts"]) == (1, [3, 4])
    assert np.frombuffer(answer.body[:8], dtype="<f4").tolist() == [3, 4]


def test_a_prompt_that_would_multiply_past_the_limit_of_a_body_is_refused(running: Running) -> None:
    running.channel.embed(["", "", ""], prompt="x" * 4_000)
    assert running.channel.receive().head["message"] == "the prompt is too long for so many texts"


def test_batches_queue_up_and_are_answered_in_order(running: Running) -> None:
    for number in range(5):
        running.channel.embed(["a"], id=number)
    assert [running.channel.receive().head["id"] for _ in range(5)] == [0, 1, 2, 3, 4]


def test_w05_a_ping_and_the_model_are_answered_while_a_batch_runs(running: Running) -> None:
    running.embedder.may_run.clear()
    running.channel.embed(["a"], id=1)
    running.channel.send({"type": "ping", "id": 2})
    running.channel.send({"type": "get_model_info", "id": 3})
    assert running.channel.receive().head == {"type": "pong", "id": 2}
    assert running.channel.receive().head == {"type": "model_info", "id": 3, "info": INFO}
    running.embedder.may_run.set()
    assert running.channel.receive().head["id"] == 1


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ({}, b"not json"),
        ({}, b'{"texts":[]}'),
        ({}, b'["a", 1]'),
        ({}, b"[" * 10_000),
        ({}, b'["\xff"]'),
        ({"pooling": "max"}, b'["a"]'),
        ({"pooling": ["cls"]}, b'["a"]'),
        ({"normalize": "yes"}, b'["a"]'),
        ({}, b'["untokenisable"]'),
        ({"type": "train"}, b'["a"]'),
    ],
)
def test_a_bad_request_is_refused_and_the_worker_lives(running: Running, head: dict[str, Any], body: bytes) -> None:
    running.channel.send({"type": "embed", "id": 4, "nonce": "00000000000000bb"} | head, body)
    answer = running.channel.receive().head
    assert (answer["type"], answer["id"], answer["nonce"]) == ("error", 4, "00000000000000bb")
    running.channel.embed(["a"], id=5)
    assert running.channel.receive().head["id"] == 5


def test_w40_a_failure_of_mlx_is_answered_and_ends_the_process_with_70(running: Running) -> None:
    running.channel.embed(["a " * 100], id=6, nonce="00000000000000cc")
    answer = running.channel.receive().head
    assert (answer["type"], answer["id"], answer["nonce"]) == ("error", 6, "00000000000000cc")
    assert "RuntimeError" in answer["message"]
    assert running.status() == STATUS_BROKEN


def test_the_end_of_the_channel_ends_the_service(running: Running) -> None:
    running.channel.socket.shutdown(socket.SHUT_WR)
    assert running.status() == STATUS_DONE


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\n\r\n" * 9, b"\x02\0\0\0\0\0\0\0{}", b"\x02\0\0\0\x11'\0\0", b"\x02\0"]
)
def test_w16_w22_what_is_no_frame_ends_the_process_with_70(running: Running, sent: bytes) -> None:
    running.channel.socket.sendall(sent)
    running.channel.socket.shutdown(socket.SHUT_WR)
    assert running.status() == STATUS_BROKEN


def test_a_request_without_an_id_ends_the_process_with_70(running: Running) -> None:
    running.channel.send({"type": "embed", "id": "1"}, b"[]")
    assert running.status() == STATUS_BROKEN


def test_a_fault_of_the_reader_itself_ends_the_process_with_70_and_logs_no_text(
    running: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    running.channel.embed(["panic"])
    assert running.status() == STATUS_BROKEN
    assert capsys.readouterr().err == "SystemError in the reader\n"


def test_a_host_that_takes_no_more_answers_ends_the_service(running: Running) -> None:
    running.embedder.may_run.clear()
    running.channel.embed(["a"])
    running.channel.close()
    running.embedder.may_run.set()
    assert running.status() == STATUS_DONE


def test_w47_a_slow_reader_gets_every_byte_of_a_large_answer(running: Running) -> None:
    texts = ["a"] * 2000
    running.channel.send({"type": "embed", "id": 1}, json.dumps(texts).encode())
    answer = running.channel.receive()
    assert len(answer.body) == 2000 * (2 * 4 + len("[1.0,1.0]"))
