"""Values out of a model's JSON files, each checked before anything is sized by it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from embed_worker.errors import BadModel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# No limit of any model: whether so many numbers fit is for the estimate of memory to say.
SIZE_MAX = 2**31 - 1
LAYERS_MAX = 200


def whole_number(config: Mapping[str, Any], key: str, at_most: int) -> int:
    """The number under `key`, from 1 to `at_most`. Raises BadModel, naming key and value."""
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= at_most:
        raise BadModel(f"config: {key} must be a whole number from 1 to {at_most}, not {str(value)[:40]}")
    return value


def fraction(config: Mapping[str, Any], key: str, default: float) -> float:
    """The number under `key`, above 0 and below 1. Raises BadModel, naming key and value."""
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1:
        raise BadModel(f"config: {key} must be a number between 0 and 1, not {str(value)[:40]}")
    return float(value)


def positive(config: Mapping[str, Any], key: str, default: float | None = None) -> float:
    """The finite number above 0 under `key`. Raises BadModel, naming key and value."""
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise BadModel(f"config: {key} must be a number above 0, not {str(value)[:40]}")
    return float(value)


def only(config: Mapping[str, Any], key: str, value: object) -> None:
    """Nothing, or BadModel when `key` is there with another value than the one this worker computes."""
    if config.get(key, value) != value:
        raise BadModel(f"config: {key} {str(config[key])[:40]} is not supported, only {value}")


def pad_token(config: Mapping[str, Any], default: int, vocabulary_rows: int) -> int:
    """The id of padding, a row of the embedding; `default` where the file has none. Raises BadModel."""
    value = config.get("pad_token_id")
    value = default if value is None else value
    if type(value) is not int or not 0 <= value < vocabulary_rows:
        raise BadModel("config: pad_token_id is not a row of the vocabulary")
    return value


def shared_head_sizes(config: Mapping[str, Any]) -> tuple[int, int, int]:
    """Heads of the query, heads of key and value, and numbers of one head. Raises BadModel when they do not fit."""
    heads, shared = (whole_number(config, key, 256) for key in ("num_attention_heads", "num_key_value_heads"))
    if heads % shared:
        raise BadModel(f"config: num_attention_heads {heads} is no multiple of num_key_value_heads {shared}")
    head = whole_number(config, "head_dim", 1024)
    if head % 2:
        raise BadModel(f"config: head_dim {head} is not even")
    return heads, shared, head


def full_layers(config: Mapping[str, Any], layers: int, is_full: Callable[[int], bool]) -> tuple[bool, ...]:
    """Which layers attend to all tokens rather than to a window; `is_full` where `layer_types` is missing."""
    types = config.get("layer_types")
    if types is None:
        return tuple(is_full(index) for index in range(layers))
    known = ("full_attention", "sliding_attention")
    if not isinstance(types, list) or len(types) != layers or not all(value in known for value in types):
        raise BadModel(f"config: layer_types must name {layers} layers, each {' or '.join(known)}")
    return tuple(value == "full_attention" for value in types)


def rope_theta(config: Mapping[str, Any], old_key: str, default: float, layer_type: str | None = None) -> float:
    """The base of the rotary positions. Raises BadModel on any kind of them but the plain one.

    transformers 5 writes rope_parameters, with one entry per `layer_type` where a model has two bases; before that it
    was a number under `old_key`, and rope_scaling.
    """
    parameters = _mapping(config, "rope_parameters")
    if layer_type is not None:
        if "rope_theta" in parameters:
            raise BadModel("config: rope_parameters must have one entry per layer type")
        parameters = _mapping(parameters, layer_type)
    for settings in (parameters, _mapping(config, "rope_scaling")):
        kind = settings.get("rope_type", settings.get("type", "default"))
        if kind != "default":
            raise BadModel(f"config: rope_type {str(kind)[:40]} is not supported, only default")
        only(settings, "partial_rotary_factor", 1.0)
    if "rope_theta" in parameters:
        return positive(parameters, "rope_theta")
    return positive(config, old_key, default)


def _mapping(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = config.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadModel(f"config: {key} must be an object, not {str(value)[:40]}")
    return value
