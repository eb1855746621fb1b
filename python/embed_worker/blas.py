"""Which matrix library MLX uses on the CPU, put in front of the wheel's own, and how fast it is."""

from __future__ import annotations

import ctypes
import re
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from embed_worker.errors import ImportFailed

if TYPE_CHECKING:
    from pathlib import Path

PROBE_SIZE = 512
PROBE_ROUNDS = 5


@dataclass(frozen=True)
class Blas:
    """Name and probed speed of the matrix library; 0 where not probed."""

    name: str
    gflops: float = 0.0


def preload(library: Path | None) -> str:
    """Name of the library that MLX will use. Must run before the first import of mlx.core.

    Loading it with RTLD_GLOBAL puts its cblas_* in front of those that the wheel of MLX links.
    """
    if library is None:
        return "Accelerate" if sys.platform == "darwin" else "the MLX wheel's own"
    try:
        handle = ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
        handle.cblas_sgemm  # noqa: B018 - raises when the symbol is missing
    except (OSError, AttributeError) as error:
        raise ImportFailed(f"the BLAS library {library.name} does not load; run the set-up again") from error
    return _openblas_name(handle) or library.name


def probe() -> float:
    """Measure one square float32 product of 512, best of 5, in GFLOP/s. Runs on the MLX thread."""
    import mlx.core as mx  # noqa: PLC0415 - preload() must come first

    a, b = mx.random.normal((2, PROBE_SIZE, PROBE_SIZE))
    mx.eval(a, b)
    best_s = float("inf")
    for _ in range(PROBE_ROUNDS):
        start_s = time.perf_counter()
        mx.eval(a @ b)
        best_s = min(best_s, time.perf_counter() - start_s)
    return round(2 * PROBE_SIZE**3 / best_s / 1e9, 1)


def _openblas_name(handle: ctypes.CDLL) -> str | None:
    """Version and chosen kernel, such as "OpenBLAS 0.3.34 SkylakeX"; None for another library."""
    for prefix in ("scipy_", ""):
        try:
            config = getattr(handle, f"{prefix}openblas_get_config")
            kernel = getattr(handle, f"{prefix}openblas_get_corename")
        except AttributeError:
            continue
        config.restype = kernel.restype = ctypes.c_char_p
        version = re.search(r"\d+\.\d+\.\d+", config().decode())
        return f"OpenBLAS {version.group() if version else ''} {kernel().decode()}"
    return None
