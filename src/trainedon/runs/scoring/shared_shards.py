"""The run's folder of shards, where workers on other machines find it too: they write there what they have scored.

A worker takes a path or a URL for the run's own folder only where it reads there what this process has just written: on
another machine the same path may lead to another disk, or to a copy. A shard is written as by this process, whole or
not at all, and this process believes in it once it has read it.
"""

from __future__ import annotations

import io
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from trainedon import run_files
from trainedon.attacks import Attack
from trainedon.errors import UserError
from trainedon.files import write_atomically
from trainedon.pictures.places.stores import Store
from trainedon.runs.scoring.scorer import Finished
from trainedon.runs.scoring.shard_files import is_complete, save_shard, shard_path

PATIENCE = 60.0  # seconds; a network file system may show a file to other machines only after a while


@dataclass(frozen=True)
class SharedShards:
    """folder: of the shards, absolute. store: the URL of the run folder that it is a copy of; None: it is no copy.
    token: what lies there under `run_files.SHARED` while this run goes on."""

    folder: Path
    store: str | None
    token: str

    @classmethod
    @contextmanager
    def offered(cls, folder: Path | None, store: str | None) -> Iterator[SharedShards | None]:
        """For workers that begin within the block. None where the driver alone can write: without a folder, and for a
        store that no other process finds. Raises OSError and UserError where it cannot be written there."""
        if folder is None or (store is not None and not Store(store).shared):
            yield None
            return
        shared = cls(folder.resolve(), store, secrets.token_hex(16))
        shared._write_token()
        try:
            yield shared
        finally:
            shared._remove_token()

    def is_found(self) -> bool:
        """In a worker: whether this is the driver's own."""
        try:
            if self.store is None:
                return (self.folder / run_files.SHARED).read_bytes() == self.token.encode()
            with Store(self.store).asked() as files:
                return bool(files.cat_file(self._in_store(files, run_files.SHARED)) == self.token.encode())
        except (OSError, UserError):
            return False

    def written(self, found: Finished, attacks: Sequence[Attack]) -> Finished:
        """In a worker: the shard is written, and what is to be told of it is less by that. Raises OSError and UserError
        where that cannot be done; then nothing is changed."""
        if found.table is None:
            return found
        path = shard_path(self.folder, found.number, attacks[found.number], found.name)
        if self.store is None:
            save_shard(found.table, path, writer=secrets.token_hex(4))
            return replace(found, table=None)
        stream = io.BytesIO()
        pq.write_table(found.table, stream)
        with Store(self.store).asked() as files:
            there = self._in_store(files, path.relative_to(self.folder).as_posix())
            files.makedirs(there.rpartition("/")[0], exist_ok=True)
            files.pipe_file(there, stream.getvalue())
        return replace(found, sent=True)  # with its table, which the driver's copy needs in the end

    def check(self, found: Finished, attacks: Sequence[Attack], clock: Callable[[], float] = time.monotonic) -> None:
        """In the driver: raises UserError unless what a worker says that it has written is there, and whole."""
        if found.table is not None or not found.rows:
            return
        path = shard_path(self.folder, found.number, attacks[found.number], found.name)
        began = clock()
        while not is_complete(path, found.rows):
            if clock() - began >= PATIENCE:
                raise UserError(
                    f"{path}, which a worker has written, cannot be read here: see whether the disk is full, and "
                    "whether all machines see the same files there, or give an --out on this machine's own disk; the "
                    "same command goes on"
                )
            time.sleep(0.05)

    def _write_token(self) -> None:
        if self.store is None:
            with write_atomically(self.folder / run_files.SHARED) as stream:
                stream.write(self.token.encode())
            return
        with Store(self.store).asked() as files:
            there = self._in_store(files, run_files.SHARED)
            files.makedirs(there.rpartition("/")[0], exist_ok=True)
            files.pipe_file(there, self.token.encode())

    def _remove_token(self) -> None:
        if self.store is None:
            (self.folder / run_files.SHARED).unlink(missing_ok=True)
            return
        with suppress(FileNotFoundError), Store(self.store).asked() as files:  # gone, as on a disk, is gone
            files.rm_file(self._in_store(files, run_files.SHARED))

    def _in_store(self, files: Any, name: str) -> str:
        root = str(files._strip_protocol(self.store)).rstrip("/")
        return f"{root}/{run_files.SHARDS}/{name}"
