"""What a hub offers of a model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath

from pull_model.errors import DATA_ERROR, PullError, explained

MANIFEST = "manifest.json"
SUFFIXES = (".safetensors", ".json", ".txt")
# The same model for other programs, often larger than the model itself.
IGNORED_FOLDERS = ("onnx", "openvino")
REQUIRED = ("config.json", "tokenizer.json")


@dataclass(frozen=True)
class Wanted:
    """A file as the hub announces it."""

    name: str
    size: int
    sha256: str | None
    """Of large files; the hub knows the others by their git hash."""
    git_sha1: str | None

    @property
    def key(self) -> str:
        """What tells this content from another under the same name."""
        return (self.sha256 or self.git_sha1 or "")[:16]


def list_files(repository: str, revision: str) -> tuple[str, list[Wanted]]:
    """The commit that a revision means now, and the files that a worker reads, small ones first."""
    from huggingface_hub import HfApi  # noqa: PLC0415 - __main__ has to say where it is

    with explained(repository, revision):
        info = HfApi().model_info(repository, revision=revision, files_metadata=True)
    files = [
        Wanted(entry.rfilename, entry.size or 0, entry.lfs.sha256 if entry.lfs else None, entry.blob_id)
        for entry in info.siblings or []
        if is_read(entry.rfilename)
    ]
    names = {file.name for file in files}
    missing = [name for name in REQUIRED if name not in names]
    if not any(name.endswith(".safetensors") for name in names):
        missing.append("*.safetensors")
    if missing:
        raise PullError(DATA_ERROR, f"{repository} is no model that a worker can read: it has no {', '.join(missing)}.")
    commit = info.sha or ""
    if len(commit) != len(hashlib.sha1(usedforsecurity=False).hexdigest()):
        raise PullError(DATA_ERROR, f"The hub names no commit of {repository}.")
    return commit, sorted(files, key=lambda file: file.size)


def is_read(name: str) -> bool:
    """Whether a file belongs to the model; the name comes from a server and may be anything."""
    path = PurePosixPath(name)
    is_inside = not path.is_absolute() and not any(part.startswith(".") for part in path.parts) and "\\" not in name
    return is_inside and path.suffix in SUFFIXES and path.parts[0] not in IGNORED_FOLDERS and name != MANIFEST
