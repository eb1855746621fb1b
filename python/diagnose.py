"""What this Python is, has and computes, as one JSON object: `python diagnose.py LOCK [--blas PATH] [--fast FOLDER]`.

For `embedge doctor`. Each part is told by itself: a broken one leaves the others.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

if TYPE_CHECKING:
    from collections.abc import Callable

_PINNED = re.compile(r"^([\w.-]+)==([^\s;]+)(?: ; (.*?))?(?: \\)?$", re.MULTILINE)


def main() -> int:
    """Print the object; the exit status, always 0."""
    parser = argparse.ArgumentParser(description="What this Python is, has and computes, as JSON.")
    parser.add_argument("lock", type=Path)
    parser.add_argument("--blas", type=Path)
    parser.add_argument("--fast", type=Path)
    options = parser.parse_args()
    parts: dict[str, Callable[[], Any]] = {
        "packages": lambda: wrong_packages(options.lock.read_text(encoding="utf-8")),
        "compute": lambda: compute(options.blas, options.fast),
    }
    found: dict[str, Any] = {"python": {"version": sys.version.split()[0], "executable": sys.executable}}
    for name, look in parts.items():
        try:
            found[name] = look()
        except Exception as error:  # noqa: BLE001 - whatever is wrong is what this is for
            found[name] = {"problem": f"{type(error).__name__}: {str(error)[:300]}"}
    print(json.dumps(found))
    return 0


def wrong_packages(lock: str) -> dict[str, Any]:
    """How many packages of a lock file are as pinned here, and what is wrong with each other one."""
    from pip._vendor.packaging.markers import Marker  # noqa: PLC0415 - the environment has pip, and no other reader

    right, wrong = 0, []
    for name, pinned, marker in _PINNED.findall(lock):
        if marker and not Marker(marker).evaluate():
            continue
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{name} is missing")
            continue
        if installed == pinned:
            right += 1
        else:
            wrong.append(f"{name} is {installed}, not {pinned}")
    return {"right": right, "wrong": wrong}


def compute(library: Path | None, fast: Path | None) -> dict[str, Any]:
    """Device of MLX, its BLAS with the probed speed, and whether the extra `fast` works."""
    from embed_worker import blas  # noqa: PLC0415 - a package that is missing is told as a problem

    name = blas.preload(library)
    import mlx.core as mx  # noqa: PLC0415 - after the library

    from embed_worker.ops import choose_ops  # noqa: PLC0415

    device = choose_ops("auto", fast).device
    mx.set_default_device(mx.cpu)
    return {
        "mlx": importlib.metadata.version("mlx"),
        "device": device,
        "fast": choose_ops("cpu", fast).is_fast,
        "blas": {"name": name, "gflops": blas.probe()},
    }


if __name__ == "__main__":
    sys.exit(main())
