"""A model folder, read as if a stranger had written it, to a model that is ready to run.

Nothing in a folder is ever executed: only JSON and safetensors are opened, and no pickle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from embed_worker.dense import dense_file, find_dense, read_dense
from embed_worker.errors import BadModel
from embed_worker.folder import Folder
from embed_worker.models import find_family
from embed_worker.quantisation import read_quantisation
from embed_worker.recipe import read_recipe
from embed_worker.tokenise import Tokeniser
from embed_worker.weights import Checkpoint, Wanted, weight_files, weights_sha256

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import mlx.core as mx

    from embed_worker.dense import Dense
    from embed_worker.models.family import Model
    from embed_worker.ops import Ops
    from embed_worker.pooling import Pooling
    from embed_worker.recipe import Recipe

TOKENIZER_BYTES_MAX = 64 * 1024 * 1024

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory, and what its folder says about it."""

    model: Model
    dense: Sequence[Dense]
    """What is applied to a vector after pooling, in order."""
    tokeniser: Tokeniser
    model_type: str
    dimensions: int
    """Of a vector that is not cut."""
    dimensions_allowed: Sequence[int] | None
    """Lengths to which a vector may be cut; None where the files do not say."""
    tokens_max: int
    """Longest input in tokens, prompt and special tokens counted."""
    pad_id: int
    pooling: Pooling
    prompts: Mapping[str, str]
    """By name."""
    default_prompt: str | None
    """Name of the prompt that every text gets which asks for none."""
    dtype: mx.Dtype
    weights_sha256: str
    revision: str | None
    """What the manifest says; None without one."""
    assumptions: tuple[str, ...]
    """What was assumed where the folder says nothing."""


def load_model(path: Path, ops: Ops) -> LoadedModel:
    """Read, check and build the model of a folder. Raises BadModel with one sentence that names the fault."""
    folder = Folder(path)
    revision = _check_manifest(folder)
    settings = folder.json("config.json")
    family = find_family(settings.get("model_type"))
    config, fallback = family.read_config(settings), family.fallback(settings)
    recipe = read_recipe(folder, settings, fallback, (config.dimensions, config.tokens_max))
    assumptions = list(recipe.assumptions)
    if "auto_map" in settings:
        assumptions.append("auto_map in config.json names code; it is ignored")
    tokeniser = _read_tokeniser(folder, recipe, config.vocabulary_rows)
    if recipe.pooling == "last_token" and fallback.ending is not None:
        _require_ending(tokeniser, fallback.ending, recipe, assumptions)
    files = weight_files(folder)
    checkpoint = Checkpoint(folder, files, read_quantisation(settings))
    dense = _read_dense(folder, recipe, config.dimensions)
    if fallback.dense_layers and not recipe.has_modules and not dense:
        dense = find_dense(checkpoint, fallback.dense_layers, config.dimensions)
        assumptions.append("the folder has no modules.json: dense layers from the weights, as its family does")
    dtype = ops.dtype(half_is_safe=family.HALF_IS_SAFE)
    wanted = Wanted(
        family.weight_shapes(config),
        dtype,
        family.weight_name,
        stays_quantised=family.TAKES_QUANTISED,
        is_held_quantised=family.TAKES_QUANTISED and ops.keeps_quantised,
    )
    return LoadedModel(
        model=family.build(config, checkpoint.load(wanted), ops),
        dense=dense,
        tokeniser=tokeniser,
        model_type=settings["model_type"],
        dimensions=dense[-1].weight.shape[0] if dense else config.dimensions,
        dimensions_allowed=recipe.dimensions_allowed,
        tokens_max=recipe.tokens_max,
        pad_id=config.pad_id,
        pooling=recipe.pooling,
        prompts=recipe.prompts,
        default_prompt=recipe.default_prompt,
        dtype=dtype,
        weights_sha256=weights_sha256(folder, [*files, *map(dense_file, recipe.dense_paths)]),
        revision=revision,
        assumptions=tuple(assumptions),
    )


def _check_manifest(folder: Folder) -> str | None:
    """Compare every file with its pinned hash where the folder has a manifest; the revision it names, if any."""
    if not folder.has(MANIFEST):
        return None
    manifest = folder.json(MANIFEST)
    files = manifest.get("files")
    if not isinstance(files, dict):
        raise BadModel(f"{MANIFEST} lists no files")
    for name, pinned in files.items():
        if not isinstance(pinned, dict):
            raise BadModel(f"{MANIFEST} has no hash of {name}")
        # The size first: a file that was cut short is told without reading all others.
        size = folder.file(name).stat().st_size
        if size != pinned.get("bytes"):
            raise BadModel(f"{name} has {size} bytes, {MANIFEST} pins {pinned.get('bytes')}; get the model again")
        if folder.sha256(name) != pinned.get("sha256"):
            raise BadModel(f"{name} is not the file that {MANIFEST} pins; get the model again")
    for name in folder.names("*.safetensors"):
        if name not in files:
            raise BadModel(f"{name} is not among the files of {MANIFEST}")
    revision = manifest.get("revision")
    return revision if isinstance(revision, str) else None


def _read_tokeniser(folder: Folder, recipe: Recipe, vocabulary_rows: int) -> Tokeniser:
    return Tokeniser(
        folder.bytes("tokenizer.json", TOKENIZER_BYTES_MAX),
        tokens_max=recipe.tokens_max,
        vocabulary_rows=vocabulary_rows,
        lower_case=recipe.lower_case,
        side=recipe.truncation_side,
    )


def _require_ending(tokeniser: Tokeniser, token: str, recipe: Recipe, assumptions: list[str]) -> None:
    """Make sure that texts end in the token whose hidden state the family was trained to make the vector."""
    if tokeniser.ends_with(token):
        return
    if recipe.has_modules:
        raise BadModel(f"tokenizer.json does not end texts in {token}, the token that this family makes the vector of")
    tokeniser.append(token)
    assumptions.append(f"tokenizer.json does not end texts in {token}: it is put there, as its family does")


def _read_dense(folder: Folder, recipe: Recipe, dimensions: int) -> Sequence[Dense]:
    """Dense layers that lie in sub-folders of their own."""
    layers: list[Dense] = []
    for path in recipe.dense_paths:
        layers.append(read_dense(folder, path, dimensions))
        dimensions = layers[-1].weight.shape[0]
    return layers
