"""The headers of a plain `.tar`, read one by one, none of them kept, and none believed that cannot be true."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from typing import IO, cast

from trainedon.pictures.pixels.names import is_hidden

_MOST_HEADER = 2**20  # bytes; a header that asks for more is no honest one
_MOST_HEADERS = 2**22  # bytes of all headers of one member, lists of its holes among them
_MOST_COMMON = 1000  # entries of headers that hold for all members; writers have none, or a comment


def members(stream: IO[bytes], hidden: Callable[[str], None]) -> Iterator[tarfile.TarInfo]:
    """All members but the hidden ones, of which `hidden` is told the names. Raises one of the errors that `tars` takes
    for damage where the headers do not lead to the tar's end."""
    headers = _Headers(stream)
    with tarfile.open(fileobj=cast("IO[bytes]", headers), mode="r:") as tar:  # it asks for what `_Headers` has
        reached = -1
        while (member := headers.next(tar)) is not None:
            if member.size < 0 or tar.offset <= reached:
                raise tarfile.ReadError("a header leads back")
            reached = tar.offset
            # it would keep every header; typeshed leaves the list out
            tar.members.clear()  # type: ignore[attr-defined]
            if any(is_hidden(part) and part.strip(".") for part in member.name.split("/")):
                hidden(member.name)
            else:
                yield member
        stream.seek(tar.offset)  # tarfile takes a damaged header, or none, for the end
        if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("no end of archive")


class _Headers:
    """A stream for tarfile, which reads headers as long as they say they are, and as many as there are."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.seek, self.tell, self._stream = stream.seek, stream.tell, stream
        self._left = _MOST_HEADERS

    def next(self, tar: tarfile.TarFile) -> tarfile.TarInfo | None:
        """The next member of the tar that reads this stream."""
        self._left = _MOST_HEADERS
        if len(tar.pax_headers) > _MOST_COMMON:  # tarfile copies them for each member
            raise tarfile.ReadError("more headers for all members than an honest tar has")
        return tar.next()

    def read(self, size: int) -> bytes:
        self._left -= size
        if not 0 <= size <= _MOST_HEADER or self._left < 0:
            raise tarfile.ReadError("a header of impossible length")
        return self._stream.read(size)
