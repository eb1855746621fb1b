"""One file at a time, from the hub to the disk."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, BinaryIO

from pull_model.errors import DATA_ERROR, PullError, explained
from pull_model.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

    from pull_model.hub import Wanted

# What a cut connection loses, and how often progress is told.
CHUNK_BYTES = 64 * 1024
HASH_CHUNK_BYTES = 1024 * 1024


def fetch(repository: str, commit: str, file: Wanted, partial: Path) -> str:
    """The SHA-256 of a file that is now in `partial`, with the hash that the hub announced."""
    path = partial / file.name
    if size_of(path) == file.size and (sha256 := checked_hash(path, file)) is not None:
        return sha256
    arriving = path.with_name(f"{path.name}.{file.key}.arriving")
    arriving.parent.mkdir(parents=True, exist_ok=True)
    if size_of(arriving) > file.size:
        arriving.unlink()
    download(repository, commit, file, arriving)
    sha256 = checked_hash(arriving, file)
    if sha256 is None:
        arriving.unlink()
        message = f"{file.name} arrived with another hash than the hub announced. It was thrown away; pull again."
        raise PullError(DATA_ERROR, message)
    arriving.replace(path)
    return sha256


def download(repository: str, commit: str, file: Wanted, arriving: Path) -> None:
    """Append what is missing. The library tries again a few times when the connection is cut."""
    from huggingface_hub import constants, hf_hub_url  # noqa: PLC0415
    from huggingface_hub.file_download import http_get  # noqa: PLC0415 - hf_hub_download begins anew in each process
    from huggingface_hub.utils import build_hf_headers  # noqa: PLC0415

    # 10 MB by default, all of which a cut connection loses.
    constants.DOWNLOAD_CHUNK_SIZE = CHUNK_BYTES
    url = hf_hub_url(repository, file.name, revision=commit)
    # A compressed answer has no ranges.
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    with arriving.open("ab") as target, Progress(file, target.tell()) as progress, explained(repository, commit):
        counted = CountedFile(target, progress)
        http_get(url, counted, resume_size=target.tell(), headers=headers, expected_size=file.size)
        target.flush()
        os.fsync(target.fileno())


def checked_hash(path: Path, file: Wanted) -> str | None:
    """The SHA-256 of a file that has the announced hash; None for another."""
    sha256 = hashlib.sha256()
    git_sha1 = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as content:
        while chunk := content.read(HASH_CHUNK_BYTES):
            sha256.update(chunk)
            git_sha1.update(chunk)
    is_right = sha256.hexdigest() == file.sha256 if file.sha256 else git_sha1.hexdigest() == file.git_sha1
    return sha256.hexdigest() if is_right else None


class CountedFile:
    """A file that tells how much was written."""

    def __init__(self, file: BinaryIO, progress: Progress) -> None:
        self._file = file
        self._progress = progress

    def write(self, chunk: bytes) -> int:
        """Write and count."""
        self._progress.add(len(chunk))
        return self._file.write(chunk)

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


def size_of(path: Path) -> int:
    """Bytes of a file; -1 where there is none."""
    return path.stat().st_size if path.is_file() else -1
