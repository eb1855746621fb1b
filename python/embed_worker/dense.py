"""Dense layers that some models put after pooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import mlx.core as mx

from embed_worker.config_values import SIZE_MAX, only, whole_number
from embed_worker.errors import BadModel
from embed_worker.weights import Checkpoint, Wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embed_worker.folder import Folder

Activation = Literal["identity", "tanh"]

# Old and new files agree on these names; a class that is named otherwise may be anything.
_ACTIVATIONS: dict[str, Activation] = {
    "torch.nn.modules.linear.Identity": "identity",
    "torch.nn.modules.activation.Tanh": "tanh",
}


@dataclass(frozen=True)
class Dense:
    """One layer, in float32 on every device."""

    weight: mx.array
    """(out, in)"""
    bias: mx.array | None
    activation: Activation

    def __call__(self, vectors: mx.array) -> mx.array:
        """(batch, in) → (batch, out), float32."""
        product = vectors @ self.weight.T
        if self.bias is not None:
            product = product + self.bias
        return mx.tanh(product) if self.activation == "tanh" else product


def read_dense(folder: Folder, path: str, dimensions: int) -> Dense:
    """The layer in a sub-folder such as 2_Dense, for vectors of `dimensions` numbers. Raises BadModel."""
    config = folder.json(f"{path}/config.json")
    only(config, "in_features", dimensions)
    only(config, "module_input_name", "sentence_embedding")
    only(config, "module_output_name", config.get("module_input_name", "sentence_embedding"))
    only(config, "use_residual", value=False)
    activation = _ACTIVATIONS.get(str(config.get("activation_function", "torch.nn.modules.activation.Tanh")))
    if activation is None:
        raise BadModel(f"{path}: activation_function {str(config['activation_function'])[:60]} is not supported")
    out = whole_number(config, "out_features", SIZE_MAX)
    shapes = {"linear.weight": (out, dimensions)}
    if config.get("bias", True) is not False:
        shapes["linear.bias"] = (out,)
    weights = Checkpoint(folder, [dense_file(path)]).load(Wanted(shapes, mx.float32))
    return Dense(weights["linear.weight"], weights.get("linear.bias"), activation)


def dense_file(path: str) -> str:
    """Name of the weights of the layer in a sub-folder."""
    return f"{path}/model.safetensors"


def find_dense(checkpoint: Checkpoint, count: int, dimensions: int) -> Sequence[Dense]:
    """Layers that a conversion keeps beside the model's weights as dense.0, dense.1. Raises BadModel without them."""
    shapes: dict[str, tuple[int, ...]] = {}
    for index in range(count):
        name = f"dense.{index}.weight"
        rows = checkpoint.rows(name)
        if rows is None:
            raise BadModel(f"the folder has neither modules.json nor {name}, a dense layer that this family needs")
        shapes[name] = (rows, dimensions)
        dimensions = rows
    wanted = Wanted(shapes, mx.float32, lambda stored: stored if stored.startswith("dense.") else None)
    return [Dense(weight, None, "identity") for weight in checkpoint.load(wanted).values()]
