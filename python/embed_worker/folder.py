"""Files of a model folder: only regular ones, only inside, only up to a size."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from embed_worker.errors import BadModel

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

JSON_BYTES_MAX = 1024 * 1024
_CHUNK_BYTES = 1024 * 1024


class Folder:
    """A model folder that may be hostile. Every method raises BadModel with the name of the file at fault."""

    def __init__(self, path: Path) -> None:
        try:
            self._path = path.resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise BadModel(f"there is no model folder {path}") from error
        if not self._path.is_dir():
            raise BadModel(f"the model {path} is not a folder")
        # In the hub's cache snapshots/<revision>/ holds links to ../../blobs/: that one way out is allowed.
        is_snapshot = self._path.parent.name == "snapshots"
        self._root = self._path.parent.parent if is_snapshot else self._path
        self._hashes: dict[str, str] = {}

    def has(self, name: str) -> bool:
        """Whether the folder has an entry of this name."""
        return (self._path / name).exists()

    def names(self, pattern: str) -> list[str]:
        """Names in the folder itself that match, sorted."""
        return sorted(entry.name for entry in self._path.glob(pattern))

    def file(self, name: str) -> Path:
        """Path of a regular file inside the folder, links followed."""
        try:
            path = (self._path / name).resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise BadModel(f"the model folder has no {name}") from error
        if not path.is_relative_to(self._root):
            raise BadModel(f"{name} leads out of the model folder")
        if not path.is_file():
            raise BadModel(f"{name} is not a regular file")
        return path

    def bytes(self, name: str, bytes_max: int) -> bytes:
        """Content of a file of at most `bytes_max` bytes."""
        with self.file(name).open("rb") as file:
            content = file.read(bytes_max + 1)
        if len(content) > bytes_max:
            raise BadModel(f"{name} is larger than {bytes_max} bytes")
        return content

    def json(self, name: str) -> Mapping[str, Any]:
        """A JSON object of at most 1 MiB."""
        value = self._parse(name)
        if not isinstance(value, dict):
            raise BadModel(f"{name} is not a JSON object")
        return value

    def json_list(self, name: str) -> list[Mapping[str, Any]]:
        """A JSON array of objects of at most 1 MiB."""
        value = self._parse(name)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise BadModel(f"{name} is not a JSON array of objects")
        return value

    def sha256(self, name: str) -> str:
        """SHA-256 of a file, in hexadecimal; read once."""
        if name not in self._hashes:
            digest = hashlib.sha256()
            with self.file(name).open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    digest.update(chunk)
            self._hashes[name] = digest.hexdigest()
        return self._hashes[name]

    def _parse(self, name: str) -> object:
        try:
            return json.loads(self.bytes(name, JSON_BYTES_MAX))
        except (ValueError, RecursionError) as error:
            raise BadModel(f"{name} is not JSON") from error
