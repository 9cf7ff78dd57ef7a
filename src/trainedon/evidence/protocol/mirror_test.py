"""The mirror test: every suspect against its own mirror image, so that no unseen pictures are needed.

The score of an attack that is relative to the model in a mirror is a difference D: how well the model knows the
picture, minus how well it knows the mirror image. Of a picture that it never saw, of a kind whose mirror images are as
likely as the pictures, D is as likely to be positive as negative. Training pictures come out positive. Whatever sets a
folder apart from other folders (a camera, an artist, a codec) is the same on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from scipy.stats import binom

from trainedon.evidence.protocol.circumstances import Circumstances
from trainedon.evidence.protocol.documents import MirrorTest
from trainedon.evidence.statistics.intervals import clopper_pearson
from trainedon.evidence.statistics.paired_attacks import paired
from trainedon.evidence.statistics.pvalues import holm
from trainedon.evidence.statistics.sign_flip import (
    MOST_ODDS,
    knockoff_q,
    least_odds_against,
    most_odds,
    positive_share,
    sign_flip_test,
    signs_needed,
    signs_of,
)
from trainedon.evidence.table.clusters import unite
from trainedon.evidence.table.codes import MISSING
from trainedon.evidence.table.feature_table import FeatureTable
from trainedon.evidence.table.mirrored_copies import mirrored_copies
from trainedon.evidence.table.picture_table import PictureTable
from trainedon.evidence.table.scores import Sample, Scores
from trainedon.formats.null_view import NullView

LEVEL = 0.01
FALSE_DISCOVERY_RATE = 0.05
# So many pictures of the kind, half of them ahead, put chance at less than the 2 to 1 that is assumed without any.
ENOUGH_REFERENCE = 150
SURE_REMEDY = f"--mirror-reference ({ENOUGH_REFERENCE} pictures or more)"
REMEDY = f"{SURE_REMEDY} or --control"
PREFERS = 0.01  # how seldom a model that knows no such pictures may pass for one that prefers them
DOUBT = 0.001  # chance that the odds learnt from a reference are too low, which is added to p (Berger & Boos, 1994)
# Without pictures to learn it from: unseen ones may come out positive twice as often as negative. Measured upper limits
# are 1.23 (faces) and 1.97 (emoji); text and digits lie far above, and chirality is a control of its own.
ASSUMED = 2.0
TOGETHER = "cdi"  # the name of the test of all attacks together
Origin = Literal["assumed", "reference", "control model"]


class Flipped(NamedTuple):
    """Signs that are coins of their own, and how many of them are positive."""

    n: int
    n_positive: int


@dataclass(frozen=True)
class Odds:
    """How many times as often as negative pictures may come out positive that the model cannot have seen, and what says
    so. n, n_positive: pictures with a sign that it was learnt from. units: the same of what hangs together, None where
    each picture is by itself."""

    value: float = ASSUMED
    origin: Origin = "assumed"
    n: int = 0
    n_positive: int = 0
    units: Flipped | None = None

    @classmethod
    def learnt(cls, origin: Origin, differences: np.ndarray, units: np.ndarray | None = None) -> Odds:
        """From differences, float64 (n,), of pictures that the model that gave them cannot have seen. Where none has a
        sign nothing bounds the odds. units: as in `mirror_test`, which asks in both ways; the larger odds hold."""
        together = None if units is None else Flipped(*signs_of(differences, units))
        return cls(odds_of(differences, units), origin, *signs_of(differences), together)

    @property
    def prefers(self) -> bool:
        """Whether the model that gave the differences knows which way round such pictures are."""
        return prefers(self.n, self.n_positive, self.units)


class Tested(NamedTuple):
    """A mirror test, and the differences that it was made of, float64 (n,)."""

    test: MirrorTest
    score: np.ndarray


def mirror_tests(scores: Scores, circumstances: Circumstances, copies: Copies) -> dict[str, Tested]:
    """The mirror test of each attack whose scores are differences to one view, by its repr, and as TOGETHER that of all
    of them (`paired`) where there are several, corrected for one another (Holm). Those where no suspect has a sign are
    missing.

    Unseen pictures need not be alike in other ways here, and say what chance favours; so does a control model, whose
    own differences of the suspects are among the scores. What both say, the larger holds. A control model may know such
    pictures less well than the audited one, so that it lowers nothing, neither what is assumed nor what other pictures
    say; and one that does not prefer the suspects may not know them at all. Works of one source are flipped together,
    and so are mirrored `copies` of one picture. Of unseen pictures that are mirrored copies of one another one takes
    part, and none that is one of a suspect. What bounds the odds is counted in the same units.
    """
    controls = {told.of: name for name, told in (circumstances.on_control or {}).items()}
    known = {attack.repr: attack for attack in scores.attacks}
    views = {n: v for n, v in circumstances.null_views.items() if n in known and n not in circumstances.controls}
    found: dict[str, Tested] = {}
    for names, view in [*(((name,), view) for name, view in views.items()), *_several(views)]:
        suspects = _together([scores.sample(known[name], "suspect") for name in names])
        unseen = _together([scores.sample(known[name], "unseen") for name in names])
        reference = None
        if scores.has("unseen"):
            apart = copies.stands_apart(unseen.first)[unseen.at]
            sources = sources_of(unseen.first)
            reference = Odds.learnt(
                "reference", unseen.score[apart], None if sources is None else sources[unseen.at][apart]
            )
        learnt = [reference or Odds()]
        if all(controls.get(name) in known for name in names):
            on_control = _together([scores.sample(known[controls[name]], "suspect") for name in names])
            whose = copies.units_of(on_control.first)
            control = Odds.learnt("control model", on_control.score, None if whose is None else whose[on_control.at])
            if control.prefers and not reference:
                learnt = [replace(control, value=max(control.value, ASSUMED))]
            elif control.prefers or (control.n and not reference):
                learnt.append(control)
        units = copies.units_of(suspects.first)
        key = names[0] if len(names) == 1 else TOGETHER
        units = units if units is None else units[suspects.at]
        test = mirror_test(suspects.score, max(learnt, key=lambda odds: odds.value), units, view)
        if test is not None:
            found[key] = Tested(test, suspects.score)
    corrected = holm(np.array([one.test.p_value for one in found.values()])).tolist()
    return {
        name: Tested(one.test.model_copy(update={"p_value_holm": p, "finds": p < LEVEL}), one.score)
        for (name, one), p in zip(found.items(), corrected, strict=True)
    }


def _several(views: Mapping[str, NullView]) -> list[tuple[tuple[str, ...], NullView]]:
    """The attacks that are tested together, where there are several with one view."""
    return [(tuple(views), next(iter(views.values())))] if len(views) > 1 and len({*views.values()}) == 1 else []


class _Together(NamedTuple):
    """Differences, float64 (n,), of the pictures that all attacks have scored. at: which of the first one's they are,
    int (n,)."""

    score: np.ndarray
    first: Sample
    at: np.ndarray


def _together(samples: Sequence[Sample]) -> _Together:
    first, common = samples[0], samples[0].picture
    for other in samples[1:]:
        common = np.intersect1d(common, other.picture, assume_unique=True)
    columns = [one.score[np.searchsorted(one.picture, common)] for one in samples]
    score = columns[0] if len(columns) == 1 else paired(np.stack(columns, axis=1))
    return _Together(score, first, np.searchsorted(first.picture, common))


def mirror_test(
    suspects: np.ndarray, odds: Odds | None = None, units: np.ndarray | None = None, view: str = "mirror"
) -> MirrorTest | None:
    """What the signs of the suspects' differences, float64 (m,), say of them as a set; None where none has a sign.

    units: what hangs together, see `sign_flip_test`; the larger p-value holds of that in which each unit has one coin
    and that in which each picture has its own, since a unit of many pictures, each ahead a little more often than
    behind, is ahead far more often. view: what was taken off.
    """
    share = positive_share(suspects)
    if share is None:
        return None
    odds = odds or Odds()
    ways = [None] if units is None else [None, units]
    alike, bounded = ([sign_flip_test(suspects, one, way) for way in ways] for one in (1.0, odds.value))
    most = [most_odds(suspects, LEVEL, way) for way in ways]
    p_value = min(1.0, max(test.p_value for test in bounded) + (0.0 if odds.origin == "assumed" else DOUBT))
    return MirrorTest(
        view=view,
        n=int(np.count_nonzero(suspects)),
        n_positive=int((suspects > 0).sum()),
        n_flipped=alike[-1].n,
        share=share[0],
        share_ci=share[1],
        p_value=p_value,
        p_value_holm=p_value,
        p_value_alike=max(test.p_value for test in alike),
        odds=odds.value,
        odds_from=odds.origin,
        n_reference=odds.n,
        n_reference_positive=odds.n_positive,
        n_reference_flipped=None if odds.units is None else odds.units.n,
        n_reference_flipped_positive=None if odds.units is None else odds.units.n_positive,
        odds_explaining=None if None in most else min(filter(None, most)),
        level=LEVEL,
        finds=p_value < LEVEL,
        needed=signs_needed(suspects, LEVEL, odds.value) if units is None else None,
    )


def prefers(n: int, n_positive: int, units: Flipped | None = None) -> bool:
    """Whether so many of n pictures are ahead, and of `units` that hang together, that a model knows which way round
    such pictures are."""
    counted = [(n, n_positive), *([] if units is None else [units])]
    return all(k > 0 and float(binom.sf(ahead - 1, k, 0.5)) < PREFERS for k, ahead in counted)


def answered(test: MirrorTest) -> bool:
    """Whether anything says how far chance favours such pictures: others of their kind, or a control model that prefers
    them. One that does not either knows no such pictures, or there is nothing to prefer; its answers look the same."""
    if test.odds_from == "control model":
        n, n_positive = test.n_reference_flipped, test.n_reference_flipped_positive
        units = None if n is None or n_positive is None else Flipped(n, n_positive)
        return prefers(test.n_reference, test.n_reference_positive, units)
    return test.odds_from == "reference"


def smallest_p(test: MirrorTest) -> float:
    """What its p-value could have been at best."""
    return float((test.odds / (1 + test.odds)) ** test.n_flipped + (0.0 if test.odds_from == "assumed" else DOUBT))


@dataclass(frozen=True)
class Copies:
    """Which pictures of a run are mirrored copies of one another, told by the codes of their names.

    suspects, unseen: names, int (k,), of the pictures that are looked at. of_suspects, of_unseen: the group of
    each, int (k,): the number of its first picture, suspects first.
    """

    suspects: np.ndarray
    unseen: np.ndarray
    of_suspects: np.ndarray
    of_unseen: np.ndarray

    @classmethod
    def found(cls, listed: PictureTable | None, features: FeatureTable | None) -> Copies:
        """Of the pictures that are `listed` and have `features`; none without these."""
        if listed is None or features is None:
            nobody = np.empty(0, np.int64)
            return cls(nobody, nobody, nobody, nobody)
        keys = [key for side in ("suspect", "unseen") for key in features.vectors if key[0] == side]
        rows = listed.find(keys)
        here = rows != MISSING
        keys, name = [key for key, there in zip(keys, here.tolist(), strict=True) if there], listed.picture[rows[here]]
        group, m = mirrored_copies(features, keys), sum(side == "suspect" for side, _ in keys)
        return cls(name[:m], name[m:], group[:m], group[m:])

    def units_of(self, suspects: Sample) -> np.ndarray | None:
        """What belongs together, int (m,): works of one source, and mirrored copies of one picture. None where each
        picture is by itself."""
        sources = sources_of(suspects)
        root = np.arange(len(suspects)) if sources is None else sources
        _, here, at = np.intersect1d(suspects.picture, self.suspects, assume_unique=True, return_indices=True)
        if len(here):
            _, first, which = np.unique(self.of_suspects[at], return_index=True, return_inverse=True)
            unite(root, here, here[first][which])
        return None if np.array_equal(root, np.arange(len(root))) else root

    def stands_apart(self, unseen: Sample) -> np.ndarray:
        """Which unseen pictures are no mirrored copy of a suspect, and of one another only the first: bool (n,)."""
        apart = np.ones(len(unseen), bool)
        _, here, at = np.intersect1d(unseen.picture, self.unseen, assume_unique=True, return_indices=True)
        apart[here] = self.of_unseen[at] == len(self.suspects) + at
        return apart


def sources_of(sample: Sample) -> np.ndarray | None:
    """The first picture of each one's source, int (n,), itself where it has none; None where no two share one."""
    root, source = np.arange(len(sample)), sample.rows.column("source")
    known = np.flatnonzero(source != MISSING)
    if len(known):
        _, first, which = np.unique(source[known], return_index=True, return_inverse=True)
        root[known] = known[first][which]
    return None if np.array_equal(root, np.arange(len(root))) else root


