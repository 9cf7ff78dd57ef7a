"""Files that are written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from trainedon.reading import open_regular

# O_EXCL: what stands there already is not written to, link or not.
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


@contextmanager
def write_atomically(path: Path, writer: str = "", synced: bool = True) -> Iterator[IO[bytes]]:
    """A binary stream whose content becomes `path` in one step when the block ends well: written beside it, synced,
    renamed. When the block fails the old file stays and nothing is left behind; a killed process leaves at most
    `.NAME.tmp`, which the next writer replaces. A link at either place is replaced, and never followed.

    writer: a name of who writes, where several may write `path` at once: `.NAME.WRITER.tmp`. synced: False where the
    content is safe elsewhere, as to wait for the disk takes milliseconds.
    """
    temporary = path.with_name(f".{path.name}.{writer}.tmp" if writer else f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    number = os.open(temporary, _NEW, 0o666)
    try:
        with os.fdopen(number, "wb") as stream:
            yield stream
            stream.flush()
            if synced:
                os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str | Iterable[str]) -> None:
    """The text, or its parts one after another, as UTF-8, whole or not at all."""
    with write_atomically(path) as stream:
        for part in [text] if isinstance(text, str) else text:
            stream.write(part.encode("utf-8"))


def write_json(path: Path, value: object) -> None:
    """The value as JSON, whole or not at all. Raises ValueError for NaN and infinity."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def file_digest(path: Path) -> str:
    """sha256, hex, of a file's bytes. Raises OSError and UserError as `open_regular`."""
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
