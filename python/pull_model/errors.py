"""How a pull fails."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Each means that a file cannot grow: no space, over a quota, over a limit on the size of files.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# sysexits.h
DATA_ERROR, NO_INPUT, UNAVAILABLE, CANNOT_WRITE, TRY_AGAIN, NO_PERMISSION = 65, 66, 69, 73, 75, 77


class PullError(Exception):
    """Why there is no model, in one sentence for the person who asked for it."""

    def __init__(self, exit_status: int, message: str) -> None:
        super().__init__(message)
        self.exit_status = exit_status


@contextlib.contextmanager
def explained(repository: str, revision: str) -> Iterator[None]:
    """Turn what the library raises into a PullError."""
    import httpx2  # noqa: PLC0415
    from huggingface_hub import constants, errors  # noqa: PLC0415

    hub = constants.ENDPOINT
    try:
        yield
    except errors.GatedRepoError as error:
        message = f"{repository} asks for consent to its terms: give it at {hub}/{repository}, then set HF_TOKEN."
        raise PullError(NO_PERMISSION, message) from error
    except errors.RepositoryNotFoundError as error:
        message = f"{hub} has no model {repository}, or it is private: for a private one set HF_TOKEN."
        raise PullError(NO_INPUT, message) from error
    except errors.RevisionNotFoundError as error:
        raise PullError(NO_INPUT, f"{repository} has no revision {revision}.") from error
    except errors.HFValidationError as error:
        raise PullError(NO_INPUT, f"{repository} is no name of a model: OWNER/NAME is.") from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        exit_status = NO_PERMISSION if status in {401, 403} else UNAVAILABLE
        raise PullError(exit_status, f"{hub} answered with status {status}. Try again later.") from error
    except (httpx2.HTTPError, ConnectionError) as error:
        message = f"{hub} cannot be reached ({type(error).__name__}). What has arrived is kept; pull again to go on."
        raise PullError(UNAVAILABLE, message) from error
    except OSError as error:
        # The library's word for a file that ended too soon or too late has no number.
        if error.errno is not None:
            raise
        message = "The connection ended before the file did. What has arrived is kept; pull again to go on."
        raise PullError(UNAVAILABLE, message) from error


@contextlib.contextmanager
def explained_writing(where: Path) -> Iterator[None]:
    """Turn what the file system raises into a PullError."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            message = f"The disk is full ({where.parent}). What has arrived is kept; make room and pull again."
            raise PullError(CANNOT_WRITE, message) from error
        raise PullError(CANNOT_WRITE, f"{where.parent} cannot be written to: {error.strerror}.") from error
