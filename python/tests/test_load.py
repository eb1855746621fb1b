from __future__ import annotations

import json
import os
import shutil
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from embed_worker.errors import BadModel
from embed_worker.load import load_model
from embed_worker.ops import choose_ops
from tests.support import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from embed_worker.load import LoadedModel

SMALL_MODEL = REPOSITORY / "test/models/bert-cls"
WORDS = "embeddings.word_embeddings.weight"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound model folder of its own, for a test to break."""
    shutil.copytree(SMALL_MODEL, tmp_path / "model")
    return tmp_path / "model"


def load(folder: Path) -> LoadedModel:
    return load_model(folder, choose_ops("cpu"))


def edit_json(path: Path, **changes: object) -> None:
    """Set keys of a JSON file; None takes a key away."""
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def edit_weights(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


def write_safetensors(
    folder: Path, header: dict[str, Any] | bytes, data: bytes = b"", claim: int | None = None
) -> None:
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    length = struct.pack("<Q", len(head) if claim is None else claim)
    (folder / "model.safetensors").write_bytes(length + head + data)


def test_the_folder_says_what_the_model_is(folder: Path) -> None:
    loaded = load(folder)
    assert (loaded.model_type, loaded.dimensions, loaded.tokens_max, loaded.pooling) == ("bert", 64, 128, "cls")
    assert loaded.assumptions == ()
    assert loaded.revision is None


def test_what_the_folder_leaves_out_is_assumed_and_said(folder: Path) -> None:
    shutil.rmtree(folder / "1_Pooling")
    (folder / "modules.json").unlink()
    (folder / "sentence_bert_config.json").unlink()
    (folder / "tokenizer_config.json").unlink()
    loaded = load(folder)
    assert (loaded.pooling, loaded.tokens_max) == ("mean", 128)
    assert len(loaded.assumptions) == 2


def test_a_limit_above_the_positions_is_cut_to_them(folder: Path) -> None:
    edit_json(folder / "sentence_bert_config.json", max_seq_length=512)
    assert load(folder).tokens_max == 128


@pytest.mark.parametrize("mode", ["mean", "cls", "lasttoken"])
def test_the_newer_name_of_the_pooling_key_is_read(folder: Path, mode: str) -> None:
    (folder / "1_Pooling/config.json").write_text(json.dumps({"pooling_mode": mode, "embedding_dimension": 64}))
    assert load(folder).pooling == mode.replace("lasttoken", "last_token")


@pytest.mark.parametrize(
    "pooling",
    [
        {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True},
        {"pooling_mode_max_tokens": True},
        {"pooling_mode": "weightedmean"},
        {"pooling_mode_cls_token": True, "include_prompt": False},
        {"pooling_mode_cls_token": True, "word_embedding_dimension": 65},
        {},
    ],
)
def test_a_pooling_that_would_not_be_computed_as_meant_is_refused(folder: Path, pooling: dict[str, object]) -> None:
    (folder / "1_Pooling/config.json").write_text(json.dumps(pooling))
    with pytest.raises(BadModel):
        load(folder)


def test_a_module_that_would_be_left_out_is_refused_by_name(folder: Path) -> None:
    kinds = ("Transformer", "Pooling", "LSTM", "Normalize")
    (folder / "modules.json").write_text(
        json.dumps([{"type": f"sentence_transformers.models.{kind}"} for kind in kinds])
    )
    with pytest.raises(BadModel, match="LSTM"):
        load(folder)


def test_weights_named_with_a_prefix_and_heads_for_other_purposes_are_read(folder: Path) -> None:
    def prefix(weights: dict[str, Any]) -> None:
        for name in list(weights):
            weights[f"bert.{name}"] = weights.pop(name)
        weights["cls.predictions.bias"] = np.zeros(3, dtype=np.float32)

    edit_weights(folder, prefix)
    assert load(folder).dimensions == 64


def test_weights_in_float16_are_computed_in_float32_on_the_cpu(folder: Path) -> None:
    def halve(weights: dict[str, Any]) -> None:
        for name, weight in weights.items():
            weights[name] = weight.astype(np.float16) if weight.dtype == np.float32 else weight

    edit_weights(folder, halve)
    assert str(load(folder).dtype) == "mlx.core.float32"


def test_weights_in_shards_are_read_together(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    save_file({name: weights[name] for name in names[:9]}, folder / "model-00001-of-00002.safetensors")
    save_file({name: weights[name] for name in names[9:]}, folder / "model-00002-of-00002.safetensors")
    assert load(folder).dimensions == 64


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda weights: weights.pop(WORDS), f"lacks weights: {WORDS}"),
        (lambda weights: weights.update(extra=np.zeros(1, dtype=np.float32)), "unknown weights: extra"),
        (lambda weights: weights.update({WORDS: weights[WORDS][:-1].copy()}), "word_embeddings.weight is F32"),
        (lambda weights: weights.update({WORDS: weights[WORDS].astype(np.int32)}), "word_embeddings.weight is I32"),
        (lambda weights: weights[WORDS].__setitem__((3, 5), np.nan), "not finite in weights: embeddings.word"),
        (lambda weights: weights[WORDS].__setitem__((3, 5), np.inf), "not finite in weights: embeddings.word"),
    ],
)
def test_wrong_weights_are_refused_by_name(
    folder: Path, change: Callable[[dict[str, Any]], object], names: str
) -> None:
    edit_weights(folder, change)
    with pytest.raises(BadModel, match=names):
        load(folder)


def tensor(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    ("header", "data", "claim"),
    [
        pytest.param(b"{}", b"", 2**40, id="header longer than the file"),
        pytest.param(b" " * 101_000_000, b"", None, id="header of 100 MB"),
        pytest.param(b"{", b"", None, id="header not JSON"),
        pytest.param({"a": tensor([4], 0, 16)}, b"\0" * 8, None, id="past the end"),
        pytest.param({"a": tensor([4], 16, 0)}, b"\0" * 16, None, id="negative span"),
        pytest.param({"a": tensor([-1, -4], 0, 16)}, b"\0" * 16, None, id="negative size"),
        pytest.param({"a": tensor([2], 2**64 - 8, 0)}, b"\0" * 16, None, id="offsets that wrap"),
        pytest.param({"a": tensor([2**62, 4], 0, 0)}, b"", None, id="size that wraps"),
        pytest.param({"a": tensor([3], 0, 16)}, b"\0" * 16, None, id="span of another shape"),
        pytest.param({"a": tensor([2], 0, 16)}, b"\0" * 16, None, id="span of another type"),
        pytest.param({"a": tensor([4], 0, 16, "F33")}, b"\0" * 16, None, id="unknown type"),
        pytest.param({"a": tensor([4], 0, 16), "b": tensor([4], 8, 24)}, b"\0" * 24, None, id="overlap"),
        pytest.param({"a": tensor([2], 0, 8)}, b"\0" * 16, None, id="bytes that belong to nothing"),
    ],
)
def test_s21_a_safetensors_file_that_lies_is_refused(
    folder: Path, header: dict[str, Any] | bytes, data: bytes, claim: int | None
) -> None:
    write_safetensors(folder, header, data, claim)
    with pytest.raises(BadModel, match=r"model\.safetensors is not a sound"):
        load(folder)


def test_s21_a_name_twice_in_the_header_is_refused(folder: Path) -> None:
    entry = json.dumps(tensor([1], 0, 4))
    write_safetensors(folder, f'{{"a":{entry},"a":{entry}}}'.encode(), b"\0" * 4)
    with pytest.raises(BadModel):
        load(folder)


def test_s22_a_file_cut_short_is_refused(folder: Path) -> None:
    os.truncate(folder / "model.safetensors", 100_000)
    with pytest.raises(BadModel, match="not a sound"):
        load(folder)


def test_s20_pickles_and_code_are_never_opened(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    (folder / "modeling.py").write_text("raise SystemExit('this was executed')")
    with pytest.raises(BadModel, match=r"no model\.safetensors"):
        load(folder)


def test_s20_code_named_in_the_configuration_is_ignored_and_said(folder: Path) -> None:
    edit_json(folder / "config.json", auto_map={"AutoModel": "modeling.Evil"})
    (folder / "modeling.py").write_text("raise SystemExit('this was executed')")
    assert any("auto_map" in assumption for assumption in load(folder).assumptions)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors", "1_Pooling/config.json"])
def test_s20_a_link_out_of_the_folder_is_refused(folder: Path, name: str) -> None:
    outside = folder.parent / "outside"
    (folder / name).rename(outside)
    (folder / name).symlink_to(outside)
    with pytest.raises(BadModel, match="leads out"):
        load(folder)


def test_s20_a_link_inside_the_layout_of_the_hub_cache_is_followed(folder: Path) -> None:
    cache = folder.parent / "models--a--b"
    snapshot = cache / "snapshots" / "0123abc"
    snapshot.parent.mkdir(parents=True)
    folder.rename(snapshot)
    (cache / "blobs").mkdir()
    (snapshot / "model.safetensors").rename(cache / "blobs" / "53aa")
    (snapshot / "model.safetensors").symlink_to("../../blobs/53aa")
    assert load(snapshot).dimensions == 64


def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(folder: Path) -> None:
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    with pytest.raises(BadModel, match="not a regular file"):
        load(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_size": 10**9},
        {"hidden_size": 63},
        {"hidden_size": -64},
        {"hidden_size": True},
        {"hidden_size": "64"},
        {"hidden_size": None},
        {"num_hidden_layers": 201},
        {"num_attention_heads": 0},
        {"vocab_size": 2_000_001},
        {"pad_token_id": 10_000},
        {"layer_norm_eps": 0},
        {"layer_norm_eps": "1e-12"},
        {"hidden_act": "relu"},
        {"position_embedding_type": "relative_key"},
        {"model_type": "gpt2"},
        {"model_type": None},
    ],
)
def test_s24_a_configuration_that_is_absurd_or_of_another_kind_is_refused(folder: Path, change: dict[str, Any]) -> None:
    edit_json(folder / "config.json", **change)
    with pytest.raises(BadModel):
        load(folder)


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b" " * 2_000_000])
def test_a_configuration_that_is_no_json_object_is_refused(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    with pytest.raises(BadModel, match=r"config\.json"):
        load(folder)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="no model folder"):
        load(tmp_path / "nowhere")


def test_a_file_in_place_of_a_folder_is_refused(folder: Path) -> None:
    with pytest.raises(BadModel, match="not a folder"):
        load(folder / "config.json")


def test_the_manifest_names_the_revision_and_pins_every_file(folder: Path, model_folder: Path) -> None:
    pinned = json.loads((REPOSITORY / "python/default_model.json").read_text())
    for name in pinned["files"]:
        shutil.copy(model_folder / name, folder / name)
    (folder / "manifest.json").write_text(json.dumps(manifest(folder, pinned["files"], pinned["revision"])))
    loaded = load(folder)
    assert loaded.revision == pinned["revision"]
    assert loaded.weights_sha256 == pinned["files"]["model.safetensors"]


def test_a_file_that_differs_from_the_manifest_is_refused_by_name(folder: Path) -> None:
    (folder / "manifest.json").write_text(json.dumps(manifest(folder, {"tokenizer.json": "0" * 64})))
    with pytest.raises(BadModel, match=r"tokenizer\.json is not the file"):
        load(folder)


def test_a_file_that_was_cut_short_after_the_pull_is_refused_with_both_sizes(folder: Path) -> None:
    whole = (folder / "model.safetensors").stat().st_size
    (folder / "manifest.json").write_text(json.dumps(manifest(folder, {"model.safetensors": "0" * 64})))
    os.truncate(folder / "model.safetensors", 1_000)
    with pytest.raises(BadModel, match=rf"model\.safetensors has 1000 bytes, manifest\.json pins {whole}"):
        load(folder)


def test_weights_that_were_put_beside_those_of_the_manifest_are_refused(folder: Path) -> None:
    (folder / "manifest.json").write_text(json.dumps(manifest(folder, {})))
    with pytest.raises(BadModel, match=r"model\.safetensors is not among the files of manifest\.json"):
        load(folder)


@pytest.mark.parametrize("files", [None, [], {"tokenizer.json": "0" * 64}])
def test_a_manifest_that_is_none_is_refused(folder: Path, files: object) -> None:
    (folder / "manifest.json").write_text(json.dumps({"revision": "1", "files": files}))
    with pytest.raises(BadModel, match=r"manifest\.json"):
        load(folder)


def manifest(folder: Path, sha256: dict[str, str], revision: str = "1") -> dict[str, object]:
    files = {name: {"sha256": value, "bytes": (folder / name).stat().st_size} for name, value in sha256.items()}
    return {"revision": revision, "files": files}
