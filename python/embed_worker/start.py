"""From a command line to a tested model in memory, in the one order that works."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from embed_worker import blas
from embed_worker.errors import BadArguments, ImportFailed
from embed_worker.extras import use_cuda
from embed_worker.memory import most_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from embed_worker.embedder import Embedder


@dataclass(frozen=True)
class Started:
    """A model that passed its self-test, and what the host is told of it."""

    embedder: Embedder
    info: Mapping[str, Any]


class Parser(argparse.ArgumentParser):
    """The options that say which model runs where; raises BadArguments instead of leaving the process."""

    def __init__(self, program: str, description: str) -> None:
        super().__init__(prog=program, description=description)
        self.add_argument("--model", type=Path, required=True, metavar="FOLDER", help="folder of the model")
        self.add_argument("--name", help="what to call the model; default: the folder's name")
        self.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
        self.add_argument("--blas", type=Path, metavar="PATH", help="library made by prepare_blas.py")
        self.add_argument("--fast", type=Path, metavar="FOLDER", help="packages of the extra `fast`")
        self.add_argument("--cuda", type=Path, metavar="FOLDER", help="packages of the extra `cuda`")
        self.add_argument("--budget-tokens", type=positive, help="padded tokens of one forward pass")
        self.add_argument("--core", type=int, help="keep to this core (Linux)")

    def error(self, message: str) -> NoReturn:
        """Raise BadArguments."""
        raise BadArguments(message)


def start(options: argparse.Namespace) -> Started:
    """Load and test the model on the calling thread, which alone may use it then. Raises StartError.

    Core, BLAS and CUDA are set before MLX is loaded: its threads inherit the first, its symbols resolve to the second,
    and the third is another build of it.
    """
    pin_to(options.core)
    if options.cuda is not None:
        use_cuda(options.cuda)
    blas_name = blas.preload(options.blas)
    try:
        from embed_worker.embedder import Embedder  # noqa: PLC0415
        from embed_worker.load import load_model  # noqa: PLC0415
        from embed_worker.micro_batch import CountsPasses  # noqa: PLC0415
        from embed_worker.ops import choose_ops  # noqa: PLC0415
        from embed_worker.self_test import run_self_test  # noqa: PLC0415
    except ImportError as error:
        if options.cuda is not None:
            missing = f"MLX for CUDA does not load ({str(error)[:100]})"
            raise ImportFailed(f"{missing}; is the NVIDIA driver installed?") from error
        raise ImportFailed(f"the Python package {error.name} is missing or does not load") from error
    ops = choose_ops(options.device, options.fast)
    loaded = load_model(options.model, ops)
    pass_cost = loaded.model.pass_cost if isinstance(loaded.model, CountsPasses) else ops.pass_cost
    embedder = Embedder(loaded, options.budget_tokens or ops.micro_batch_tokens, pass_cost)
    run_self_test(embedder)
    info = {
        "model": options.name or options.model.resolve().name,
        "revision": loaded.revision or f"sha256:{loaded.weights_sha256[:16]}",
        "modelType": loaded.model_type,
        "dimensions": loaded.dimensions,
        "maxTokens": loaded.tokens_max,
        "pooling": loaded.pooling,
        "device": ops.device,
        "fast": ops.is_fast,
        "blas": {"name": blas_name, "gflops": blas.probe() if ops.device == "cpu" else 0},
        "prompts": list(loaded.prompts),
        "defaultPrompt": loaded.default_prompt,
        "dimensionsAllowed": loaded.dimensions_allowed,
        "assumptions": loaded.assumptions,
        "memoryBytes": most_bytes(),
    }
    return Started(embedder, info)


def pin_to(core: int | None) -> None:
    """Keep all threads on one core: with one worker a core, handing over between threads gets 5 times cheaper."""
    if core is None or not hasattr(os, "sched_setaffinity"):
        return
    try:
        os.sched_setaffinity(0, {core})
    except (OSError, ValueError) as error:
        print(f"core {core} cannot be had, not pinned: {error}", file=sys.stderr)


def positive(text: str) -> int:
    """Read a whole number above 0. Raises ValueError."""
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value
