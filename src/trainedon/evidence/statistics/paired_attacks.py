"""Several attacks' differences to the mirror image, as one number a picture that a sign-flip test can take."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from trainedon.errors import UserError
from trainedon.evidence.statistics.finite import finite


def paired(differences: ArrayLike) -> np.ndarray:
    """What several attacks say of the same pictures together, float64 (n,) in [-1, 1], for `sign_flip_test`.

    differences: float64 (n, k), of each of k attacks the score minus that of the mirror image. Returned is the mean
    over attacks of sign(D) rank(|D|) / n, ranks among that attack's own pictures, ties sharing their mean, a zero
    counting for nothing.

    Whichever way a picture is turned, all its differences change their sign and the ranks stay what they are, so that
    the sum only changes its sign too: as a statistic of signs it is exact for any odds (Rosenbaum, Biometrika 74,
    1987), where weights that were learnt from the signs would not be. Averaging takes off the noise that each attack
    has for itself, which helps where every picture is remembered a little. Where a few are remembered well, the best
    of the attacks alone finds more, but which one that is, nobody knows before. Raises UserError for another shape and
    for differences that are not finite.
    """
    given = np.asarray(differences, dtype=float)
    if given.ndim != 2 or not given.shape[1]:
        raise UserError(f"differences of shape {given.shape}: give one row a picture and one column an attack")
    columns = [finite(column, "differences") for column in given.T]
    ranked: np.ndarray = np.mean([np.sign(column) * rankdata(np.abs(column)) for column in columns], axis=0)
    return ranked / max(1, len(given))
