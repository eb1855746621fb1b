"""Fetch a model from a hub into a folder: `python -I pull_model/__main__.py --packages DIR REPOSITORY REVISION FOLDER`.

What arrives is kept beside the folder until all of it is there and has the hash that the hub announced, so a pull that
is cut off goes on where it was, and the folder is either absent or whole. Nothing else of embedge uses the network.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

# Isolated mode (-I) leaves the folder of the package out of the search path.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pull_model.arrive import fetch, size_of
from pull_model.errors import CANNOT_WRITE, TRY_AGAIN, PullError, explained_writing
from pull_model.hub import MANIFEST, Wanted, list_files
from pull_model.progress import megabytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# What the disk must have left when the model is there: logs and other programs need some as well.
SPARE_BYTES = 64 * 1024 * 1024


def main(arguments: Sequence[str]) -> int:
    """Pull, and say how it went; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--packages", type=Path, required=True, help="folder of huggingface_hub")
    parser.add_argument("repository", help="OWNER/NAME")
    parser.add_argument("revision", help="branch, tag or commit")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    # Read by huggingface_hub on import.
    os.environ |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    sys.path.insert(0, str(options.packages))
    try:
        pull(options.repository, options.revision, options.folder)
    except PullError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("Stopped. What has arrived is kept; the same command goes on from there.", file=sys.stderr)
        return 130
    return 0


def pull(repository: str, revision: str, folder: Path) -> None:
    """Make `folder` the model at this revision. Raises PullError."""
    commit, files = list_files(repository, revision)
    total = megabytes(sum(file.size for file in files))
    print(f"{repository} at {commit}: {len(files)} files, {total}", file=sys.stderr)
    if is_whole(folder, commit, files):
        print(f"It is in {folder} already.", file=sys.stderr)
        return
    with explained_writing(folder), open_partial(folder) as partial:
        require_space(partial, files)
        sha256 = {file.name: fetch(repository, commit, file, partial) for file in files}
        finish(folder, partial, {"repository": repository, "revision": commit, "files": manifest_of(files, sha256)})
    print(f"Done: {folder}", file=sys.stderr)


@contextlib.contextmanager
def open_partial(folder: Path) -> Iterator[Path]:
    """Where files are kept until all are there; for one pull at a time."""
    partial = folder.with_name(f".{folder.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    lock_path = folder.with_name(f".{folder.name}.lock")
    with lock_path.open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PullError(TRY_AGAIN, f"Another pull of {folder.name} is at work.") from error
        yield partial
        lock_path.unlink()


def is_whole(folder: Path, commit: str, files: Sequence[Wanted]) -> bool:
    """Whether the folder has this commit, by its manifest and the sizes: `models verify` compares hashes."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError):
        return False
    return manifest.get("revision") == commit and all(size_of(folder / file.name) == file.size for file in files)


def require_space(partial: Path, files: Sequence[Wanted]) -> None:
    """Raise PullError with the numbers when the disk cannot hold what is still to come."""
    missing = sum(file.size for file in files)
    missing -= sum(entry.stat().st_size for entry in partial.rglob("*") if entry.is_file())
    free = shutil.disk_usage(partial).free
    if missing + SPARE_BYTES > free:
        raise PullError(
            CANNOT_WRITE, f"{megabytes(missing)} are needed and {partial.parent} has {megabytes(free)} free."
        )


def manifest_of(files: Sequence[Wanted], sha256: dict[str, str]) -> dict[str, object]:
    """By name: what the file must be each time that it is loaded."""
    return {file.name: {"sha256": sha256[file.name], "bytes": file.size} for file in files}


def finish(folder: Path, partial: Path, manifest: dict[str, object]) -> None:
    """Give the folder its name, the manifest written last."""
    for entry in list(partial.rglob("*")):
        if entry.is_file() and entry.relative_to(partial).as_posix() not in manifest["files"]:
            entry.unlink()
    with (partial / MANIFEST).open("w") as file:
        json.dump(manifest, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    partial.replace(folder)
    shutil.rmtree(old, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
