"""Every file of a model is opened here, and once: what is hashed is what is read, whatever happens to the disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from trainedon.errors import UserError
from trainedon.reading import open_regular
from trainedon.targets.reading.model_files import brief, object_of
from trainedon.targets.reading.tensors import Tensors

MOST_JSON = 8 * 2**20  # bytes of a configuration, or of an index of shards
MOST_LISTED = 1000  # files in a folder of which all are hashed


class Ledger:
    """The files of a model that were opened. roots: the folders that it was looked for in.

    Each is a regular file, is opened once, and is read from what was hashed. Links may lead from one place of the model
    to another, and within the hub's cache, but not out of these. Close it, or use it in a `with` statement.
    """

    def __init__(self, *roots: Path) -> None:
        self._roots = [root.absolute() for root in roots]
        self._texts: dict[Path, bytes] = {}
        self._sha256: dict[Path, str] = {}
        self._tensors: dict[Path, Tensors] = {}
        self._listed: dict[Path, list[Path]] = {}
        self.chosen: dict[Any, Any] = {}  # what `files.weights_of` found, so that it does not look again

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for one in self._tensors.values():
            one.close()

    def below(self, root: Path) -> None:
        """The model is also looked for in this folder."""
        self._roots.append(root.absolute())

    def json(self, path: Path) -> dict[str, Any]:
        """The JSON object in a file. Raises UserError when there is none."""
        return object_of(self.text(path), path)

    def text(self, path: Path, most: int = MOST_JSON) -> bytes:
        """All bytes of a small file. Raises UserError when it is missing, or has more than `most` bytes."""
        path = path.absolute()
        if path not in self._texts:
            with self._open(path) as stream:
                data = stream.read(most + 1)
            if len(data) > most:
                raise UserError(f"{path} has more than {most:,} bytes, which no such file has: it is damaged")
            self._texts[path], self._sha256[path] = data, hashlib.sha256(data).hexdigest()
        return self._texts[path]

    def tensors(self, path: Path) -> Tensors:
        """A safetensors file, open. Raises UserError when it is none."""
        path = path.absolute()
        if path not in self._tensors:
            stream = self._open(path)
            try:
                self._tensors[path] = Tensors(stream, path)
            except (ValueError, OSError) as error:
                stream.close()
                reason = f"{path.name} is damaged, or was not downloaded whole: {brief(error)}"
                raise UserError(f"{path.parent}: the weights do not fit the configuration ({reason})") from None
        return self._tensors[path]

    def sha256(self, path: Path) -> str:
        """The digest of what was read of a file; of one that was not, it is read for it."""
        path = path.absolute()
        if path in self._tensors:
            return self._tensors[path].sha256
        if path not in self._sha256:
            with self._open(path) as stream:
                self._sha256[path] = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
        return self._sha256[path]

    def listed(self, folder: Path) -> list[Path]:
        """The files in a folder, none of one that is missing; as they were when it was first asked."""
        folder = folder.absolute()
        if folder not in self._listed:
            found = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
            if len(found) > MOST_LISTED:
                raise UserError(f"{folder} holds {len(found):,} files: leave there what belongs to the model")
            self._listed[folder] = found
        return self._listed[folder]

    def digest(self, root: Path, files: Iterable[Path]) -> str:
        """sha256 over files and their names, as seen from `root`."""
        digest = hashlib.sha256()
        for path in sorted({path.absolute() for path in files}):
            digest.update(Path(os.path.relpath(path, root)).as_posix().encode("utf-8", "surrogatepass") + b"\0")
            digest.update(bytes.fromhex(self.sha256(path)))
        return digest.hexdigest()

    def _open(self, path: Path) -> IO[bytes]:
        self._check_within(path)
        try:
            return open_regular(path)
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(f"{path} is missing: the model folder is incomplete") from None
        except PermissionError:
            raise
        except OSError as error:
            raise UserError(f"{path} cannot be read ({brief(error)}): the model folder is damaged") from None

    def _check_within(self, path: Path) -> None:
        """Raises UserError for a link that leads out of the model's folders."""
        real = Path(os.path.realpath(path))
        roots = [root for root in self._roots if path.is_relative_to(root)] or [path.parent]
        if not any(real.is_relative_to(_whole(root)) for root in roots) and not _blob(real):
            raise UserError(
                f"{path} lies behind a link that leads out of the model's folder: put what the link names in its place"
            )


def _whole(root: Path) -> Path:
    """A folder, or the repository in the hub's cache that it is a snapshot of, whose files are links into another
    part of it."""
    real = Path(os.path.realpath(root))
    for folder in (real, *real.parents):
        if folder.parent.name == "snapshots" and folder.parent.parent.name.startswith("models--"):
            return folder.parent.parent
    return real


def _blob(path: Path) -> bool:
    """Whether a file is one of the hub's cache, to which folders of its downloads hold links."""
    return path.parent.name == "blobs" and path.parent.parent.name.startswith("models--")
