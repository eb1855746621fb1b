"""One runner over every family and every case of its golden file."""

from __future__ import annotations

import numpy as np
import pytest

from embed_worker.models import FAMILIES
from tests.families import FOLDERS, MetalOpsInFloat32, distance, embed, golden, load, reference

CASES = [(name, case) for name in FOLDERS for case in golden(name)["cases"]]
# A vector alone and in any batch.
INVARIANCE = 1e-6


def parity(name: str) -> float:
    """float32 gives 4e-7. The quantised reference was multiplied out and rounded to float16; we do not round."""
    return 1e-3 if name.endswith("4bit") else 1e-5


def test_every_family_has_a_reference() -> None:
    assert {load(name).loaded.model_type for name in FOLDERS} == set(FAMILIES)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_each_text_alone_equals_the_reference(name: str, case: str) -> None:
    embedder, stored = load(name), golden(name)
    prompt = stored["cases"][case]["prompt"]
    alone = np.concatenate([embed(embedder, [text], prompt) for text in stored["texts"]])
    assert distance(alone, reference(name, case)) <= parity(name)


@pytest.mark.parametrize(("name", "case"), CASES)
@pytest.mark.parametrize("seed", range(2))
def test_texts_in_mixed_batches_equal_the_reference(name: str, case: str, seed: int) -> None:
    embedder, stored = load(name, budget_tokens=100_000), golden(name)
    order = np.random.default_rng(seed).permutation(len(stored["texts"]))
    together = embed(embedder, [stored["texts"][row] for row in order], stored["cases"][case]["prompt"])
    assert distance(together, reference(name, case)[order]) <= parity(name)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_text_is_the_same_alone_and_in_one_pass_with_very_long_neighbours(name: str) -> None:
    embedder, texts = load(name, budget_tokens=100_000), golden(name)["texts"]
    neighbours = ["a much longer neighbour " * 100] * 3
    beside = embed(embedder, [*texts, *neighbours])[: len(texts)]
    alone = np.concatenate([embed(embedder, [text]) for text in texts])
    assert distance(beside, alone) <= INVARIANCE


@pytest.mark.parametrize(("name", "case"), CASES)
def test_the_operations_of_a_gpu_equal_the_reference(name: str, case: str) -> None:
    embedder, stored = load(name, MetalOpsInFloat32(), budget_tokens=100_000), golden(name)
    vectors = embed(embedder, stored["texts"], stored["cases"][case]["prompt"])
    assert distance(vectors, reference(name, case)) <= parity(name)


@pytest.mark.parametrize("name", FOLDERS)
def test_long_texts_are_cut_at_the_limit_of_the_reference(name: str) -> None:
    embedder, stored = load(name), golden(name)
    assert embedder.loaded.tokens_max == stored["max_seq_length"]
    tokens = embedder.tokenise(stored["texts"])
    assert len(tokens.truncated_rows) >= 2
    assert {tokens.counts[row] for row in tokens.truncated_rows} == {stored["max_seq_length"]}
    # Even counts of those that just fit: the flag is about loss, not about length.
    whole = [row for row in range(len(stored["texts"])) if row not in tokens.truncated_rows]
    assert tokens.ids[0].tolist() == embedder.tokenise([stored["texts"][0]]).ids[0].tolist()
    assert all(tokens.counts[row] <= stored["max_seq_length"] for row in whole)


@pytest.mark.parametrize("name", FOLDERS)
def test_the_prompts_of_the_folder_are_those_of_the_reference(name: str) -> None:
    loaded, cases = load(name).loaded, golden(name)["cases"]
    assert loaded.prompts.items() >= {case: cases[case]["prompt"] for case in cases if case != "default"}.items()
    assert loaded.default_prompt is None
    assert loaded.assumptions == ()


@pytest.mark.parametrize("name", FOLDERS)
def test_a_shorter_vector_is_the_cut_one_at_length_1_again(name: str) -> None:
    embedder, texts = load(name), golden(name)["texts"]
    cut = reference(name, "default")[:, :32]
    expected = cut / np.linalg.norm(cut, axis=1, keepdims=True)
    assert distance(embed(embedder, texts, dimensions=32), expected) <= 10 * parity(name)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_vector_that_is_not_normalised_has_the_same_direction(name: str) -> None:
    embedder, texts = load(name), golden(name)["texts"]
    raw = embed(embedder, texts, normalize=False)
    lengths = np.linalg.norm(raw, axis=1, keepdims=True)
    assert np.abs(lengths - 1).max() > 0.01
    assert distance(raw / lengths, embed(embedder, texts)) <= INVARIANCE
    assert distance(embed(embedder, texts, normalize=False, dimensions=8), raw[:, :8]) <= 1e-4 * lengths.max()
