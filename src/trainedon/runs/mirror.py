"""A run folder in a store that fsspec reaches (`s3://`, `gs://`, ...), with a working copy on this disk.

A run works in the copy. What it finishes is sent to the store at once, so that any machine can go on with it; what the
store holds and the copy lacks is fetched first. Two machines must not work on one run folder at the same time: a store
has no locks.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainedon import run_files
from trainedon.errors import UserError
from trainedon.pictures.places.stores import Store, is_url, shown

# The files of a run folder. Nothing else in a store is fetched, written or removed, whatever it is called.
_OURS = re.compile(
    "|".join(re.escape(name) for name in run_files.ALL if name != run_files.LOCK)
    + rf"|{run_files.SHARDS}/{re.escape(run_files.SHARED)}"
    + rf"|({run_files.SHARDS}|{run_files.RESTORED})(/[A-Za-z0-9_-][\w.@-]*){{2}}"
)


@dataclass
class Mirror:
    """path: the folder on this disk. url: the one in the store that it stands for; None for a folder that is here."""

    path: Path
    url: str | None = None
    _sent: dict[str, tuple[int, int]] = field(default_factory=dict)  # name -> size and time of what was sent or fetched

    @classmethod
    def of(cls, out: str | Path) -> Mirror:
        """A local path, or a URL, whose working copy lies below $TRAINEDON_CACHE or ~/.cache/trainedon."""
        if not is_url(str(out)):
            return cls(Path(out))
        cache = Path(os.environ.get("TRAINEDON_CACHE") or Path.home() / ".cache" / "trainedon")
        url = str(out).rstrip("/")
        return cls(cache / "runs" / hashlib.sha256(url.encode()).hexdigest()[:16], url)

    def __str__(self) -> str:
        return shown(self.url) if self.url else str(self.path)

    def fetch(self) -> None:
        """Bring here what the store has. Raises UserError when the store cannot be reached, and when what it holds is
        no run folder."""
        if self.url is None:
            return
        there, strangers = self._there()
        if strangers and run_files.RUN not in there:
            raise UserError(f"{self} is not empty and is no run folder (it holds {strangers[0]}): choose another --out")
        for name, size in sorted(there.items()):
            path = self.path / name
            if not path.is_file() or path.stat().st_size != size or path.suffix == ".json":
                path.parent.mkdir(parents=True, exist_ok=True)
                with self._asked() as files:
                    files.get_file(self._at(name), str(path))
            self._sent[name] = _stamp(path)

    def keep(self, path: Path, sent: bool = False) -> None:
        """Send one finished file of the folder, unless somebody has `sent` it. Raises UserError as `fetch` does."""
        if self.url is None:
            return
        name = path.relative_to(self.path).as_posix()
        if not sent:
            with self._asked() as files:
                files.makedirs(self._at(name).rpartition("/")[0], exist_ok=True)
                files.put_file(str(path), self._at(name))
        self._sent[name] = _stamp(path)

    def finish(self) -> None:
        """Make the folder in the store what the one here is: send what changed, and remove what is gone."""
        if self.url is None:
            return
        here = {path.relative_to(self.path).as_posix(): path for path in self.path.rglob("*") if path.is_file()}
        here = {name: path for name, path in here.items() if _OURS.fullmatch(name)}
        # it says that a run is complete, so it comes after all else
        for name in sorted(here, key=lambda name: (name == run_files.RUN, name)):
            if self._sent.get(name) != _stamp(here[name]):
                self.keep(here[name])
        for name in self._there()[0].keys() - here.keys():
            with self._asked() as files:
                files.rm_file(self._at(name))

    def _there(self) -> tuple[dict[str, int], list[str]]:
        """name -> bytes, of every file of a run in the store's folder, and the names of what else is there."""
        with self._asked() as files:
            root = self._at("")
            if not files.exists(root):
                return {}, []
            files.invalidate_cache()
            found = {path[len(root) + 1 :]: info["size"] for path, info in files.find(root, detail=True).items()}
            ours = {name: size for name, size in found.items() if _OURS.fullmatch(name)}
            return ours, sorted(found.keys() - ours.keys())

    def _at(self, name: str) -> str:
        with self._asked() as files:
            root = files._strip_protocol(self.url)
        return f"{root}/{name}" if name else root

    def _asked(self) -> Any:
        return Store(str(self.url)).asked()


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
