"""Hostile and broken folders through a real process: one clear sentence, and a worker that never gets ready."""

from __future__ import annotations

import base64
import json
import os
import shutil
import struct
import sys
from typing import TYPE_CHECKING

import pytest
from safetensors.numpy import load_file, save_file

from embed_worker import weights
from embed_worker.errors import BadModel
from embed_worker.weights import memory_bytes
from tests.families import MODELS, copy, edit, golden, load, reference
from tests.support import PYTHON, Worker, start_worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WEIGHTS = "model.safetensors"
WORDS = "embed_tokens.weight"


def header(folder: Path, change: Callable[[dict[str, dict]], object]) -> None:
    """Change what the header of a weights file says, and nothing else."""
    content = (folder / WEIGHTS).read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    said = json.loads(content[8 : 8 + size])
    change(said)
    head = json.dumps(said).encode()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(head)) + head + content[8 + size :])


def number(folder: Path, value: float) -> None:
    stored = load_file(folder / WEIGHTS)
    stored["norm.weight"][3] = value
    save_file(stored, folder / WEIGHTS)


def link(folder: Path, name: str) -> None:
    (folder / name).rename(folder.parent / "outside")
    (folder / name).symlink_to(folder.parent / "outside")


def add_words(folder: Path, count: int) -> None:
    stored = json.loads((folder / "tokenizer.json").read_text())
    stored["model"]["vocab"] |= {f"word {index}": 1_000 + index for index in range(count)}
    (folder / "tokenizer.json").write_text(json.dumps(stored))


def enlarge(folder: Path) -> None:
    edit(folder / "config.json", hidden_size=10**9)
    edit(folder / "1_Pooling/config.json", word_embedding_dimension=None)


def nested(folder: Path, name: str) -> None:
    (folder / name).write_text('{"a":' * 100_000 + "1" + "}" * 100_000)


