"""One embedding worker: the host runs `python -I -u embed_worker/__main__.py --model FOLDER`, with a socket on fd 3."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# Isolated mode (-I) leaves the folder of the package out of the search path.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from embed_worker.errors import BadArguments, StartError
from embed_worker.lifeline import exit_when_closed
from embed_worker.start import Parser, positive, start
from embed_worker.wire import BODY_BYTES_MAX, PROTOCOL, Frame, write_frame

if TYPE_CHECKING:
    import io

CHANNEL_FD = 3


def main() -> int:
    """Serve until the host closes fd 3; the exit status."""
    # stdout is a log as well: a library that prints must not reach a channel.
    os.dup2(2, 1)
    # Ctrl-C goes to the whole terminal group; the host decides when a worker ends, by closing fd 3.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        channel = open_channel()
    except OSError:
        print("fd 3 is not open: the embedge host starts this program", file=sys.stderr)
        return BadArguments.exit_status
    exit_when_closed(CHANNEL_FD)
    try:
        return serve(channel, sys.argv[1:])
    except StartError as error:
        return refuse(channel, error)
    except Exception as error:  # noqa: BLE001 - whatever it is, the host must be told
        return refuse(channel, StartError(f"{type(error).__name__} at start: {str(error)[:200]}"))


def open_channel() -> io.FileIO:
    """Socket to the host: blocking, and not inherited by any child of this process."""
    os.set_inheritable(CHANNEL_FD, False)
    os.set_blocking(CHANNEL_FD, True)
    return open(CHANNEL_FD, "r+b", buffering=0, closefd=False)


def serve(channel: io.FileIO, arguments: list[str]) -> int:
    """Start, say so, and answer until the channel ends; the exit status. Raises StartError."""
    parser = Parser("embed_worker", "One embedding worker; speaks frames on fd 3.")
    parser.add_argument("--body-bytes-max", type=positive, default=BODY_BYTES_MAX, help="largest body of a request")
    options = parser.parse_args(arguments)
    started = start(options)
    from embed_worker.service import Service  # noqa: PLC0415 - imports MLX, which start() must load first

    ready = {"type": "ready", "protocol": PROTOCOL, "pid": os.getpid(), "info": started.info}
    write_frame(channel, Frame(ready))
    return Service(channel, started, options.body_bytes_max).run()


def refuse(channel: io.FileIO, error: StartError) -> int:
    """Tell the host, and the log, why there is no worker; the exit status."""
    print(f"{error.code}: {error}", file=sys.stderr)
    try:
        write_frame(channel, Frame({"type": "start_failed", "code": error.code, "message": str(error)}))
    except OSError:
        print("the host is gone", file=sys.stderr)
    return error.exit_status


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # Not sys.exit: threads may be inside MLX, and taking the interpreter down under them can crash or hang.
    os._exit(status)
