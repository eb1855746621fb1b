"""What one request asks of its texts, checked against the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from embed_worker.errors import BadRequest
from embed_worker.pooling import POOLINGS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from embed_worker.load import LoadedModel
    from embed_worker.pooling import Pooling
    from embed_worker.recipe import Side


@dataclass(frozen=True)
class Options:
    """How the texts of one request become vectors."""

    prompt: str = ""
    """Put before each text: its tokens count for the limit and for pooling, as those of the text do."""
    truncation_side: Side | None = None
    """Where a long text loses tokens, prompt included; None: as the model's files say."""
    pooling: Pooling | Literal["default"] = "default"
    """"default": as the model's files say."""
    dimensions: int | None = None
    """Vectors are cut to so many numbers, then normalised if at all; None: not cut."""
    normalize: bool = True


def read_options(head: Mapping[str, Any], loaded: LoadedModel) -> Options:
    """Options out of the head of an `embed` frame. Raises BadRequest with a sentence for the caller."""
    pooling, normalize, side = head.get("pooling", "default"), head.get("normalize", True), head.get("truncationSide")
    if pooling not in (*POOLINGS, "default") or not isinstance(normalize, bool):
        raise BadRequest("pooling or normalize is not what protocol 1 knows")
    if side not in ("right", "left", None):
        raise BadRequest("truncationSide must be right or left")
    return Options(
        prompt=_read_prompt(head, loaded),
        truncation_side=side,
        pooling=pooling,
        dimensions=_read_dimensions(head, loaded),
        normalize=normalize,
    )


def _read_prompt(head: Mapping[str, Any], loaded: LoadedModel) -> str:
    """The text itself, the named one, or the model's default, in this order."""
    text, name = head.get("prompt"), head.get("promptName")
    if text is not None and name is not None:
        raise BadRequest("prompt and promptName exclude each other")
    if text is not None:
        if not isinstance(text, str):
            raise BadRequest("prompt must be a text")
        return text
    if name is None:
        return loaded.prompts[loaded.default_prompt] if loaded.default_prompt is not None else ""
    if not isinstance(name, str) or name not in loaded.prompts:
        known = ", ".join(loaded.prompts) or "none"
        raise BadRequest(f"the model has no prompt {str(name)[:40]!r}; it has: {known}")
    return loaded.prompts[name]


def _read_dimensions(head: Mapping[str, Any], loaded: LoadedModel) -> int | None:
    value, most, allowed = head.get("dimensions"), loaded.dimensions, loaded.dimensions_allowed
    if value is None:
        return None
    if type(value) is not int or not 1 <= value <= most:
        raise BadRequest(f"dimensions must be a whole number from 1 to {most}")
    if allowed is not None and value not in (*allowed, most):
        raise BadRequest(f"dimensions must be one of {', '.join(map(str, (*allowed, most)))}")
    return value
