"""Captions to draw from: those of a whole run, or of a file."""

from __future__ import annotations

import hashlib
import heapq
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from trainedon.errors import UserError
from trainedon.noise import generator
from trainedon.reading import read_bytes
from trainedon.spec import cut

LARGEST = 128 * 2**20  # bytes of a file of captions: a million of them
MOST = 4096  # captions: more add nothing, and would have to be held, and sent to every worker


@dataclass(frozen=True)
class Pool:
    """Different captions, sorted. digest: sha256 over them; it stands for them in `repr` and in comparisons."""

    digest: str
    captions: tuple[str, ...] = field(compare=False, repr=False)

    written: ClassVar[str] = "FILE"  # how messages and lists call what `open` takes

    @classmethod
    def of(cls, captions: Iterable[str | None]) -> Pool:
        """At most MOST of the captions, by their digests, so that neither order nor number of each has a say."""
        different = {caption for caption in captions if caption and caption.strip()}
        kept = tuple(sorted(heapq.nsmallest(MOST, different, key=_digest)))
        return cls(_digest("\x1f".join(kept)), kept)

    @classmethod
    def open(cls, path: str | Path) -> Pool:
        """The lines of a text file. Raises UserError when it cannot be read, or has not two different ones."""
        try:
            text = read_bytes(Path(path), LARGEST).decode()
        except (OSError, ValueError) as error:
            raise UserError(f"{cut(str(path))} cannot be read as captions, one a line ({error})") from None
        pool = cls.of(map(str.strip, text.splitlines()))
        if len(pool.captions) < 2:
            raise UserError(f"{path} has not two different captions: give one a line")
        return pool

    def __repr__(self) -> str:
        return f"Pool({len(self.captions)} captions, {self.digest[:16]})"

    def other(self, own: str | None, *key: object) -> str | None:
        """A caption that is not `own`, drawn by `key` alone; None where there is no other."""
        place = bisect_left(self.captions, own or "")
        has_own = self.captions[place : place + 1] == (own,)
        if len(self.captions) == has_own:
            return None
        drawn = int(generator("pool", *key).integers(len(self.captions) - has_own))
        return self.captions[drawn + (has_own and drawn >= place)]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
