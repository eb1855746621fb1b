"""Texts to token ids, cut at the model's true limit, with true counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer
from tokenizers.normalizers import Lowercase
from tokenizers.normalizers import Sequence as Normalizers
from tokenizers.processors import Sequence as Processors
from tokenizers.processors import TemplateProcessing

from embed_worker.errors import BadModel, BadRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embed_worker.recipe import Side


@dataclass(frozen=True)
class Tokens:
    """Token ids of some texts, in their order: one int32 array (tokens,) per text, after the cut."""

    ids: Sequence[np.ndarray]
    truncated_rows: Sequence[int]

    @property
    def counts(self) -> list[int]:
        """Tokens of each text after the cut, special tokens counted."""
        return [len(ids) for ids in self.ids]


class Tokeniser:
    """The model's own tokenizer, without the padding and the limit that tokenizer.json may carry."""

    def __init__(
        self,
        tokenizer_json: bytes,
        *,
        tokens_max: int,
        vocabulary_rows: int,
        lower_case: bool = False,
        side: Side | None = None,
    ) -> None:
        try:
            self._tokenizer = Tokenizer.from_buffer(tokenizer_json)
        except Exception as error:
            raise BadModel("tokenizer.json is not a tokenizer that this worker can read") from error
        # Added tokens may lie beyond, as Gemma's for images does: a text that holds one is refused then.
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=False)
        if not vocabulary or max(vocabulary.values()) >= vocabulary_rows:
            raise BadModel(f"tokenizer.json has token ids beyond the {vocabulary_rows} rows of the embedding")
        # all-MiniLM-L6-v2 says "cut at 128, pad to 128" here, while its true limit is 256 and it wants no padding.
        self._tokenizer.no_padding()
        if tokens_max <= self._tokenizer.num_special_tokens_to_add(is_pair=False):
            raise BadModel(f"a limit of {tokens_max} tokens leaves no room for text")
        stored = self._tokenizer.truncation
        self._side: Side = side or (stored["direction"] if stored else "right")
        self._tokens_max = tokens_max
        self._tokenizer.enable_truncation(max_length=tokens_max, direction=self._side)
        self._vocabulary_rows = vocabulary_rows
        normalizer = self._tokenizer.normalizer
        if lower_case and (normalizer is None or normalizer.normalize_str("A") != "a"):
            self._tokenizer.normalizer = Normalizers([Lowercase(), *([normalizer] if normalizer else [])])

    def ends_with(self, token: str) -> bool:
        """Whether every text ends in this token."""
        return self._tokenizer.encode("").ids[-1:] == [self._tokenizer.token_to_id(token)]

    def append(self, token: str) -> None:
        """End every text in this token from now on. Raises BadModel when the vocabulary has no such token."""
        token_id = self._tokenizer.token_to_id(token)
        if token_id is None or token_id >= self._vocabulary_rows:
            raise BadModel(f"tokenizer.json has no token {token}")
        template = TemplateProcessing(single=f"$A {token}", special_tokens=[(token, token_id)])
        before = self._tokenizer.post_processor
        self._tokenizer.post_processor = Processors([before, template]) if before else template

    def encode(self, texts: Sequence[str], side: Side | None = None) -> Tokens:
        """Token ids of each text, a long one cut at `side`. Raises BadRequest when the tokenizer fails on one.

        Special tokens written inside a text ("[SEP]") become special tokens, as in the reference implementation. From
        one thread at a time.
        """
        wanted = side or self._side
        if self._tokenizer.truncation["direction"] != wanted:
            self._tokenizer.enable_truncation(max_length=self._tokens_max, direction=wanted)
        prepared = [_well_formed(text) for text in texts]
        try:
            encodings = self._tokenizer.encode_batch_fast(prepared)
        except BaseException as error:  # noqa: BLE001 - a panic of the Rust code is no Exception
            # Its message may quote the text, so only the type is told.
            raise BadRequest(f"the tokenizer failed ({type(error).__name__})") from None
        ids = [np.array(encoding.ids, dtype=np.uint32) for encoding in encodings]
        # MLX gathers out of range without a check: foreign memory or a crash.
        if any(len(row) and row.max() >= self._vocabulary_rows for row in ids):
            raise BadRequest("a text has a token beyond the embedding")
        truncated = [row for row, encoding in enumerate(encodings) if encoding.overflowing]
        return Tokens([row.astype(np.int32) for row in ids], truncated)


def _well_formed(text: str) -> str:
    """The text with lone surrogates replaced by U+FFFD, as every Web API does on the way to bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
