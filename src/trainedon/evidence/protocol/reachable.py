"""Which claim can be reached with what is given: said before anything is scored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainedon.evidence.protocol import blind, blind_by_source, cdi
from trainedon.evidence.protocol.claims import FOUND, LEVEL
from trainedon.evidence.protocol.detectable import too_weak
from trainedon.evidence.protocol.mirror_test import ASSUMED, DOUBT, REMEDY
from trainedon.evidence.protocol.obstacles import FEWEST_HANDED
from trainedon.evidence.protocol.rules import CURRENT
from trainedon.evidence.statistics import by_source
from trainedon.evidence.statistics.pvalues import smallest_p
from trainedon.evidence.statistics.sign_flip import fewest_signs


@dataclass(frozen=True)
class SourcesGiven:
    """Whose works there are. by: how labels are dealt. suspects, unseen: how many sources; alike: how many unseen ones
    have about as many pictures as the suspects' smallest. ways: to deal the labels."""

    by: by_source.Kind
    suspects: int
    unseen: int
    alike: int
    ways: int

    @classmethod
    def of(cls, suspects: Sequence[str | None], unseen: Sequence[str | None]) -> SourcesGiven | None:
        """The source of each picture; None where none has any. A picture without one is one by itself."""
        if not any(suspects) and not any(unseen):
            return None
        named = [of or f"\0{i}" for i, of in enumerate((*suspects, *unseen))]
        source = np.unique(np.array(named), return_inverse=True)[1]
        m, k = len(suspects), int(source.max()) + 1
        first, other = (np.bincount(part, minlength=k) for part in (source[:m], source[m:]))
        both = (first > 0) & (other > 0)
        if by_source.kind_of(source[:m], source[m:]) == "within":
            ways = math.prod(math.comb(a + b, a) for a, b in zip(first[both].tolist(), other[both].tolist()))
            return cls("within", int((first > 0).sum()), int((other > 0).sum()), int(both.sum()), ways)
        mine, others = first[first > 0], other[(other > 0) & ~both]
        alike = int((others >= blind_by_source.LIKE * mine.min()).sum())
        return cls("between", len(mine), len(others), alike, math.comb(len(mine) + len(others), len(mine)))

    @classmethod
    def alone(cls, suspects: Sequence[str | None]) -> SourcesGiven | None:
        """Of suspects that are compared with nothing but views of themselves; None where none has a source."""
        named = {of or f"\0{i}" for i, of in enumerate(suspects)}
        return cls("between", len(named), 0, 0, 1) if any(suspects) else None

    @classmethod
    def one_against(cls, others: int) -> SourcesGiven:
        """One artist's works against those of so many others."""
        return cls("between", 1, others, others, others + 1)

    @property
    def smallest_p(self) -> float:
        """What a test can reach at best."""
        return max(1 / max(1, self.ways), 1 / (1 + by_source.DEALS))


@dataclass(frozen=True)
class Given:
    """What an audit has to work with. suspects, unseen: usable pictures. attacks: how many. pictures: whether there are
    any, and not scores alone. sources: whose works they are, where that is known. drawn: whether coins decided which
    pictures the model was given. by_mirror: whether each picture is compared with its own mirror image, and `bounded`:
    whether other pictures of the kind, or a control model, say how far chance goes there. checked: whether the program
    can look for itself whether such pictures are handed, as it cannot in other views and with classes or captions.
    mirrorable: whether mirrored pictures, or a control model, can be asked for a difference that is no memory.
    together: whether the claim is that of all attacks together (`cdi.cdi`)."""

    suspects: int
    unseen: int
    attacks: int = 1
    pictures: bool = True
    sources: SourcesGiven | None = None
    drawn: bool = False
    by_mirror: bool = False
    bounded: bool = False
    checked: bool = True
    mirrorable: bool = True
    together: bool = False

    @property
    def tests(self) -> int:
        """How many p-values are corrected for one another."""
        together = self.attacks > 1 and min(self.suspects, self.unseen) >= cdi.FEWEST and self.sources is None
        return self.attacks + together


@dataclass(frozen=True)
class Reachable:
    """The highest claim that any outcome could give. because: what stands in the way of a higher one, as sentences
    that say what would help."""

    level: int
    because: tuple[str, ...]
    by_mirror: bool = False

    @property
    def sentence(self) -> str:
        """In words."""
        if not self.because:
            grade = f"{self.level}m" if self.by_mirror else str(self.level)
            return f"A claim of level {grade} can be reached with this."
        return f"No claim above level {self.level} can be reached with this. {' '.join(self.because)}"


