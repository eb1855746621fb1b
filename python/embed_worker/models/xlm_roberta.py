"""XLM-RoBERTa encoders: multilingual E5, BGE-M3 (its dense vector). Conneau et al. 2020."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import mlx.core as mx

from embed_worker.errors import BadModel
from embed_worker.models import bert
from embed_worker.models.bert import HALF_IS_SAFE, TAKES_QUANTISED, BertConfig, fallback, weight_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from embed_worker.ops import Ops

__all__ = ["HALF_IS_SAFE", "TAKES_QUANTISED", "build", "fallback", "read_config", "weight_name", "weight_shapes"]

# What a vector does not need, beside the same parts of BERT.
_UNUSED = ("lm_head.", "classifier.")


def read_config(config: Mapping[str, Any]) -> BertConfig:
    """Sizes from config.json. Raises BadModel on one that is missing, absurd, or of another architecture."""
    sizes = bert.read_config({"pad_token_id": 1, "layer_norm_eps": 1e-5, **config})
    if sizes.positions <= sizes.pad_id + 1:
        raise BadModel("config: max_position_embeddings leaves no place after that of padding")
    return replace(sizes, first_position=sizes.pad_id + 1)


def weight_name(stored: str) -> str | None:
    """Our name of a tensor in a checkpoint; None for one that is not needed."""
    name = stored.removeprefix("roberta.")
    return None if name.startswith(_UNUSED) else bert.weight_name(name)


class XlmRoberta(bert.Bert):
    """An XLM-RoBERTa encoder with its weights: BERT, but for how places are counted."""

    def __init__(self, config: BertConfig, weights: Mapping[str, mx.array], ops: Ops) -> None:
        super().__init__(config, weights, ops)
        self._pad_id = config.pad_id

    def _places(self, ids: mx.array) -> mx.array:
        # Counted from the row after padding's. A padding token has that row and is not counted, even one that a user
        # typed into a text.
        counted = (ids != self._pad_id).astype(mx.int32)
        return self._positions[mx.cumsum(counted, axis=1) * counted + self._pad_id]


def build(config: BertConfig, weights: Mapping[str, mx.array], ops: Ops) -> XlmRoberta:
    """Make the model of these weights for a device."""
    return XlmRoberta(config, weights, ops)
