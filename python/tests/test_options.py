from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from tokenizers import Tokenizer

from embed_worker.errors import BadRequest
from embed_worker.options import Options, read_options
from tests.families import MODELS, copy, distance, edit, embed, golden, load, reference
from tests.support import start_worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from embed_worker.wire import Frame
    from tests.support import Worker

NAME = "gemma3-dense"
TEXTS = golden(NAME)["texts"]


@pytest.fixture(scope="module")
def worker(blas_library: Path | None) -> Iterator[Worker]:
    with start_worker(MODELS / NAME, blas_library) as started:
        started.ready = started.channel.receive().head
        yield started


def ask(worker: Worker, **head: object) -> Frame:
    worker.channel.embed(TEXTS, **head)
    return worker.channel.receive()


def vectors(answer: Frame) -> np.ndarray:
    assert answer.head["type"] == "result", answer.head
    return np.frombuffer(answer.body, dtype="<f4", count=answer.head["rows"] * answer.head["dimensions"]).reshape(
        answer.head["rows"], answer.head["dimensions"]
    )


def test_ready_tells_of_prompts_and_dimensions(worker: Worker) -> None:
    info = worker.ready["info"]
    assert (info["prompts"], info["defaultPrompt"], info["dimensionsAllowed"]) == (["query", "document"], None, None)


@pytest.mark.parametrize("case", sorted(golden(NAME)["cases"]))
def test_a_prompt_by_name_and_the_same_in_free_text_equal_the_reference(worker: Worker, case: str) -> None:
    asked = {} if case == "default" else {"promptName": case}
    by_name, by_text = ask(worker, **asked), ask(worker, prompt=golden(NAME)["cases"][case]["prompt"])
    assert distance(vectors(by_name), reference(NAME, case)) <= 1e-5
    assert distance(vectors(by_name), vectors(by_text)) == 0
    assert by_name.head["tokenCounts"] == by_text.head["tokenCounts"]


def test_a_prompt_counts_for_the_tokens_and_the_limit(worker: Worker) -> None:
    plain, prompted = ask(worker).head, ask(worker, promptName="query").head
    assert prompted["tokenCounts"][0] == plain["tokenCounts"][0] + 25
    assert max(prompted["tokenCounts"]) == 256


def test_dimensions_cut_the_vector_and_normalise_it_again(worker: Worker) -> None:
    short = vectors(ask(worker, dimensions=24))
    assert short.shape == (len(TEXTS), 24)
    assert np.abs(np.linalg.norm(short, axis=1) - 1).max() <= 1e-6
    raw = vectors(ask(worker, dimensions=24, normalize=False))
    assert distance(raw / np.linalg.norm(raw, axis=1, keepdims=True), short) <= 1e-6


@pytest.mark.parametrize(
    ("head", "says"),
    [
        ({"promptName": "passage"}, "the model has no prompt 'passage'; it has: query, document"),
        ({"promptName": 7}, "has no prompt '7'"),
        ({"promptName": ["query"]}, "has no prompt"),
        ({"promptName": "query", "prompt": "x"}, "exclude each other"),
        ({"prompt": 7}, "prompt must be a text"),
        ({"dimensions": 129}, "from 1 to 128"),
        ({"dimensions": 0}, "from 1 to 128"),
        ({"dimensions": True}, "from 1 to 128"),
        ({"dimensions": "32"}, "from 1 to 128"),
        ({"truncationSide": "middle"}, "truncationSide must be right or left"),
        ({"truncationSide": []}, "truncationSide must be right or left"),
        ({"pooling": "max"}, "pooling or normalize"),
        ({"pooling": []}, "pooling or normalize"),
        ({"normalize": 1}, "pooling or normalize"),
    ],
)
def test_a_bad_option_is_refused_in_words_and_the_worker_lives(worker: Worker, head: dict[str, Any], says: str) -> None:
    refused = ask(worker, **head).head
    assert refused["type"] == "error"
    assert says in refused["message"]
    assert distance(vectors(ask(worker)), reference(NAME, "default")) <= 1e-5


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_long_text_cut_at_the_left_keeps_its_end_and_loses_its_prompt_first(side: Literal["left", "right"]) -> None:
    text, limit = "one two three " * 80, load(NAME).loaded.tokens_max
    whole = Tokenizer.from_file(str(MODELS / NAME / "tokenizer.json")).encode("query: " + text).ids
    tokens = load(NAME).tokenise([text], "query: ", side)
    kept = whole[1:-1][-(limit - 2) :] if side == "left" else whole[1:-1][: limit - 2]
    assert tokens.ids[0].tolist() == [whole[0], *kept, whole[-1]]
    assert tokens.truncated_rows == [0]


def test_the_side_of_one_request_is_not_that_of_the_next(worker: Worker) -> None:
    assert distance(vectors(ask(worker, truncationSide="left")), reference(NAME, "default")) > 1e-3
    assert distance(vectors(ask(worker)), reference(NAME, "default")) <= 1e-5


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("tokenizer_config.json", {"truncation_side": "left"}),
        (
            "tokenizer.json",
            {"truncation": {"direction": "Left", "max_length": 9, "strategy": "LongestFirst", "stride": 0}},
        ),
    ],
)
def test_the_side_that_the_folder_names_is_used(file: str, change: dict[str, Any], tmp_path: Path) -> None:
    folder = copy(NAME, tmp_path)
    edit(folder / file, **change)
    text = ["one two three " * 80]
    assert load(folder).tokenise(text).ids[0].tolist() == load(NAME).tokenise(text, side="left").ids[0].tolist()
    assert load(folder).tokenise(text, side="right").ids[0].tolist() == load(NAME).tokenise(text).ids[0].tolist()


def test_texts_without_an_option_get_the_default_prompt_of_the_folder(tmp_path: Path) -> None:
    folder = copy("qwen3-last", tmp_path)
    edit(folder / "config_sentence_transformers.json", default_prompt_name="query")
    embedder = load(folder)
    prompt = read_options({}, embedder.loaded).prompt
    assert distance(embed(embedder, golden("qwen3-last")["texts"], prompt), reference("qwen3-last", "query")) <= 1e-5
    assert read_options({"promptName": "document"}, embedder.loaded).prompt == ""
    assert read_options({"prompt": ""}, embedder.loaded).prompt == ""


def test_lengths_that_the_folder_names_are_the_only_ones(tmp_path: Path) -> None:
    folder = copy("bert-cls", tmp_path)
    edit(folder / "config.json", matryoshka_dimensions=[16, 32])
    loaded = load(folder).loaded
    assert loaded.dimensions_allowed == [16, 32]
    assert read_options({"dimensions": 16}, loaded) == Options(dimensions=16)
    assert read_options({"dimensions": 64}, loaded) == Options(dimensions=64)
    with pytest.raises(BadRequest, match="one of 16, 32, 64"):
        read_options({"dimensions": 24}, loaded)
