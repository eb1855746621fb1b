"""Quantised checkpoints, made here from the small models: the vectors are those of the matrices multiplied out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from embed_worker.errors import BadModel
from tests.families import MetalOpsInFloat32, copy, distance, edit, embed, golden, load

if TYPE_CHECKING:
    from pathlib import Path

QUANTISED = "qwen3-last-4bit"


def quantise(folder: Path, bits: int, group_size: int, special: dict[str, Any] | None = None) -> Path:
    """Quantise a folder as mlx-lm does, every matrix whose groups fit; beside it, the same multiplied out."""
    config = {"group_size": group_size, "bits": bits} | (special or {})
    packed, dense = {}, {}
    for name, weight in load_file(folder / "model.safetensors").items():
        dense[name] = packed[name] = weight
        module = name.removesuffix(".weight")
        grid = {"group_size": group_size, "bits": bits} | ((special or {}).get(module) or {})
        if weight.ndim == 2 and weight.shape[1] % grid["group_size"] == 0 and "norm" not in name.lower():
            parts = mx.quantize(mx.array(weight), **grid)
            dense[name] = np.array(mx.dequantize(*parts, **grid))
            packed |= {f"{module}.{key}": np.array(part) for key, part in zip(KEYS, parts, strict=True)}
    plain = folder.parent / "dense"
    copy(folder.name, folder.parent / "other").rename(plain)
    save_file(dense, plain / "model.safetensors")
    save_file(packed, folder / "model.safetensors")
    edit(folder / "config.json", quantization=config, quantization_config=config)
    return plain


KEYS = ("weight", "scales", "biases")


@pytest.mark.parametrize(("bits", "group_size"), [(4, 64), (8, 64), (4, 32), (3, 64), (6, 128)])
@pytest.mark.parametrize("name", ["bert-cls", "gemma3-dense", "modernbert-cls", "qwen3-last", "xlm-roberta-mean"])
def test_a_quantised_model_is_that_of_its_matrices_multiplied_out(
    name: str, bits: int, group_size: int, tmp_path: Path
) -> None:
    folder = copy(name, tmp_path)
    plain, texts = load(quantise(folder, bits, group_size)), golden(name)["texts"]
    for ops in (None, MetalOpsInFloat32()):
        assert distance(embed(load(folder, ops), texts), embed(plain, texts)) <= 1e-5


def test_modules_may_be_quantised_each_in_their_own_way(tmp_path: Path) -> None:
    folder = copy("qwen3-last", tmp_path)
    special = {"embed_tokens": {"group_size": 32, "bits": 8}, "layers.0.mlp.down_proj": {"group_size": 128, "bits": 3}}
    plain, texts = load(quantise(folder, 4, 64, special)), golden("qwen3-last")["texts"]
    assert distance(embed(load(folder), texts), embed(plain, texts)) <= 1e-5


def test_on_a_gpu_matrices_stay_quantised_in_memory() -> None:
    shapes = [part.shape for part in quantised_parts(load(QUANTISED, MetalOpsInFloat32()))]
    assert shapes
    assert quantised_parts(load(QUANTISED)) == []


def quantised_parts(embedder: Any) -> list[mx.array]:  # noqa: ANN401 - looks inside
    """Packed integers of the linear layers."""
    layers = embedder.loaded.model._layers
    return [part.__self__.packed for layer in layers for part in vars(layer).values() if hasattr(part, "__self__")]


@pytest.mark.parametrize(
    ("quantization", "says"),
    [
        ({"group_size": 32, "bits": 4, "mode": "mxfp4"}, "mode mxfp4 is not supported, only affine"),
        ({"group_size": 64, "bits": 4, "model.norm": {"mode": "nvfp4"}}, "mode nvfp4"),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "by gptq is not supported"),
        ({"group_size": 64, "bits": 7}, "bits 7"),
        ({"group_size": 16, "bits": 4}, "group_size 16"),
        ({"group_size": 64}, "bits None"),
        ([4], "must be an object"),
        ({"group_size": 64, "bits": 8}, r"not U32 \(640, 32\)"),
        ({"group_size": 32, "bits": 4}, r"scales is F16 \(640, 2\)"),
    ],
)
def test_another_quantisation_than_the_weights_have_is_refused(quantization: object, says: str, tmp_path: Path) -> None:
    folder = copy(QUANTISED, tmp_path)
    edit(folder / "config.json", quantization=quantization, quantization_config=quantization)
    with pytest.raises(BadModel, match=says):
        load(folder)


def test_quantised_weights_in_a_folder_that_does_not_say_so_are_refused(tmp_path: Path) -> None:
    folder = copy(QUANTISED, tmp_path)
    edit(folder / "config.json", quantization=None, quantization_config=None)
    with pytest.raises(BadModel, match=r"unknown weights: embed_tokens\.biases"):
        load(folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model.embed_tokens.biases": None}, "lacks weights: embed_tokens.biases"),
        ({"model.embed_tokens.scales": np.full((640, 2), np.nan, np.float16)}, "not finite in weights: embed_tokens"),
        ({"model.embed_tokens.weight": np.zeros((640, 16), np.float32)}, "embed_tokens.weight is F32"),
        ({"model.norm.scales": np.zeros(2, np.float16)}, "unknown weights: norm.scales"),
    ],
)
def test_w29_broken_parts_of_a_quantised_matrix_are_refused_by_name(
    change: dict[str, np.ndarray | None], says: str, tmp_path: Path
) -> None:
    folder = copy(QUANTISED, tmp_path)
    weights = load_file(folder / "model.safetensors") | change
    save_file({name: part for name, part in weights.items() if part is not None}, folder / "model.safetensors")
    with pytest.raises(BadModel, match=says):
        load(folder)


def test_scales_may_lie_in_another_shard_than_their_integers(tmp_path: Path) -> None:
    folder = copy(QUANTISED, tmp_path)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    for index, is_in in enumerate((lambda name: name.endswith("weight"), lambda name: not name.endswith("weight"))):
        shard = {name: part for name, part in weights.items() if is_in(name)}
        save_file(shard, folder / f"model-0000{index + 1}-of-00002.safetensors")
    texts = golden(QUANTISED)["texts"]
    assert distance(embed(load(folder), texts), embed(load(QUANTISED), texts)) == 0


def test_the_configuration_alone_may_use_the_second_key(tmp_path: Path) -> None:
    folder = copy(QUANTISED, tmp_path)
    edit(folder / "config.json", quantization=None)
    assert json.loads((folder / "config.json").read_text())["quantization_config"]["bits"] == 4
    assert load(folder).loaded.dimensions == 128