def reachable(given: Given) -> Reachable:
    """The highest level that the claim of an audit can have, whatever the scores will be."""
    if given.by_mirror:
        return _by_mirror(given)
    if not given.unseen:
        return Reachable(1, ("There are no unseen pictures to compare with: give --unseen.",))
    if given.together and (why := _no_test_together(given)):
        return Reachable(0, (why,))
    smallest = max(smallest_p(given.suspects, given.unseen), 1 / (1 + CURRENT.deals.permutations))
    if given.sources is not None:
        smallest = given.sources.smallest_p
    if given.suspects < 1 or given.tests * smallest >= LEVEL:
        return Reachable(0, (_too_few(given),))
    because = [why for why in (_unchecked(given),) if why]
    return Reachable(2 if because else FOUND + given.drawn, tuple(because))


def _by_mirror(given: Given) -> Reachable:
    """The same where pictures are compared with their mirror images."""
    units, what = given.suspects, "suspects"
    if given.sources is not None:
        units, what = given.sources.suspects, "sources of suspects"
    level = LEVEL / given.attacks - (DOUBT if given.bounded else 0.0)
    least = fewest_signs(level, ASSUMED) if level > 0 else math.inf
    if units < least:
        tests = f"{given.attacks} attacks" if given.attacks > 1 else "one attack"
        much = f"{least} are needed with {tests}" if least < math.inf else f"name fewer than {given.attacks} attacks"
        return Reachable(
            0, (f"{units} {what} cannot give a p-value below {LEVEL} beside mirror images: {much}; give more.",)
        )
    if not given.bounded and not given.checked:
        because = "Whether the pictures are as likely in that view, asked with a class or caption, cannot be looked at"
        return Reachable(2, (f"{because}: give {REMEDY}.",))
    if not given.bounded and given.suspects < FEWEST_HANDED:
        return Reachable(
            2,
            (
                f"Whether pictures can be told from their mirror images is seen from {FEWEST_HANDED} on, and there are "
                f"{given.suspects}: give more, or {REMEDY}.",
            ),
        )
    return Reachable(FOUND, (), by_mirror=True)


def _no_test_together(given: Given) -> str | None:
    """Why there will be no test of all attacks together, if so."""
    if given.sources is not None:
        return "No test of all attacks together weighs whose works the pictures are: name one attack first."
    if min(given.suspects, given.unseen) < cdi.FEWEST:
        return (
            f"A test of all attacks together needs {cdi.FEWEST} pictures a side, and there are {given.suspects} "
            f"suspects and {given.unseen} unseen pictures: give more, or name one attack first."
        )
    return None


def _too_few(given: Given) -> str:
    tests = f"{given.tests} tests" if given.tests > 1 else "one test"
    sources = given.sources
    if sources is None:
        return (
            f"{given.suspects} suspects and {given.unseen} unseen pictures cannot give a p-value below {LEVEL} with "
            f"{tests}: give more pictures, or name fewer attacks."
        )
    if sources.by == "within":
        return f"The sources with pictures of both kinds have too few for {tests}: give more of them."
    needed = math.ceil(given.tests / LEVEL)
    mine = "One source" if sources.suspects == 1 else f"{sources.suspects} sources"
    return (
        f"{mine} of suspects against {sources.unseen} others cannot give a p-value below {LEVEL} "
        f"with {tests}: one against others needs {needed} of these; or give unseen works of the same source."
    )


def _unchecked(given: Given) -> str | None:
    """Why it could not be checked whether the sets differ by themselves, if so."""
    if not given.pictures:
        return "Scores alone do not show whether the two sets differ by themselves: give the pictures."
    if min(given.suspects, given.unseen) < blind.FEWEST:
        return f"The blind baseline needs {blind.FEWEST} pictures a side: give more."
    if given.sources and given.sources.by == "between" and given.sources.alike < blind_by_source.FEWEST_DEALS:
        return (
            f"The blind baseline needs {blind_by_source.FEWEST_DEALS} unseen sources with about as many pictures as "
            f"the suspects' one has, and there are {given.sources.alike}: give more works of each."
        )
    if not (given.mirrorable or given.drawn):
        return (
            "An attack that takes off its score of the mirror image cannot be asked about mirrored pictures: give "
            "--control."
        )
    if weak := too_weak(given.suspects, given.unseen):
        return f"{weak[:1].upper()}{weak[1:]}."
    return None
