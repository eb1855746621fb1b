"""Texts a second of another engine with the same weights: `python peers.py --peer onnxruntime --texts FILE`.

Prints one JSON line, {"textsPerSecond": …, "tokensPerSecond": …}, tokenising counted. FILE is a JSON list of texts;
they are taken in its order, `--batch` at a time, round and round. Refuses to time an engine whose vectors are wrong.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

# The packages of peers.lock alone, nothing from a hub.
os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import numpy as np
from tokenizers import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import onnx

ROOT = Path(__file__).resolve().parent.parent.parent
GOLDEN = ROOT / "python/embed_worker/golden/all-MiniLM-L6-v2.json"
TOLERANCE = 1e-4
OPSET = 17
# onnxruntime's own operators.
OWN = "com.microsoft"


class Peer(Protocol):
    """An engine with a model."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Normalised vectors of the texts, in their order."""


def main() -> int:
    """Print the figure; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peer", required=True, choices=("onnxruntime", "sentence-transformers"))
    parser.add_argument("--texts", required=True, type=Path, metavar="FILE", help="JSON list of texts")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--model", type=Path, default=ROOT / ".embedge/models/all-MiniLM-L6-v2", metavar="FOLDER")
    parser.add_argument(
        "--budget-tokens",
        type=int,
        default=512,
        help="onnxruntime alone: sort a batch by length and cut it into passes of so many padded tokens, as embedge "
        "does; 0: one pass, padded to the longest, as most servers do",
    )
    options = parser.parse_args()
    texts = json.loads(options.texts.read_text(encoding="utf-8"))
    tokenizer = make_tokenizer(options.model)
    if options.peer == "onnxruntime":
        peer: Peer = OnnxRuntime(options.model, tokenizer, options.threads, options.budget_tokens)
    else:
        peer = SentenceTransformers(options.model, options.threads, options.batch)
    difference = check(peer)
    if not difference <= TOLERANCE:
        print(f"{options.peer} gives wrong vectors: {difference:.1e} off", file=sys.stderr)
        return 1
    batches = [texts[start : start + options.batch] for start in range(0, len(texts), options.batch)]
    print(json.dumps(measure(peer, batches, tokenizer, options.seconds)))
    return 0


def measure(peer: Peer, batches: Sequence[Sequence[str]], tokenizer: Tokenizer, seconds: float) -> dict[str, float]:
    """Run the batches in turn for about `seconds`, after one round unmeasured."""
    tokens = [sum(len(encoding.ids) for encoding in tokenizer.encode_batch_fast(batch)) for batch in batches]
    for batch in batches:
        peer.embed(batch)
    start_s = time.perf_counter()
    texts_done = tokens_done = 0
    for batch, count in cycle(zip(batches, tokens, strict=True)):
        peer.embed(batch)
        texts_done += len(batch)
        tokens_done += count
        if (passed_s := time.perf_counter() - start_s) >= seconds:
            break
    return {"textsPerSecond": round(texts_done / passed_s, 1), "tokensPerSecond": round(tokens_done / passed_s)}


def check(peer: Peer) -> float:
    """Largest difference of one number from the pinned vectors of embedge's own tests."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    wanted = np.frombuffer(base64.b64decode(golden["vectors_base64_f32le"]), dtype="<f4")
    return float(np.abs(peer.embed(golden["texts"]) - wanted.reshape(len(golden["texts"]), -1)).max())


def make_tokenizer(model: Path) -> Tokenizer:
    """The model's tokenizer with the limit that sentence-transformers uses."""
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(json.loads((model / "sentence_bert_config.json").read_text())["max_seq_length"])
    return tokenizer


