"""Optional extras of the set-up: packages in folders of their own, used where they are there and work."""

from __future__ import annotations

import math
import os
import sys
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from embed_worker.ops.in_place import Elementwise

# Both ways round 2^-23; what they do in another order adds up to a few of these.
_TOLERANCE = 1e-5


def use_cuda(folder: Path) -> None:
    """Make `import mlx` mean the build for NVIDIA GPUs in this folder. Call it before anything imports MLX."""
    sys.path.insert(0, str(folder))


def load_fast(folder: Path) -> type[Elementwise] | None:
    """The compiled elementwise work, with numba from this folder; None, and a line on stderr, where it does not work.

    The first time on a machine compiles for a second or two; what is compiled is kept in the folder.
    """
    # As numba reads it at import. It holds pickles, so it must be nobody else's folder.
    os.environ["NUMBA_CACHE_DIR"] = str(folder / "compiled")
    sys.path.append(str(folder))
    try:
        from embed_worker.ops.fast import NumbaElementwise  # noqa: PLC0415 - numba is optional

        difference = _largest_difference(NumbaElementwise)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, there is the plain way
        print(f"the extra `fast` does not load ({type(error).__name__}), going on without it", file=sys.stderr)
        return None
    if not difference <= _TOLERANCE:
        print(f"the extra `fast` is off by {difference:.1e} here, going on without it", file=sys.stderr)
        return None
    return NumbaElementwise


def _largest_difference(compiled: type[Elementwise]) -> float:
    """How far its results are from numpy's, at most."""
    import mlx.core as mx  # noqa: PLC0415 - after use_cuda()

    from embed_worker.ops.fold import Affine  # noqa: PLC0415
    from embed_worker.ops.in_place import Exponential, NumpyElementwise  # noqa: PLC0415

    source = np.random.default_rng(1)
    dim, eps = 96, 1e-12
    n, product = source.normal(size=(2, 33, dim)).astype(np.float32)
    residual = Affine(*(mx.array(part) for part in source.normal(size=(2, dim)).astype(np.float32)))
    bias, identity = mx.array(source.normal(size=(1, 1, dim)).astype(np.float32)), mx.eye(dim)
    scores = source.uniform(-20, 20, size=(3, 5, 17)).astype(np.float32)

    def results(kind: type[Elementwise]) -> list[np.ndarray]:
        elementwise = kind(dim, eps, Exponential(np.exp2, math.log2(math.e)))
        weights = scores.copy()
        sums = elementwise.exponentiate(weights)
        gelu = elementwise.gelu((mx.array(product) @ identity)[None], bias)
        normed = elementwise.standardise(mx.array(product) @ identity, mx.array(n), residual)
        return [weights / sums, np.array(gelu), np.array(normed)]

    pairs = zip(results(compiled), results(NumpyElementwise), strict=True)
    return max(float(np.abs(left - right).max()) for left, right in pairs)
