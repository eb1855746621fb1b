from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import mlx.core as mx
import pytest

from embed_worker.embedder import Embedder
from embed_worker.errors import SelfTestFailed
from embed_worker.self_test import find_golden, run_self_test

if TYPE_CHECKING:
    from collections.abc import Callable


def changed(minilm: Embedder, change: Callable[[mx.array, mx.array | None], mx.array], **more: str) -> Embedder:
    """The model with its hidden states changed; `change` sees them and which places are inside."""

    def model(ids: mx.array, inside: mx.array | None) -> mx.array:
        return change(minilm.loaded.model(ids, inside), inside)

    return Embedder(replace(minilm.loaded, model=model, **more), 512)


def test_the_default_model_passes_and_is_compared_with_pinned_vectors(minilm: Embedder) -> None:
    assert find_golden(minilm.loaded.weights_sha256) is not None
    run_self_test(minilm)


def test_a_model_without_pinned_vectors_is_tested_for_consistency(minilm: Embedder) -> None:
    unknown = changed(minilm, lambda hidden, _: hidden, weights_sha256="0" * 64)
    assert find_golden(unknown.loaded.weights_sha256) is None
    run_self_test(unknown)


def test_w14_vectors_a_little_off_the_pinned_ones_are_refused(minilm: Embedder) -> None:
    ramp = mx.arange(384) / 384 * 1e-2
    with pytest.raises(SelfTestFailed, match="pinned vector"):
        run_self_test(changed(minilm, lambda hidden, _: hidden + ramp))


def test_another_limit_than_the_model_s_is_noticed(minilm: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    tokeniser = minilm.loaded.tokeniser
    short = changed(minilm, lambda hidden, _: hidden)
    encode = tokeniser.encode

    def cut(texts: list[str], _: str | None) -> object:
        tokens = encode(texts)
        return replace(tokens, ids=[ids[:128] for ids in tokens.ids])

    monkeypatch.setattr(tokeniser, "encode", cut)
    with pytest.raises(SelfTestFailed, match="pinned vector"):
        run_self_test(short)


def test_a_model_that_sees_padding_is_refused(minilm: Embedder) -> None:
    def leak(hidden: mx.array, inside: mx.array | None) -> mx.array:
        return hidden if inside is None else hidden + mx.arange(384) / 384

    with pytest.raises(SelfTestFailed, match="in a batch"):
        run_self_test(changed(minilm, leak, weights_sha256="0" * 64))


def test_a_model_that_gives_another_answer_each_time_is_refused(minilm: Embedder) -> None:
    def shake(hidden: mx.array, _: mx.array | None) -> mx.array:
        return hidden + mx.random.normal(hidden.shape)

    with pytest.raises(SelfTestFailed, match="two different"):
        run_self_test(changed(minilm, shake))


def test_a_model_that_gives_no_numbers_is_refused(minilm: Embedder) -> None:
    with pytest.raises(SelfTestFailed, match="not finite"):
        run_self_test(changed(minilm, lambda hidden, _: hidden * float("nan")))
