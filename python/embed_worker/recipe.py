"""What a folder's files say is done around its encoder: prompts, limits, pooling, dense layers.

These are the files of sentence-transformers, in the layouts of all its versions. A conversion to MLX often drops them;
then the family's rule fills in, and `assumptions` says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from embed_worker.config_values import only, whole_number
from embed_worker.errors import BadModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from embed_worker.folder import Folder
    from embed_worker.models.family import Fallback
    from embed_worker.pooling import Pooling

Side = Literal["right", "left"]

MODULES = "modules.json"
POOLING = "1_Pooling/config.json"
PROMPTS = "config_sentence_transformers.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
# Old names of the first; the last of them is that of the first multilingual models.
LIMITS = ("sentence_bert_config.json", "sentence_roberta_config.json", "sentence_xlm-roberta_config.json")

_TOKENS_MAX = 1_000_000
_POOLING_FLAGS: Mapping[str, str] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "lasttoken",
}
_POOLINGS: Mapping[str, Pooling] = {"mean": "mean", "cls": "cls", "lasttoken": "last_token"}


@dataclass(frozen=True)
class Recipe:
    """From texts to vectors, but for the encoder."""

    pooling: Pooling
    dense_paths: Sequence[str]
    """Sub-folders of the dense layers after pooling, in order."""
    tokens_max: int
    """Longest input in tokens, prompt and special tokens counted."""
    truncation_side: Side | None
    """Where a longer text loses its tokens; None: as tokenizer.json says."""
    lower_case: bool
    prompts: Mapping[str, str]
    default_prompt: str | None
    dimensions_allowed: Sequence[int] | None
    """Shorter lengths that the model was trained for; None where the files do not say."""
    has_modules: bool
    assumptions: Sequence[str]


def read_recipe(folder: Folder, settings: Mapping[str, Any], fallback: Fallback, sizes: tuple[int, int]) -> Recipe:
    """What the files say; `sizes` are the dimensions and the most tokens of the encoder. Raises BadModel."""
    dimensions, capacity = sizes
    assumptions: list[str] = []
    dense_paths = _read_modules(folder, fallback)
    pooling = _read_pooling(folder, dimensions)
    if pooling is None:
        pooling = fallback.pooling
        assumptions.append(f"the folder has no {POOLING}: pooling {pooling}, as its family does")
    prompts, default_prompt = _read_prompts(folder)
    if prompts is None:
        prompts = {} if folder.has(MODULES) else fallback.prompts
        if prompts:
            assumptions.append(f"the folder has no {PROMPTS}: prompts {', '.join(prompts)}, as its family does")
    tokens_max, lower_case = _read_limit(folder, capacity, assumptions)
    return Recipe(
        pooling=pooling,
        dense_paths=dense_paths,
        tokens_max=tokens_max,
        truncation_side=_read_side(folder),
        lower_case=lower_case,
        prompts=prompts,
        default_prompt=default_prompt,
        dimensions_allowed=_read_dimensions(settings),
        has_modules=folder.has(MODULES),
        assumptions=assumptions,
    )


def _read_modules(folder: Folder, fallback: Fallback) -> list[str]:
    """Sub-folders of the dense layers. Refuses modules that this worker would silently leave out."""
    if not folder.has(MODULES):
        usual = [f"{2 + index}_Dense" for index in range(fallback.dense_layers)]
        return usual if all(folder.has(f"{path}/config.json") for path in usual) else []
    modules = folder.json_list(MODULES)
    kinds = [str(module.get("type")).rsplit(".", 1)[-1] for module in modules]
    middle = kinds[2:-1] if kinds[-1:] == ["Normalize"] else kinds[2:]
    if kinds[:2] != ["Transformer", "Pooling"] or any(kind != "Dense" for kind in middle):
        listed = ", ".join(kinds)[:100]
        raise BadModel(f"{MODULES}: {listed} is not supported, only Transformer, Pooling, Dense, Normalize")
    paths = [module.get("path") for module in modules[: 2 + len(middle)]]
    if paths[:2] != ["", "1_Pooling"] or not all(isinstance(path, str) and path for path in paths[1:]):
        raise BadModel(f"{MODULES}: the modules must lie in the folder itself, 1_Pooling and sub-folders")
    return cast("list[str]", paths[2:])


def _read_pooling(folder: Folder, dimensions: int) -> Pooling | None:
    """How tokens become one vector; None where no file says it."""
    if not folder.has(POOLING):
        return None
    config = folder.json(POOLING)
    only(config, "word_embedding_dimension", dimensions)
    only(config, "embedding_dimension", dimensions)
    only(config, "include_prompt", value=True)
    flags = [key for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
    named = config.get("pooling_mode", [_POOLING_FLAGS.get(flag, flag) for flag in flags])
    modes = named if isinstance(named, list) else [named]
    pooling = _POOLINGS.get(str(modes[0])) if len(modes) == 1 else None
    if pooling is None:
        listed = " and ".join(str(mode) for mode in modes)[:100] or "none"
        raise BadModel(f"{POOLING}: pooling {listed} is not supported, only one of {', '.join(_POOLINGS)}")
    return pooling


def _read_prompts(folder: Folder) -> tuple[Mapping[str, str] | None, str | None]:
    """Prompts by name, None where no file says it; and the name of the one that every text gets."""
    if not folder.has(PROMPTS):
        return None, None
    config = folder.json(PROMPTS)
    stored, default = config.get("prompts") or {}, config.get("default_prompt_name")
    if not isinstance(stored, dict):
        raise BadModel(f"{PROMPTS}: prompts must be an object")
    prompts = {name: text for name, text in stored.items() if text is not None}
    if not all(isinstance(text, str) for text in prompts.values()):
        raise BadModel(f"{PROMPTS}: a prompt is not a text")
    if default is not None and default not in prompts:
        raise BadModel(f"{PROMPTS}: default_prompt_name {str(default)[:40]} is not one of the prompts")
    return prompts, default


def _read_limit(folder: Folder, capacity: int, assumptions: list[str]) -> tuple[int, bool]:
    """Longest input in tokens, and whether texts are lower-cased before the tokenizer sees them.

    As sentence-transformers decides: max_seq_length of its own file (256 for all-MiniLM-L6-v2), else model_max_length
    of the tokenizer (512); the limit of tokenizer.json (128) counts never. Each number gives other vectors.
    """
    settings = next((folder.json(name) for name in LIMITS if folder.has(name)), {})
    only(settings, "transformer_task", "feature-extraction")
    lower_case = settings.get("do_lower_case") is True
    if settings.get("max_seq_length") is not None:
        return min(whole_number(settings, "max_seq_length", _TOKENS_MAX), capacity), lower_case
    stated = folder.json(TOKENIZER_CONFIG).get("model_max_length") if folder.has(TOKENIZER_CONFIG) else None
    # transformers writes 10^30 for "not known".
    if isinstance(stated, int) and 0 < stated <= _TOKENS_MAX:
        return min(stated, capacity), lower_case
    assumptions.append(f"no file gives a limit of tokens: {capacity}, all that the model has places for")
    return capacity, lower_case


def _read_side(folder: Folder) -> Side | None:
    side = folder.json(TOKENIZER_CONFIG).get("truncation_side") if folder.has(TOKENIZER_CONFIG) else None
    if side not in ("right", "left", None):
        raise BadModel(f"{TOKENIZER_CONFIG}: truncation_side {str(side)[:40]} is not supported, only right or left")
    return cast("Side | None", side)


def _read_dimensions(settings: Mapping[str, Any]) -> Sequence[int] | None:
    """The key is that of vLLM; most models say it only in their card."""
    allowed = settings.get("matryoshka_dimensions")
    if not isinstance(allowed, list) or not all(type(value) is int and value > 0 for value in allowed):
        return None
    return sorted(allowed)
