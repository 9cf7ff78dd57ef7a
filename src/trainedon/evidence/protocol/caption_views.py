"""What captions say by themselves: two views of the blind baseline, which see neither pictures nor model.

Captions of different origin differ in what they speak of, and in how they are written.
"""

from __future__ import annotations

import string
from collections.abc import Sequence

import numpy as np

WRITTEN, SAY = "how captions are written", "what captions say"  # names of the views
HASHED = 512  # columns for each of the two kinds of counts
KINDS = (",", ".", string.punctuation, string.ascii_uppercase, string.digits)


def form(captions: Sequence[str | None]) -> np.ndarray:
    """float64 (n, 3 + len(KINDS)): whether there is a caption, and logs of 1 + its length in characters, in words, and
    in characters of each kind."""
    texts = [caption or "" for caption in captions]
    counts = [[len(text), len(text.split()), *(sum(map(kind.count, text)) for kind in KINDS)] for text in texts]
    return np.column_stack([[bool(text) for text in texts], np.log1p(np.array(counts, dtype=float))])


def words(captions: Sequence[str | None]) -> np.ndarray:
    """float64 (n, 2 HASHED): logs of 1 + how often each word or pair of words, and each run of at most three
    characters, comes up; zeros without a caption.

    Counts are hashed, several to a column (Weinberger et al., arXiv 0902.2206), so that no list of words is learnt and
    room does not grow with it.
    """
    from sklearn.feature_extraction.text import HashingVectorizer

    texts = [caption or "" for caption in captions]
    kinds = (
        {"ngram_range": (1, 2), "token_pattern": r"\w+"},
        {"ngram_range": (1, 3), "analyzer": "char", "lowercase": False},
    )
    counted = [HashingVectorizer(n_features=HASHED, norm=None, alternate_sign=False, **kind) for kind in kinds]
    logs: np.ndarray = np.log1p(np.hstack([hasher.transform(texts).toarray() for hasher in counted]))
    return logs
