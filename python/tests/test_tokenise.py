from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from embed_worker.errors import BadModel, BadRequest
from embed_worker.tokenise import Tokeniser

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support import Golden

VOCABULARY_ROWS = 30_522


@pytest.fixture(scope="module")
def tokenizer_json(model_folder: Path) -> bytes:
    return (model_folder / "tokenizer.json").read_bytes()


def make(
    tokenizer_json: bytes, *, tokens_max: int = 256, rows: int = VOCABULARY_ROWS, lower: bool = False
) -> Tokeniser:
    return Tokeniser(tokenizer_json, tokens_max=tokens_max, vocabulary_rows=rows, lower_case=lower)


@pytest.fixture(scope="module")
def tokeniser(tokenizer_json: bytes) -> Tokeniser:
    return make(tokenizer_json)


def test_token_counts_are_those_of_the_reference(tokeniser: Tokeniser, golden: Golden) -> None:
    assert tokeniser.encode(golden.texts).counts == golden.token_counts


def test_a_text_of_exactly_the_limit_is_not_truncated(tokeniser: Tokeniser) -> None:
    tokens = tokeniser.encode(["word " * 254])
    assert (tokens.counts, tokens.truncated_rows) == ([256], [])


def test_a_text_one_token_longer_is_truncated_and_still_ends_with_the_separator(tokeniser: Tokeniser) -> None:
    tokens = tokeniser.encode(["short", "word " * 255])
    assert (tokens.counts, tokens.truncated_rows) == ([3, 256], [1])
    assert tokens.ids[1][-1] == 102


def test_the_limit_and_padding_of_128_in_tokenizer_json_do_not_count(
    tokeniser: Tokeniser, tokenizer_json: bytes
) -> None:
    stored = json.loads(tokenizer_json)
    assert stored["truncation"]["max_length"] == 128
    assert tokeniser.encode(["word " * 198, "word"]).counts == [200, 3]


def test_s23_special_tokens_in_a_text_are_special_as_in_the_reference(tokeniser: Tokeniser) -> None:
    assert tokeniser.encode(["[SEP]"]).ids[0].tolist() == [101, 102, 102]


def test_s23_a_word_of_a_million_characters_is_one_unknown_token(tokeniser: Tokeniser) -> None:
    assert tokeniser.encode(["a" * 1_000_000]).ids[0].tolist() == [101, 100, 102]


def test_a_lone_surrogate_becomes_the_replacement_character(tokeniser: Tokeniser) -> None:
    broken, replaced = tokeniser.encode(["a \ud800 b 🙂", "a \ufffd b 🙂"]).ids
    assert broken.tolist() == replaced.tolist()


def test_no_texts_give_no_tokens(tokeniser: Tokeniser) -> None:
    assert tokeniser.encode([]).counts == []


def test_texts_are_lower_cased_first_where_the_model_asks_for_it(tokenizer_json: bytes) -> None:
    stored = json.loads(tokenizer_json)
    stored["normalizer"]["lowercase"] = False
    cased = json.dumps(stored).encode()
    assert make(cased).encode(["HELLO"]).ids[0].tolist() != make(cased).encode(["hello"]).ids[0].tolist()
    assert make(cased, lower=True).encode(["HELLO"]).ids[0].tolist() == [101, 7592, 102]


def test_a_tokenizer_with_ids_beyond_the_embedding_is_refused(tokenizer_json: bytes) -> None:
    with pytest.raises(BadModel, match="beyond the 30521 rows"):
        make(tokenizer_json, rows=VOCABULARY_ROWS - 1)


def test_an_id_that_only_the_post_processor_knows_is_caught_before_the_gather(tokenizer_json: bytes) -> None:
    stored = json.loads(tokenizer_json)
    stored["post_processor"]["special_tokens"]["[SEP]"]["ids"] = [VOCABULARY_ROWS]
    with pytest.raises(BadRequest, match="beyond the embedding"):
        make(json.dumps(stored).encode()).encode(["hello"])


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\x80\x04}q.", b"[" * 100_000])
def test_s23_what_is_no_tokenizer_is_refused(content: bytes) -> None:
    with pytest.raises(BadModel):
        make(content)


def test_a_limit_without_room_for_text_is_refused(tokenizer_json: bytes) -> None:
    with pytest.raises(BadModel, match="no room"):
        make(tokenizer_json, tokens_max=1)


def test_ids_are_int32(tokeniser: Tokeniser) -> None:
    assert tokeniser.encode(["hello"]).ids[0].dtype == np.int32
