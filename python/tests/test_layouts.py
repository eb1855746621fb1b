"""The same model in the files of other versions and converters gives the same vectors."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from embed_worker.errors import BadModel
from tests.families import FOLDERS, copy, distance, edit, embed, golden, load, reference
from tests.test_families import parity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# config.json as transformers 4 wrote it; None takes a key away.
OLD_CONFIG: dict[str, dict[str, Any]] = {
    "qwen3": {"rope_parameters": None, "rope_theta": 1e6, "rope_scaling": None, "layer_types": None},
    "modernbert": {"rope_parameters": None, "global_rope_theta": 160e3, "local_rope_theta": 1e4, "layer_types": None},
    "gemma3_text": {
        "rope_parameters": None,
        "rope_theta": 1e6,
        "rope_local_base_freq": 1e4,
        "layer_types": None,
        "_sliding_window_pattern": 4,
    },
}


def assert_same_vectors(folder: Path, name: str) -> None:
    embedder, stored = load(folder), golden(name)
    for case in stored["cases"]:
        vectors = embed(embedder, stored["texts"], stored["cases"][case]["prompt"])
        assert distance(vectors, reference(name, case)) <= parity(name)


@pytest.mark.parametrize("name", FOLDERS)
def test_configurations_of_transformers_4_are_read(name: str, tmp_path: Path) -> None:
    folder = copy(name, tmp_path)
    model_type = load(name).loaded.model_type
    edit(folder / "config.json", dtype=None, torch_dtype="float32", **OLD_CONFIG.get(model_type, {}))
    assert_same_vectors(folder, name)


@pytest.mark.parametrize("name", FOLDERS)
def test_files_of_sentence_transformers_6_are_read(name: str, tmp_path: Path) -> None:
    folder = copy(name, tmp_path)
    loaded = load(name).loaded
    modules = json.loads((folder / "modules.json").read_text())
    for module in modules:
        kind = module["type"].rsplit(".", 1)[-1]
        module["type"] = f"sentence_transformers.base.modules.{kind.lower()}.{kind}"
    (folder / "modules.json").write_text(json.dumps(modules))
    pooling = {"embedding_dimension": reference(name, "default").shape[1], "include_prompt": True}
    mode = loaded.pooling.replace("_", "")
    (folder / "1_Pooling/config.json").write_text(json.dumps(pooling | {"pooling_mode": mode}))
    limits = {"transformer_task": "feature-extraction", "module_output_name": "token_embeddings"}
    (folder / "sentence_bert_config.json").write_text(json.dumps(limits))
    edit(folder / "tokenizer_config.json", model_max_length=loaded.tokens_max)
    assert_same_vectors(folder, name)
    assert load(folder).loaded.assumptions == ()


@pytest.mark.parametrize(
    "name", ["gemma3-dense", "modernbert-cls", "qwen3-last", "qwen3-last-4bit", "xlm-roberta-mean"]
)
def test_what_a_conversion_dropped_the_family_fills_in_and_says(name: str, tmp_path: Path) -> None:
    folder = copy(name, tmp_path)
    for file in ("modules.json", "1_Pooling/config.json", "config_sentence_transformers.json"):
        (folder / file).unlink(missing_ok=True)
    assert_same_vectors(folder, name)
    said = load(folder).loaded.assumptions
    assert any(f"pooling {load(name).loaded.pooling}" in line for line in said)
    if name.startswith(("gemma3", "qwen3")):
        assert load(folder).loaded.prompts == load(name).loaded.prompts
        assert any("prompts query, document" in line for line in said)


def test_dense_layers_that_a_conversion_moved_into_the_weights_are_found(tmp_path: Path) -> None:
    folder = move_dense(copy("gemma3-dense", tmp_path))
    assert_same_vectors(folder, "gemma3-dense")
    assert any("dense layers from the weights" in line for line in load(folder).loaded.assumptions)


def test_an_embeddinggemma_that_lost_its_dense_layers_is_refused(tmp_path: Path) -> None:
    folder = move_dense(copy("gemma3-dense", tmp_path), keep=lambda name: "dense" not in name)
    with pytest.raises(BadModel, match=r"neither modules\.json nor dense\.0\.weight"):
        load(folder)


def move_dense(folder: Path, keep: Callable[[str], bool] = lambda _: True) -> Path:
    """Write the weights as converters for MLX do: with a prefix, dense layers among them, no modules.json."""
    weights = {f"model.{name}": weight for name, weight in load_file(folder / "model.safetensors").items()}
    for index, path in enumerate(("2_Dense", "3_Dense")):
        weights[f"dense.{index}.weight"] = load_file(folder / path / "model.safetensors")["linear.weight"]
        shutil.rmtree(folder / path)
    save_file({name: weight for name, weight in weights.items() if keep(name)}, folder / "model.safetensors")
    (folder / "modules.json").unlink()
    return folder


def test_a_lost_end_token_is_put_back_where_a_conversion_lost_it(tmp_path: Path) -> None:
    folder = copy("qwen3-last", tmp_path)
    edit(folder / "tokenizer.json", post_processor=None)
    (folder / "modules.json").unlink()
    assert_same_vectors(folder, "qwen3-last")
    assert any("<|endoftext|>" in line for line in load(folder).loaded.assumptions)


def test_texts_that_do_not_end_in_the_end_token_are_refused_where_nothing_else_is_lost(tmp_path: Path) -> None:
    folder = copy("qwen3-last", tmp_path)
    edit(folder / "tokenizer.json", post_processor=None)
    with pytest.raises(BadModel, match=r"does not end texts in <\|endoftext\|>"):
        load(folder)


def test_every_text_ends_in_the_end_token_even_a_truncated_one() -> None:
    tokens = load("qwen3-last").tokenise(["", "short", "long " * 2_000], "query: ")
    assert [ids[-1] for ids in tokens.ids] == [0, 0, 0]


def test_a_dense_layer_with_bias_and_tanh_is_computed(tmp_path: Path) -> None:
    folder = copy("bert-cls", tmp_path)
    random = np.random.default_rng(0)
    weight, bias = random.normal(size=(20, 64)).astype(np.float32), random.normal(size=20).astype(np.float32)
    (folder / "2_Dense").mkdir()
    save_file({"linear.weight": weight, "linear.bias": bias}, folder / "2_Dense/model.safetensors")
    config = {"in_features": 64, "out_features": 20, "bias": True}
    activation = "torch.nn.modules.activation.Tanh"
    (folder / "2_Dense/config.json").write_text(json.dumps(config | {"activation_function": activation}))
    modules = json.loads((folder / "modules.json").read_text())
    modules.insert(2, {"path": "2_Dense", "type": "sentence_transformers.models.Dense"})
    (folder / "modules.json").write_text(json.dumps(modules))
    texts = golden("bert-cls")["texts"]
    plain = embed(load("bert-cls"), texts, normalize=False)
    assert load(folder).loaded.dimensions == 20
    assert distance(embed(load(folder), texts, normalize=False), np.tanh(plain @ weight.T + bias)) <= 1e-5
    edit(folder / "2_Dense/config.json", activation_function="torch.nn.modules.activation.Sigmoid")
    with pytest.raises(BadModel, match="Sigmoid is not supported"):
        load(folder)


def test_a_default_prompt_is_told(tmp_path: Path) -> None:
    folder = copy("qwen3-last", tmp_path)
    edit(folder / "config_sentence_transformers.json", default_prompt_name="query")
    assert load(folder).loaded.default_prompt == "query"


@pytest.mark.parametrize(
    ("name", "file", "change", "says"),
    [
        ("qwen3-last", "config.json", {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e6}}, "rope_type yarn"),
        ("qwen3-last", "config.json", {"rope_scaling": {"type": "linear", "factor": 2}}, "rope_type linear"),
        ("qwen3-last", "config.json", {"rope_parameters": {"rope_theta": 0}}, "rope_theta"),
        ("qwen3-last", "config.json", {"rope_parameters": [1]}, "rope_parameters must be an object"),
        ("qwen3-last", "config.json", {"use_sliding_window": True}, "use_sliding_window"),
        ("qwen3-last", "config.json", {"attention_bias": True}, "attention_bias"),
        ("qwen3-last", "config.json", {"num_key_value_heads": 3}, "no multiple"),
        ("qwen3-last", "config.json", {"head_dim": 63}, "not even"),
        (
            "qwen3-last",
            "config.json",
            {"model_type": "nomic_bert"},
            "nomic_bert is not supported .it is defined",
        ),
        ("qwen3-last", "config.json", {"model_type": "qwen2"}, "model_type qwen2 is not supported, only bert"),
        ("gemma3-dense", "config.json", {"use_bidirectional_attention": False}, "it does not embed"),
        ("gemma3-dense", "config.json", {"layer_types": ["full_attention"]}, "layer_types must name 4"),
        ("gemma3-dense", "config.json", {"rope_parameters": {"rope_theta": 1e4}}, "one entry per layer type"),
        ("modernbert-cls", "config.json", {"norm_bias": True}, "norm_bias"),
        ("modernbert-cls", "config.json", {"layer_types": ["chunked_attention"] * 4}, "layer_types must name 4"),
        ("gemma3-dense", "2_Dense/config.json", {"in_features": 64}, "in_features"),
        ("gemma3-dense", "2_Dense/config.json", {"use_residual": True}, "use_residual"),
        ("gemma3-dense", "2_Dense/config.json", {"out_features": 513}, "linear.weight is F32"),
        ("qwen3-last", "config_sentence_transformers.json", {"prompts": {"query": 7}}, "not a text"),
        ("qwen3-last", "config_sentence_transformers.json", {"prompts": [1]}, "must be an object"),
        ("qwen3-last", "config_sentence_transformers.json", {"default_prompt_name": "x"}, "default_prompt_name x"),
        ("qwen3-last", "sentence_bert_config.json", {"transformer_task": "fill-mask"}, "transformer_task"),
        ("qwen3-last", "tokenizer_config.json", {"truncation_side": "middle"}, "truncation_side"),
    ],
)
def test_what_would_give_other_vectors_is_refused_by_name(
    name: str, file: str, change: dict[str, Any], says: str, tmp_path: Path
) -> None:
    folder = copy(name, tmp_path)
    edit(folder / file, **change)
    with pytest.raises(BadModel, match=says):
        load(folder)
