"""How a worker fails: each class carries the code and exit status that the host is told."""

from __future__ import annotations


class StartError(Exception):
    """The worker cannot start. The message is one sentence for the person who runs the host."""

    code = "internal"
    exit_status = 70


class BadArguments(StartError):
    """The command line makes no sense."""

    code = "bad_arguments"
    exit_status = 64


class BadModel(StartError):
    """The model folder is refused: broken, hostile, or of a kind this worker does not know."""

    code = "bad_model"
    exit_status = 64


class ImportFailed(StartError):
    """A library that the worker needs is missing or does not load."""

    code = "import_failed"
    exit_status = 69


class SelfTestFailed(StartError):
    """The model loads but its vectors are wrong."""

    code = "self_test_failed"


class BadRequest(Exception):
    """One request is refused; the worker lives. The message never holds a text of the request."""


class ProtocolBroken(Exception):
    """The bytes on the channel are no frame: nothing after them can be trusted."""
