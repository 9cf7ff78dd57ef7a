"""Files as strangers may have left them: regular ones alone, bounded, and JSON that says one thing."""

from __future__ import annotations

import json
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import Any

from trainedon.errors import UserError

MOST_JSON = 64 * 2**20  # bytes; the record of a run of a million pictures has a few of these
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def open_regular(path: Path, follow: bool = True) -> BufferedReader:
    """A file, open for reading, never waited for: a pipe would wait for ever, and a device never ends.

    What is opened is what was looked at. Raises OSError as `open` does, also where the path's last part is a link and
    not to be followed (ELOOP; Windows follows all the same), and UserError for what is no regular file.
    """
    number = os.open(path, _FLAGS if follow else _FLAGS | getattr(os, "O_NOFOLLOW", 0))
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise UserError(f"{path} is {kind_of(os.fstat(number).st_mode)} and no regular file: put a file there")
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def kind_of(mode: int) -> str:
    """What a mode of `stat` says, in words."""
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFREG: "a file"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def read_bytes(path: Path, most: int) -> bytes:
    """All of a regular file. Raises OSError as `open` does, and UserError for one of more than `most` bytes."""
    with open_regular(path) as stream:
        data = stream.read(most + 1)
    if len(data) > most:
        raise UserError(f"{path} has more than {most:,} bytes, which no such file has: it is damaged")
    return data


def read_json(path: Path, most: int = MOST_JSON) -> Any:
    """The value in a JSON file. Raises OSError as `open` does, and UserError as `json_of`."""
    return json_of(read_bytes(path, most), path)


def json_of(data: bytes, where: object) -> Any:
    """The value that JSON text in UTF-8 says.

    Raises UserError, which begins with `where`, when it is none, is nested too deeply, or names a key twice, of which
    one reader takes the first and another the last.
    """
    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{where} is not readable JSON ({reason}): it is damaged") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise ValueError(f"the key {twice[:80]!r} is there twice")
    return found
