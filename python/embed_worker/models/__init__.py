"""Model families, one module each, named after the `model_type` of config.json.

A module has `read_config`, `weight_name`, `weight_shapes`, `build`, `fallback`, and the constants `HALF_IS_SAFE` and
`TAKES_QUANTISED` (whether `build` accepts matrices that are still quantised).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from embed_worker.errors import BadModel
from embed_worker.models import bert, gemma3_text, modernbert, qwen3, xlm_roberta

if TYPE_CHECKING:
    from types import ModuleType

FAMILIES: dict[str, ModuleType] = {
    "bert": bert,
    "gemma3_text": gemma3_text,
    "modernbert": modernbert,
    "qwen3": qwen3,
    "xlm-roberta": xlm_roberta,
}
"""By `model_type` of config.json."""

# Their only definition is code inside their own folders, which is never run, so nothing could prove ours right.
_CODE_IN_FOLDER = ("nomic_bert", "new", "gte", "jina_bert")


def find_family(model_type: object) -> ModuleType:
    """The module of a `model_type`. Raises BadModel, naming it."""
    family = FAMILIES.get(str(model_type))
    if family is None:
        why = " (it is defined by code in its folder, which is never run)" if model_type in _CODE_IN_FOLDER else ""
        known = ", ".join(sorted(FAMILIES))
        raise BadModel(f"config: model_type {str(model_type)[:40]} is not supported{why}, only {known}")
    return family
