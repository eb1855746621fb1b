"""Compile the loops of the extra `fast` and compare them with the plain ones: `python prepare_fast.py FOLDER`.

The worker does the same at its start, and is ready a second earlier when it has been done.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from embed_worker.extras import load_fast


def main() -> int:
    """Exit status: 0 when the extra works on this machine, 1 after one line on stderr that says why not."""
    if len(sys.argv) != 2:
        print("usage: prepare_fast.py FOLDER", file=sys.stderr)
        return 1
    return 0 if load_fast(Path(sys.argv[1]).resolve()) else 1


if __name__ == "__main__":
    sys.exit(main())