# What is done to a sound folder of qwen3, and what the worker says.
HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "negative offset": (lambda f: header(f, lambda h: h[WORDS].update(data_offsets=[-4, 327676])), "not a sound"),
    "wrapping offset": (
        lambda f: header(f, lambda h: h[WORDS].update(data_offsets=[2**64 - 8, 99])),
        "not a sound",
    ),
    "offset past the end": (lambda f: header(f, lambda h: h[WORDS].update(data_offsets=[0, 2**40])), "not a sound"),
    "overlapping tensors": (lambda f: header(f, lambda h: h[WORDS].update(h["norm.weight"])), "model.safetensors"),
    "a lying shape": (lambda f: header(f, lambda h: h[WORDS].update(shape=[320, 256])), WORDS),
    "a wrapping shape": (lambda f: header(f, lambda h: h[WORDS].update(shape=[2**62, 4])), "not a sound"),
    "a type of another size": (lambda f: header(f, lambda h: h[WORDS].update(dtype="F16")), "not a sound"),
    "a header of 2^60 bytes": (lambda f: (f / WEIGHTS).write_bytes(struct.pack("<Q", 2**60) + b"{}"), "a header of"),
    "a header of 99 MB": (
        lambda f: (f / WEIGHTS).write_bytes(struct.pack("<Q", 99 << 20) + b" " * (99 << 20)),
        "a header of 103809024 bytes",
    ),
    "an empty file": (lambda f: (f / WEIGHTS).write_bytes(b""), "not a sound"),
    "a trailing gap": (lambda f: os.truncate(f / WEIGHTS, (f / WEIGHTS).stat().st_size + 64), "not a sound"),
    "a file cut short": (lambda f: os.truncate(f / WEIGHTS, 100_000), "not a sound"),
    "NaN in a weight": (lambda f: number(f, float("nan")), "not finite in weights: norm.weight"),
    "weights that overflow": (lambda f: number(f, 3e38), "not finite or not of length 1"),
    "a billion dimensions": (enlarge, "GB of memory, and this machine has"),
    "a billion words": (lambda f: edit(f / "config.json", vocab_size=2 * 10**9), "GB of memory, and this machine has"),
    "ids beyond the embedding": (lambda f: add_words(f, 3), "token ids beyond the 640 rows"),
    "weights that lead out": (lambda f: link(f, WEIGHTS), "leads out of the model folder"),
    "a tokenizer that leads out": (lambda f: link(f, "tokenizer.json"), "leads out of the model folder"),
    "a nested configuration": (lambda f: nested(f, "config.json"), "config.json is not JSON"),
    "a nested tokenizer": (lambda f: nested(f, "tokenizer.json"), "tokenizer.json is not a tokenizer"),
    "a configuration of 2 MB": (lambda f: (f / "config.json").write_bytes(b" " * (2 << 20)), "larger than"),
    "a number of 5,000 digits": (
        lambda f: (f / "config.json").write_text('{"hidden_size": ' + "9" * 5_000 + "}"),
        "config.json",
    ),
    "a dense layer elsewhere": (
        lambda f: (f / "modules.json").write_text(
            json.dumps(
                [
                    {"path": "", "type": "models.Transformer"},
                    {"path": "1_Pooling", "type": "models.Pooling"},
                    {"path": "../../../etc", "type": "models.Dense"},
                ]
            )
        ),
        "../../../etc/config.json",
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_s20_s21_s23_s24_a_hostile_folder_ends_in_one_sentence(what: str, tmp_path: Path) -> None:
    do, says = HOSTILE[what]
    folder = copy("qwen3-last", tmp_path)
    do(folder)
    with start_worker(folder, None) as worker:
        head = worker.channel.receive().head
        status, _, log = worker.end()
    code = "self_test_failed" if what == "weights that overflow" else "bad_model"
    assert (head["type"], head["code"]) == ("start_failed", code)
    assert says in head["message"]
    assert len(head["message"]) < 400
    assert "\n" not in head["message"]
    assert status == (64 if code == "bad_model" else 70)
    assert "Traceback" not in log


def test_w14_a_worker_whose_vectors_are_not_the_pinned_ones_never_gets_ready(tmp_path: Path) -> None:
    package = shutil.copytree(PYTHON / "embed_worker", tmp_path / "embed_worker")
    name, texts = "bert-cls", golden("bert-cls")["texts"][:3]
    pinned = reference(name, "default")[:3] + 1e-2
    stored = {
        "weights_sha256": load(name).loaded.weights_sha256,
        "texts": texts,
        "vectors_base64_f32le": base64.b64encode(pinned.astype("<f4").tobytes()).decode(),
    }
    (package / "golden" / "small.json").write_text(json.dumps(stored))
    with Worker([sys.executable, "-I", "-u", package / "__main__.py", "--model", MODELS / name]) as worker:
        head = worker.channel.receive().head
        assert worker.end()[0] == 70
    assert (head["type"], head["code"]) == ("start_failed", "self_test_failed")
    assert "pinned vector differ by 1.0e-02" in head["message"]


def test_s20_pickles_and_code_beside_the_weights_are_never_run(tmp_path: Path, blas_library: Path | None) -> None:
    folder = copy("bert-cls", tmp_path)
    trap = f"open({str(tmp_path / 'executed')!r}, 'w')"
    for name in ("modeling_bert.py", "configuration_bert.py", "tokenization.py", "sitecustomize.py", "conftest.py"):
        (folder / name).write_text(trap)
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt", "1_Pooling/weights.pkl"):
        (folder / name).write_bytes(b"cbuiltins\nexec\n(V" + trap.encode() + b"\ntR.")
    edit(folder / "config.json", auto_map={"AutoModel": "modeling_bert.Evil"}, trust_remote_code=True)
    with start_worker(folder, blas_library) as worker:
        ready = worker.channel.receive().head
        worker.channel.close()
        worker.end()
    assert ready["type"] == "ready"
    assert any("auto_map" in line for line in ready["info"]["assumptions"])
    assert not (tmp_path / "executed").exists()


def test_s24_the_refusal_for_want_of_memory_gives_both_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "memory_bytes", lambda: 1_000_000)
    with pytest.raises(BadModel, match=r"the weights need 0\.0 GB of memory, and this machine has 0\.0 GB"):
        load("qwen3-last")
    monkeypatch.setattr(weights, "memory_bytes", lambda: 4_000_000)
    assert load("qwen3-last").loaded.dimensions == 128
    folder = copy("qwen3-last", tmp_path)
    enlarge(folder)
    with pytest.raises(BadModel, match=r"need 14,868\.0 GB"):
        load(folder)


def test_memory_is_that_of_the_machine_or_of_its_control_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for content, expected in (("max\n", physical), ("1048576\n", 1 << 20), (f"{1 << 62}\n", physical)):
        (tmp_path / "memory.max").write_text(content)
        monkeypatch.setattr(weights, "_CGROUP_LIMIT", tmp_path / "memory.max")
        assert memory_bytes() == expected


def test_a_text_with_an_added_token_beyond_the_embedding_is_refused_and_the_worker_lives(
    tmp_path: Path, blas_library: Path | None
) -> None:
    folder = copy("gemma3-dense", tmp_path)
    stored = json.loads((folder / "tokenizer.json").read_text())
    added = {"id": 448, "content": "<image>", "special": True, "normalized": False}
    padding = [added | {"id": index, "content": f"<unused{index}>"} for index in range(106, 448)]
    flags = {"single_word": False, "lstrip": False, "rstrip": False}
    stored["added_tokens"] += [token | flags for token in [*padding, added]]
    (folder / "tokenizer.json").write_text(json.dumps(stored))
    with start_worker(folder, blas_library) as worker:
        assert worker.channel.receive().head["type"] == "ready"
        worker.channel.embed(["an <image> here"])
        assert "beyond the embedding" in worker.channel.receive().head["message"]
        worker.channel.embed(["none here"])
        assert worker.channel.receive().head["failedRows"] == []
