"""How far a file is, for people."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pull_model.hub import Wanted

REDRAW_S = 0.2
REMIND_S = 10.0
MEGABYTE = 1_000_000


class Progress:
    """On a terminal one line that moves; else a line now and then, and one at the end. Of small files nothing."""

    def __init__(self, file: Wanted, done: int) -> None:
        self._file = file
        self._done = done
        self._begun_with = done
        self._started_s = self._shown_s = time.monotonic()
        self._is_terminal = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        """Begin to count."""
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """End the line."""
        if self._file.size >= MEGABYTE and (kind is None or self._is_terminal):
            self._show("\n")

    def add(self, size: int) -> None:
        """Count bytes that arrived."""
        self._done += size
        if time.monotonic() - self._shown_s >= (REDRAW_S if self._is_terminal else REMIND_S):
            self._show("" if self._is_terminal else "\n")

    def _show(self, end: str) -> None:
        self._shown_s = time.monotonic()
        seconds = max(self._shown_s - self._started_s, 0.001)
        share = 100 if self._file.size == 0 else min(100, self._done * 100 // self._file.size)
        rate = megabytes(int((self._done - self._begun_with) / seconds))
        text = f"  {self._file.name}: {share} % of {megabytes(self._file.size)}, {rate}/s"
        print(f"\r\033[K{text}" if self._is_terminal else text, end=end, file=sys.stderr, flush=True)


def megabytes(size: int) -> str:
    """For people."""
    return f"{size / MEGABYTE:,.1f} MB"