def odds_of(reference: np.ndarray, units: np.ndarray | None = None) -> float:
    """How many times as often as negative pictures may come out positive that the model cannot have seen: the upper
    limit of their share of positive ones (Clopper and Pearson, one-sided, 99.9 %), as odds, or that of their signed
    ranks if it is larger, as it is where large differences are more often positive than small ones. Never below 1.

    units: as in `mirror_test`; the same of signs that each unit has one of, if it is larger.
    """
    ways = [None] if units is None else [None, units]
    return max(_odds_of(reference, way) for way in ways)


def _odds_of(reference: np.ndarray, units: np.ndarray | None) -> float:
    n, n_positive = signs_of(reference, units)
    if not n:
        return MOST_ODDS
    high = clopper_pearson(n_positive, n, 1 - 2 * DOUBT)[1]
    counted = min(MOST_ODDS, max(1.0, high / (1 - high))) if high < 1 else MOST_ODDS
    return max(counted, least_odds_against(reference, DOUBT, units))


def named_by_sign(suspects: np.ndarray, odds: float, units: np.ndarray | None = None) -> np.ndarray:
    """q-values of the suspects, float64 (m,): those of the knockoff filter. Of pictures that belong together one has a
    part in it, the first, and NaN is that of the others."""
    first = np.ones(len(suspects), bool) if units is None else units == np.arange(len(units))
    q = np.full(len(suspects), np.nan)
    q[first] = knockoff_q(suspects[first], odds)
    return q
