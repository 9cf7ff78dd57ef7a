"""The tensors of a safetensors file, read from the very handle that is hashed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any, NamedTuple

import torch

from trainedon.errors import UserError
from trainedon.reading import json_of

LONGEST = 100_000_000  # bytes of a header: safetensors' own limit
MOST = 300_000  # tensors; the largest models have a few thousand
_STEP = 8 * 2**20  # bytes that are read and hashed at once, while they lie in the processor's cache
_TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
    "U16": torch.uint16, "U32": torch.uint32, "U64": torch.uint64, "C64": torch.complex64,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}  # fmt: skip
# What the format has beyond these: their bits. No weight of a network is one of them.
_OTHERS = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8}


@dataclass(frozen=True)
class TensorEntry:
    """One tensor in the file: its type as the file calls it, and where its bytes begin and end behind the header."""

    kind: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Tensors:
    """A safetensors file, open. path: as it was asked for. entries: in the order of their bytes. metadata: its own.

    Raises ValueError, in one line, where the header does not describe just the bytes that follow it.
    """

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self.path, self._stream = path, stream
        self._stamp = stamp(stream)
        size = self._stamp.size
        length = int.from_bytes(stream.read(8), "little")
        if size < 10 or length > min(LONGEST, size - 8):
            raise ValueError("no header of safetensors")
        header = stream.read(length)
        self._start = 8 + length
        self.entries, self.metadata = _described(header, self._start, size - self._start)
        self._hash, self._sha256 = hashlib.sha256(length.to_bytes(8, "little") + header), ""

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        self._stream.close()

    @property
    def sha256(self) -> str:
        """Of the whole file. Raises UserError when the file was written to since it was opened."""
        if not self._sha256:
            self._stream.seek(self._start)
            digest, buffer = self._hash.copy(), memoryview(bytearray(_STEP))
            while count := self._stream.readinto(buffer):  # type: ignore[attr-defined]
                digest.update(buffer[:count])
            self._finish(digest)
        return self._sha256

    def read(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Every tensor with its name, in memory of its own, hashed as it passes; one look at the file for both.

        Raises UserError when the file was written to since it was opened.
        """
        self._stream.seek(self._start)
        digest = self._hash.copy()
        for name, entry in self.entries.items():
            yield name, self._tensor(entry, digest)
        self._finish(digest)

    def tensor(self, name: str) -> torch.Tensor:
        """One of them, in memory of its own."""
        self._stream.seek(self._start + self.entries[name].begin)
        return self._tensor(self.entries[name], None)

    def _tensor(self, entry: TensorEntry, digest: Any) -> torch.Tensor:
        if entry.kind not in _TYPES:
            raise UserError(f"{self.path} holds numbers of the type {entry.kind}, which is not supported")
        raw = torch.empty(entry.end - entry.begin, dtype=torch.uint8)
        view, at = raw.numpy().data, 0
        while at < len(view):
            count = self._stream.readinto(view[at : at + _STEP])  # type: ignore[attr-defined]
            if not count:
                raise self._changed()
            if digest is not None:
                digest.update(view[at : at + count])
            at += count
        return raw.view(_TYPES[entry.kind]).reshape(entry.shape)

    def _finish(self, digest: Any) -> None:
        if stamp(self._stream) != self._stamp:
            raise self._changed()
        self._sha256 = digest.hexdigest()

    def _changed(self) -> UserError:
        return UserError(f"{self.path} was changed while it was read: start again")


class Stamp(NamedTuple):
    """What changes with every writing to a file, at the latest the time of the change, which nobody can set."""

    device: int
    number: int
    size: int
    written: int
    changed: int


def stamp(stream: IO[bytes]) -> Stamp:
    found = os.fstat(stream.fileno())
    return Stamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _described(header: bytes, start: int, room: int) -> tuple[dict[str, TensorEntry], dict[str, str]]:
    """The tensors and the metadata that a header speaks of. start: where their bytes begin. room: how many
    there are."""
    if header[:1] != b"{" or max(map(header.count, (b"{", b"["))) > 3 * MOST or header.count(b",") > 20 * MOST:
        raise ValueError("no header of safetensors")
    try:
        found = json_of(header, "its header")
    except UserError as error:
        raise ValueError(str(error)) from None
    metadata = found.pop("__metadata__", None) or {}
    if not (isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())):
        raise ValueError("its metadata are no texts")
    entries = {name: _entry(name, value) for name, value in found.items()}
    entries = dict(sorted(entries.items(), key=lambda one: (one[1].begin, one[1].end)))
    at = 0
    for name, entry in entries.items():
        if entry.begin != at:
            raise ValueError(f"{name[:100]!r} does not begin where the tensor before it ends")
        at = entry.end
    if at != room:
        raise ValueError(f"it has {start + room:,} of {start + at:,} bytes")
    return entries, metadata


def _entry(name: str, value: Any) -> TensorEntry:
    try:
        kind, shape, (begin, end) = value["dtype"], value["shape"], value["data_offsets"]
        numbers = [begin, end, *shape]
        if not all(type(number) is int and 0 <= number < 2**63 for number in numbers) or len(shape) > 64:
            raise ValueError
        bits = _OTHERS[kind] if kind in _OTHERS else 8 * _TYPES[kind].itemsize
    except (ValueError, TypeError, LookupError):
        raise ValueError(f"{name[:100]!r} is not described as safetensors are") from None
    if 8 * (end - begin) != bits * prod(shape):
        raise ValueError(f"{name[:100]!r} has another size than its shape")
    return TensorEntry(kind, tuple(shape), begin, end)
