"""Put a fast BLAS where MLX will find it: `python prepare_blas.py OUT_PATH`, Linux only.

The Linux wheel of MLX links the reference BLAS (3.6-7 GFLOP/s a core). The worker loads the library
made here before MLX, so that the loader resolves MLX's cblas_* calls to OpenBLAS (100-215 GFLOP/s).
scipy-openblas32 ships OpenBLAS with prefixed symbols; patchelf gives the copy the plain names.
Running it again is free: a library that is in place and works is kept.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

# What libmlx.so imports: nm -D libmlx.so | grep cblas.
SYMBOLS = ("cblas_sgemm", "cblas_dgemm", "cblas_cgemm")
ROW_MAJOR, NO_TRANSPOSE = 101, 111


def main() -> int:
    """Exit status: 0 when OUT_PATH holds a working library, 1 after one line on stderr that says why not."""
    if len(sys.argv) == 3 and sys.argv[1] == "--verify":
        verify(Path(sys.argv[2]))
        return 0
    if len(sys.argv) != 2:
        print("usage: prepare_blas.py OUT_PATH", file=sys.stderr)
        return 1
    out = Path(sys.argv[1]).resolve()
    try:
        if not works(out):
            build(find_library(), out)
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        print(f"prepare_blas: {error}", file=sys.stderr)
        return 1
    return 0


def find_library() -> Path:
    """Path of scipy-openblas32's shared library in this Python environment."""
    package = importlib.util.find_spec("scipy_openblas32")
    if package is None or package.origin is None:
        raise RuntimeError("the package scipy-openblas32 is not installed in this Python environment")
    library = Path(package.origin).parent / "lib" / "libscipy_openblas.so"
    if not library.is_file():
        raise RuntimeError(f"scipy-openblas32 has no {library.name}")
    return library


def build(library: Path, out: Path) -> None:
    """Write the copy with plain cblas_* names to `out`; it appears whole and verified, or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".blas-", dir=out.parent) as folder:
        names, copy = Path(folder) / "names", Path(folder) / out.name
        names.write_text("".join(f"scipy_{symbol} {symbol}\n" for symbol in SYMBOLS))
        patchelf = Path(sys.executable).parent / "patchelf"
        command = [str(patchelf), "--rename-dynamic-symbols", str(names), "--output", str(copy), str(library)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if result.returncode != 0:
            raise RuntimeError(f"patchelf failed: {result.stderr.strip()[-300:]}")
        if not works(copy):
            raise RuntimeError("the renamed library does not load or does not multiply on this machine")
        os.replace(copy, out)


def works(library: Path) -> bool:
    """Whether the library multiplies two matrices right; tried in a child, since a bad one may crash."""
    if not library.is_file():
        return False
    command = [sys.executable, "-I", __file__, "--verify", str(library)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


def verify(library: Path) -> None:
    """Raise unless cblas_sgemm of this library gives [[1,2],[3,4]] @ [[5,6],[7,8]]."""
    blas = ctypes.CDLL(str(library))
    for symbol in SYMBOLS:
        getattr(blas, symbol)
    matrix, integer, real = ctypes.c_float * 4, ctypes.c_int, ctypes.c_float
    a, b, c = matrix(1, 2, 3, 4), matrix(5, 6, 7, 8), matrix()
    order = (integer(ROW_MAJOR), integer(NO_TRANSPOSE), integer(NO_TRANSPOSE))
    two = integer(2)
    blas.cblas_sgemm(*order, two, two, two, real(1), a, two, b, two, real(0), c, two)
    if list(c) != [19, 22, 43, 50]:
        raise RuntimeError(f"cblas_sgemm of {library.name} is wrong")


if __name__ == "__main__":
    sys.exit(main())