class SentenceTransformers:
    """sentence-transformers on torch, as its documentation says."""

    def __init__(self, model: Path, threads: int, batch: int) -> None:
        import torch  # noqa: PLC0415 - each peer loads its own engine alone
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415

        torch.set_num_threads(threads)
        self._model = SentenceTransformer(str(model), device="cpu")
        self._batch = batch

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Normalised vectors of the texts, in their order."""
        return self._model.encode(list(texts), batch_size=self._batch, show_progress_bar=False)


class OnnxRuntime:
    """onnxruntime, with its own fused operators for BERT."""

    def __init__(self, model: Path, tokenizer: Tokenizer, threads: int, budget_tokens: int) -> None:
        import onnx  # noqa: PLC0415 - each peer loads its own engine alone
        import onnxruntime  # noqa: PLC0415

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "model.onnx")
            onnx.save(BertGraph(model).build(), path)
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._tokenizer = tokenizer
        self._budget_tokens = budget_tokens or sys.maxsize

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Normalised vectors of the texts, in their order."""
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]
        vectors: list[np.ndarray | None] = [None] * len(ids)
        for rows in self._passes(ids):
            padded = np.zeros((len(rows), max(len(ids[row]) for row in rows)), dtype=np.int32)
            mask = np.zeros_like(padded)
            for at, row in enumerate(rows):
                padded[at, : len(ids[row])] = ids[row]
                mask[at, : len(ids[row])] = 1
            (out,) = self._session.run(None, {"ids": padded, "mask": mask})
            for row, vector in zip(rows, out, strict=True):
                vectors[row] = vector
        return np.stack(vectors)

    def _passes(self, ids: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        """Rows of each pass, shortest first."""
        rows: list[int] = []
        for row in sorted(range(len(ids)), key=lambda row: len(ids[row])):
            if rows and (len(rows) + 1) * len(ids[row]) > self._budget_tokens:
                yield rows
                rows = []
            rows.append(row)
        yield rows


class BertGraph:
    """A BERT encoder with mean pooling, in the operators that onnxruntime's own optimizer turns BERT into."""

    def __init__(self, folder: Path) -> None:
        from safetensors.numpy import load_file  # noqa: PLC0415

        self._config = json.loads((folder / "config.json").read_text())
        self._eps = self._config["layer_norm_eps"]
        self._weights = load_file(folder / "model.safetensors")
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def build(self) -> onnx.ModelProto:
        """int32 `ids` and `mask` (batch, tokens) to `vectors` (batch, dimensions), normalised."""
        from onnx import TensorProto, helper  # noqa: PLC0415

        hidden = self._embed()
        for index in range(self._config["num_hidden_layers"]):
            hidden = self._layer(hidden, f"encoder.layer.{index}.")
        self._pool(hidden)
        shape = ["batch", "tokens"]
        inputs = [helper.make_tensor_value_info(name, TensorProto.INT32, shape) for name in ("ids", "mask")]
        dimensions = self._config["hidden_size"]
        outputs = [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", dimensions])]
        graph = helper.make_graph(self._nodes, "bert", inputs, outputs, self._constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(OWN, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)

    def _embed(self) -> str:
        word, position, kind = (f"embeddings.{name}_embeddings.weight" for name in ("word", "position", "token_type"))
        # Every token has type 0; an operator without types adds none.
        positions = self._constant("positions", self._weights[position] + self._weights[kind][0])
        inputs = ["ids", "", self._weight(word), positions, "", *self._norm("embeddings")]
        return self._add("EmbedLayerNormalization", inputs, "embedded", epsilon=self._eps)

    def _layer(self, hidden: str, prefix: str) -> str:
        parts = [f"{prefix}attention.self.{name}" for name in ("query", "key", "value")]
        matrix = np.concatenate([self._weights[f"{part}.weight"].T for part in parts], axis=1)
        bias = np.concatenate([self._weights[f"{part}.bias"] for part in parts])
        heads = [hidden, self._constant(f"{prefix}qkv", matrix), self._constant(f"{prefix}qkv.bias", bias), "mask"]
        attended = self._add("Attention", heads, f"{prefix}attended", num_heads=self._config["num_attention_heads"])
        middle = self._back(attended, hidden, f"{prefix}attention.output")
        up = self._product(middle, f"{prefix}intermediate.dense")
        gelu = self._add("BiasGelu", [up, self._weight(f"{prefix}intermediate.dense.bias")], f"{prefix}gelu")
        return self._back(gelu, middle, f"{prefix}output")

    def _back(self, x: str, residual: str, name: str) -> str:
        """Product, residual and norm."""
        inputs = [self._product(x, f"{name}.dense"), residual, *self._norm(name), self._weight(f"{name}.dense.bias")]
        return self._add("SkipLayerNormalization", inputs, f"{name}.out", epsilon=self._eps)

    def _pool(self, hidden: str) -> None:
        from onnx import TensorProto  # noqa: PLC0415

        tokens_axis = self._constant("tokens_axis", np.array([1], dtype=np.int64))
        last_axis = self._constant("last_axis", np.array([2], dtype=np.int64))
        counts = self._add("Cast", ["mask"], "counts", domain="", to=TensorProto.FLOAT)
        counts = self._add("Unsqueeze", [counts, last_axis], "counts_per_number", domain="")
        counted = self._add("Mul", [hidden, counts], "counted", domain="")
        total = self._add("ReduceSum", [counted, tokens_axis], "total", domain="", keepdims=0)
        count = self._add("ReduceSum", [counts, tokens_axis], "count", domain="", keepdims=0)
        mean = self._add("Div", [total, count], "mean", domain="")
        self._add("LpNormalization", [mean], "vectors", domain="", axis=-1, p=2)

    def _product(self, x: str, name: str) -> str:
        matrix = self._constant(f"{name}.transposed", self._weights[f"{name}.weight"].T)
        return self._add("MatMul", [x, matrix], f"{name}.product", domain="")

    def _norm(self, name: str) -> list[str]:
        return [self._weight(f"{name}.LayerNorm.{part}") for part in ("weight", "bias")]

    def _weight(self, name: str) -> str:
        return self._constant(name, self._weights[name])

    def _constant(self, name: str, array: np.ndarray) -> str:
        from onnx import numpy_helper  # noqa: PLC0415

        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def _add(self, operator: str, inputs: Sequence[str], out: str, domain: str = OWN, **attributes: object) -> str:
        from onnx import helper  # noqa: PLC0415

        # One of them insists on a second output.
        outputs = [out, f"{out}.mask"] if operator == "EmbedLayerNormalization" else [out]
        self._nodes.append(helper.make_node(operator, inputs, outputs, domain=domain, **attributes))
        return out


if __name__ == "__main__":
    sys.exit(main())
