"""Requests in, answers out: a reader thread, a writer thread, and the caller's thread for all of MLX.

MLX arrays belong to the thread that made them, so one thread loads, builds and runs everything. The reader takes
requests as they come and tokenises them, so that the next batch is ready when the present one ends, and answers pings
at once.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from embed_worker.errors import BadRequest, ProtocolBroken
from embed_worker.memory import resident_bytes
from embed_worker.options import read_options
from embed_worker.row_text import json_rows
from embed_worker.wire import Frame, read_frame, write_frame

if TYPE_CHECKING:
    import io

    from embed_worker.options import Options
    from embed_worker.start import Started
    from embed_worker.tokenise import Tokens

STATUS_DONE = 0
STATUS_BROKEN = 70
FLUSH_S = 5


@dataclass(frozen=True)
class _Batch:
    """A request, tokenised."""

    id: int
    nonce: str
    tokens: Tokens
    options: Options
    tokenise_s: float


@dataclass(frozen=True)
class _End:
    """No more requests: the process ends with this status."""

    status: int


class Service:
    """One channel to the host."""

    def __init__(self, channel: io.FileIO, started: Started, body_bytes_max: int) -> None:
        self._channel = channel
        self._embedder = started.embedder
        self._info = started.info
        self._body_bytes_max = body_bytes_max
        # Not bounded: the host keeps at most a worker's permits in flight.
        self._batches: queue.SimpleQueue[_Batch | _End] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()

    def run(self) -> int:
        """Answer requests on the calling thread until the channel ends; the exit status of the process."""
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        writer = threading.Thread(target=self._write, name="writer", daemon=True)
        writer.start()
        status = self._embed_all()
        self._answers.put(None)
        writer.join(FLUSH_S)
        return status

    def _embed_all(self) -> int:
        while isinstance(batch := self._batches.get(), _Batch):
            try:
                self._answers.put(self._answer(batch))
            except Exception as error:  # noqa: BLE001 - MLX has failed, whatever it raised: this process is done
                message = f"{type(error).__name__} in the forward pass: {str(error)[:200]}"
                print(message, file=sys.stderr)
                self._answers.put(_error(batch.id, batch.nonce, message))
                return STATUS_BROKEN
        return batch.status

    def _answer(self, batch: _Batch) -> Frame:
        start_s = time.perf_counter()
        options = batch.options
        vectors = self._embedder.embed(
            batch.tokens, options.pooling, normalize=options.normalize, dimensions=options.dimensions
        )
        texts = json_rows(vectors.data)
        compute_s = batch.tokenise_s + time.perf_counter() - start_s
        rows, dimensions = vectors.data.shape
        head = {
            "type": "result",
            "id": batch.id,
            "nonce": batch.nonce,
            "rows": rows,
            "dimensions": dimensions,
            "tokenCounts": batch.tokens.counts,
            "truncatedRows": batch.tokens.truncated_rows,
            "failedRows": vectors.failed_rows,
            "pooling": vectors.pooling,
            "jsonBytes": [len(text) for text in texts],
            "computeMs": round(compute_s * 1000, 3),
        }
        if (memory := resident_bytes()) is not None:
            head["residentBytes"] = memory
        return Frame(head, b"".join((vectors.data.astype("<f4", copy=False).tobytes(), *texts)))

    def _read(self) -> None:
        status = STATUS_BROKEN
        try:
            while (frame := read_frame(self._channel, self._body_bytes_max)) is not None:
                self._take(frame)
            status = STATUS_DONE
        except (ProtocolBroken, OSError) as error:
            print(f"the channel to the host broke: {error}", file=sys.stderr)
        except Exception as error:  # noqa: BLE001 - a worker that no longer reads must not live on
            # Only the type: the message could quote a text.
            print(f"{type(error).__name__} in the reader", file=sys.stderr)
        self._batches.put(_End(status))

    def _take(self, frame: Frame) -> None:
        kind, request_id, nonce = frame.head["type"], frame.head.get("id"), frame.head.get("nonce", "")
        if type(request_id) is not int or not isinstance(nonce, str):
            raise ProtocolBroken("a request has no id")
        if kind == "ping":
            self._answers.put(Frame({"type": "pong", "id": request_id}))
        elif kind == "get_model_info":
            self._answers.put(Frame({"type": "model_info", "id": request_id, "info": self._info}))
        elif kind == "embed":
            try:
                self._batches.put(self._prepare(request_id, nonce, frame))
            except BadRequest as error:
                self._answers.put(_error(request_id, nonce, str(error)))
        else:
            self._answers.put(_error(request_id, nonce, "unknown type of request"))

    def _prepare(self, request_id: int, nonce: str, frame: Frame) -> _Batch:
        start_s = time.perf_counter()
        options = read_options(frame.head, self._embedder.loaded)
        texts = _read_texts(frame.body)
        if len(texts) * len(options.prompt) > self._body_bytes_max:
            raise BadRequest("the prompt is too long for so many texts")
        tokens = self._embedder.tokenise(texts, options.prompt, options.truncation_side)
        return _Batch(request_id, nonce, tokens, options, time.perf_counter() - start_s)

    def _write(self) -> None:
        try:
            while (frame := self._answers.get()) is not None:
                write_frame(self._channel, frame)
        except OSError as error:
            print(f"the host takes no more answers: {error}", file=sys.stderr)
            self._batches.put(_End(STATUS_DONE))


def _read_texts(body: bytes | bytearray) -> list[str]:
    try:
        texts = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is not JSON") from error
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise BadRequest("the body is not an array of strings")
    return texts


def _error(request_id: int, nonce: str, message: str) -> Frame:
    return Frame({"type": "error", "id": request_id, "nonce": nonce, "message": message})
