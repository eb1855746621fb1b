"""End this process when the host is gone, whatever the other threads are doing."""

from __future__ import annotations

import os
import select
import shutil
import threading
from pathlib import Path

# Linux tells of a host that only shut its sending side; where the constant is missing POLLHUP alone must do.
_HANG_UP = getattr(select, "POLLRDHUP", 0)


def exit_when_closed(fd: int) -> None:
    """Watch the channel from a thread of its own: the process ends with status 0 when the host closes it.

    os._exit skips all clean-up on purpose: the MLX thread may be inside a C call for seconds, and nobody is
    left to take an answer. Long calls of MLX, numpy and tokenizers let go of the interpreter lock, so this
    thread gets its turn. Works with unread bytes in the channel, where a read would not see the end yet.
    """
    threading.Thread(target=_watch, args=(fd,), name="lifeline", daemon=True).start()


def _watch(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, _HANG_UP)  # POLLHUP, POLLERR and POLLNVAL are always reported
    poll.poll()
    _remove_temporary_folder()
    os._exit(0)


def _remove_temporary_folder() -> None:
    """Remove the folder that the host made for this process alone: a host that was killed cannot do it."""
    folder = Path(os.environ.get("TMPDIR", ""))
    if folder.name.startswith("embedge-worker-"):
        shutil.rmtree(folder, ignore_errors=True)
