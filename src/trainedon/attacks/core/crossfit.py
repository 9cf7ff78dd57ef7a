"""Cross-fitting: what attacks that learn say of a picture was learnt without it, and without its fold."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np

FOLDS = 5
# Named apart from every other use of a digest, so that the folds say nothing of the halves of the unseen pictures.
SALT = b"trainedon/crossfit-1\x1f"
TOO_FEW = "there are too few pictures to learn from"

Predict = Callable[[np.ndarray], np.ndarray]  # observed (n, d) -> scores (n,)
Fit = Callable[[np.ndarray, np.ndarray], Predict]  # observed (m, d), member bool (m,) -> what was learnt from them
Scaling = Callable[[np.ndarray], np.ndarray]  # scores (n, k) -> the same, scaled


def folds(sha256: Sequence[str], k: int = FOLDS) -> np.ndarray:
    """The fold of each picture, int64 (n,) in [0, k): SHA-256(salt + digest) modulo k, so a function of the picture
    alone. Equal pictures lie in one fold."""
    hashes = [hashlib.sha256(SALT + digest.encode()).digest() for digest in sha256]
    return np.array([int.from_bytes(each[:8], "big") % k for each in hashes], dtype=np.int64)


def crossfit(
    observed: np.ndarray,
    sets: Sequence[str],
    sha256: Sequence[str],
    fit: Fit,
    *,
    known: tuple[str, ...] = ("member", "unseen"),
    least: int = 1,
) -> np.ndarray:
    """Scores (n,): those of a fold by what `fit` learnt from the `known` sets of the other folds.

    observed: float64 (n, d). sets: member, unseen or suspect. So the set of a picture has no say in its own score.
    Suspects, too, are scored by what was learnt without their fold, though nothing is ever learnt from them: an unseen
    picture and a suspect of one fold meet the same judge, which has seen neither, and are exchangeable. As the folds
    are drawn without regard to what the pictures are, this carries over to all folds together, where conformal p-values
    compare the suspects of one with the unseen pictures of every.
    NaN for a picture with an observation that is no finite number, from which nothing is learnt either, and for a fold
    outside of which a known set has fewer than `least` pictures.
    The result does not depend on the pictures' order: `fit` sees them in the order of their digests.
    """
    scores = np.full(len(observed), np.nan)
    order = np.array(sorted(range(len(sets)), key=lambda i: (sha256[i], sets[i])), dtype=np.int64)
    order = order[np.isfinite(observed[order]).all(1)]
    fold, name = folds(sha256)[order], np.array(sets, dtype=object)[order]
    for inside in (fold == number for number in range(FOLDS)):
        learnt = ~inside & np.isin(name, known)
        if inside.any() and all((name[learnt] == one).sum() >= least for one in known):
            predict = fit(observed[order[learnt]], name[learnt] == "member")
            scores[order[inside]] = predict(observed[order[inside]])
    return scores


def robust_scaling(known: np.ndarray) -> Scaling:
    """Robust scaling of scores (n, k), column by column, fitted on `known` (m, k): median 0, quartiles about -1 and 1,
    and logarithmic far out, since a score that is an error to the fourth power has outliers that would rule every fit.
    """
    low, middle, high = np.quantile(known, [0.25, 0.5, 0.75], axis=0)
    spread = np.maximum((high - low) / 2, np.finfo(np.float64).tiny)
    return lambda scores: np.arcsinh((scores - middle) / spread)
