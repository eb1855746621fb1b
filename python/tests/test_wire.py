from __future__ import annotations

import contextlib
import io
import random
import struct

import pytest

from embed_worker.errors import ProtocolBroken
from embed_worker.wire import HEAD_BYTES_MAX, Frame, encode_frame, read_frame, write_frame

FRAME = Frame({"type": "embed", "id": 7, "word": "Grüße"}, bytes(range(256)))


class Dribble:
    """A channel that gives or takes one byte at a time."""

    def __init__(self, content: bytes = b"") -> None:
        self._source = io.BytesIO(content)
        self.taken = bytearray()

    def readinto(self, buffer: memoryview) -> int:
        return self._source.readinto(buffer[:1])

    def write(self, data: memoryview) -> int:
        self.taken += data[:1]
        return 1


def raw(head: bytes, body: bytes = b"") -> io.BytesIO:
    return io.BytesIO(struct.pack("<II", len(head), len(body)) + head + body)


def test_a_frame_is_two_little_endian_lengths_then_head_then_body() -> None:
    assert encode_frame(Frame({"type": "x"}, b"ab")) == b'\x0c\0\0\0\x02\0\0\0{"type":"x"}ab'


def test_a_frame_reads_back_as_it_was_written() -> None:
    assert read_frame(io.BytesIO(encode_frame(FRAME))) == FRAME


def test_w20_a_frame_cut_at_every_byte_is_read_whole() -> None:
    assert read_frame(Dribble(encode_frame(FRAME))) == FRAME


def test_a_frame_is_written_whole_to_a_channel_that_takes_one_byte_at_a_time() -> None:
    sink = Dribble()
    write_frame(sink, FRAME)
    assert bytes(sink.taken) == encode_frame(FRAME)


def test_w21_frames_in_one_piece_are_read_in_order() -> None:
    source = io.BytesIO(b"".join(encode_frame(Frame({"type": "ping", "id": number})) for number in range(64)))
    assert [read_frame(source).head["id"] for _ in range(64)] == list(range(64))
    assert read_frame(source) is None


def test_the_end_of_the_channel_between_frames_is_no_error() -> None:
    assert read_frame(io.BytesIO()) is None


@pytest.mark.parametrize("missing_bytes", [1, 256, 270, len(encode_frame(FRAME)) - 1])
def test_w19_an_end_inside_a_frame_is_an_error(missing_bytes: int) -> None:
    with pytest.raises(ProtocolBroken, match="ended inside"):
        read_frame(io.BytesIO(encode_frame(FRAME)[:-missing_bytes]))


def test_w19_an_end_after_the_lengths_of_an_empty_body_is_an_error() -> None:
    with pytest.raises(ProtocolBroken, match="ended inside"):
        read_frame(io.BytesIO(struct.pack("<II", 12, 0)))


@pytest.mark.parametrize("lengths", [(HEAD_BYTES_MAX + 1, 0), (2**32 - 1, 0), (2, 101), (2, 2**32 - 1)])
def test_w22_a_length_past_its_limit_is_refused_before_anything_else_is_read(lengths: tuple[int, int]) -> None:
    source = io.BytesIO(struct.pack("<II", *lengths) + b"{}")
    with pytest.raises(ProtocolBroken, match="claims"):
        read_frame(source, body_bytes_max=100)
    assert source.tell() == 8


@pytest.mark.parametrize("head", [b"", b"null", b"[1]", b"{}", b'{"type":1}', b"\xff", b"{", b"[" * HEAD_BYTES_MAX])
def test_w23_w24_a_head_that_is_no_object_with_a_type_is_refused(head: bytes) -> None:
    with pytest.raises(ProtocolBroken):
        read_frame(raw(head))


def test_w16_w23_any_bytes_are_frames_or_a_broken_protocol() -> None:
    chance = random.Random(1)
    for _ in range(20_000):
        content = bytearray(encode_frame(FRAME) * chance.randint(0, 2) + chance.randbytes(chance.randint(0, 24)))
        for _ in range(chance.randint(0, 4)):
            if content:
                content[chance.randrange(min(len(content), 64))] = chance.randrange(256)
        source = io.BytesIO(bytes(content))
        with contextlib.suppress(ProtocolBroken):
            while read_frame(source) is not None:
                pass
