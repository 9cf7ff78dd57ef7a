"""What a tokenizer of SentencePiece writes in place of characters before it looks for words: `precompiled_charsmap`.

The map is made of the number of bytes of a double-array trie (4 bytes), the trie (units of 4 bytes, little endian), and
the texts that characters are replaced by, each ended by a zero byte. The tokenizers library follows the trie without
looking where it leads, and would end the process where that is nowhere, so all that it can reach is looked at here.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

MOST = 2**20  # bytes of a map; the largest of SentencePiece's own has 250 000
LONGEST = 100  # bytes of one replacement; the longest of Unicode's own (NFKC) has 33
DEEPEST = 200  # bytes of what is replaced
BLOCK = 256  # units: those that one unit leads to lie in the same block


def check_charsmap(data: bytes) -> None:
    """Raises ValueError for a map that is none, or that makes very long texts of short ones."""
    size = int.from_bytes(data[:4], "little")
    if len(data) > MOST or not size or size % (4 * BLOCK) or 4 + size > len(data):
        raise ValueError("its map of characters is damaged")
    texts = data[4 + size :]
    if max(map(len, texts.split(b"\0"))) > LONGEST:
        raise ValueError(f"its map of characters makes more than {LONGEST} bytes of one character")
    starts = _starts(np.frombuffer(data, "<u4", size // 4, 4).astype(np.int64))
    texts.decode()  # UnicodeDecodeError is a ValueError
    marks = np.frombuffer(texts, np.uint8)
    if len(starts) and (starts.max() >= len(texts) or ((marks[starts] & 0xC0) == 0x80).any()):
        raise ValueError("its map of characters leads out of itself")


def _starts(units: np.ndarray) -> np.ndarray:
    """Where replacements start in the texts, of all that can be reached from the first unit, int64 (found,).

    units: int64 (n,), as in Darts-clone: 8 bits of the byte that leads to a unit, one bit that says whether a text ends
    there, and how far off the units lie that it leads to, or where the replacement starts. Raises ValueError when a
    unit leads out of them.
    """
    numbers = np.arange(len(units))
    label = units & (2**31 | 0xFF)
    leads = numbers ^ ((units >> 10) << ((units & 2**9) >> 6))
    inner = (label > 0) & (label < BLOCK)  # others are replacements, or led to by the byte that ends a text
    children = numbers[inner]
    before = children ^ label[inner]
    reached = np.zeros(len(units), bool)
    found, new = children[:0], leads[:1]
    for _ in range(DEEPEST):
        if (new >= len(units)).any():
            raise ValueError("its map of characters leads out of itself")
        new = new[~reached[new]]
        if not len(new):
            break
        reached[new] = True
        fresh = np.zeros(len(units), bool)
        fresh[new] = True
        following = children[fresh[before]]
        found = np.concatenate([found, following])
        new = np.unique(leads[following])
    else:
        raise ValueError("its map of characters is damaged")
    ended = found[(units[found] & 2**8) > 0]
    values: np.ndarray = units[leads[ended]] & (2**31 - 1)
    return values


def decoded(text: Any) -> bytes:
    """A map that stands in base64, as in tokenizer.json. Raises ValueError when it does not."""
    try:
        data = base64.b64decode(text, validate=True)
    except (TypeError, ValueError):
        data = b""
    if base64.b64encode(data).decode() != text:  # other decoders refuse what this one passes over
        raise ValueError("its map of characters is damaged")
    return data
