"""What every family module offers beside its arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import mlx.core as mx

    from embed_worker.pooling import Pooling


class Model(Protocol):
    """A model with its weights."""

    def __call__(self, ids: mx.array, inside: mx.array | None) -> mx.array:
        """Hidden states of the last layer: int32 (batch, tokens), bool (batch, tokens) → (batch, tokens, dim).

        `inside` is true where a text has a token; None when no text is padded. Texts are padded at the right, and
        what comes out at padded places means nothing, but is finite.
        """


@dataclass(frozen=True)
class Fallback:
    """What a family does where a conversion has dropped the file that says so."""

    pooling: Pooling
    prompts: Mapping[str, str] = field(default_factory=dict)
    """By name; for a folder without modules.json, since with one a missing file means that there are none."""
    ending: str | None = None
    """The token that must end every text when the last token is the vector."""
    dense_layers: int = 0
    """Dense layers after pooling, looked for in the main weights as dense.0, dense.1."""
