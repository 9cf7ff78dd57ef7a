"""Twins: of several copies of each picture a secret coin chose one to be published, and the others were kept.

Whatever the model, the attack and the kind of picture, a model that is independent of the coins scores the published
copy as if it had been drawn from all copies of its picture (Huang, Gong and Reiter, arXiv 2407.15100 and 2503.22413).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, ValidationError

from trainedon.errors import UserError
from trainedon.evidence.protocol.documents import Document, OneRun, TwinsTest
from trainedon.evidence.protocol.draw import SetAside
from trainedon.evidence.protocol.one_run import DELTA, best_bound, halvings
from trainedon.evidence.protocol.prompts import Controls
from trainedon.evidence.statistics.quade import chosen_test
from trainedon.evidence.statistics.sign_flip import knockoff_q
from trainedon.evidence.table.codes import MISSING
from trainedon.evidence.table.deduplicate import complete
from trainedon.evidence.table.picture_table import Pictures, batches
from trainedon.evidence.table.rows import SETS, AttackKey, Rows
from trainedon.evidence.table.scores import Scores
from trainedon.reading import json_of, read_bytes

LEVEL = 0.01
MOST_BYTES = 2**29  # of a `twins.json`, which has some 400 a picture
CHOOSE, COMMIT, GROUP = (f"trainedon/twins/{what}" for what in ("choose", "commitment", "picture"))
PUBLISHED, KEPT = "suspect", "kept"  # the sets that the copies of twins are in

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class TwinCopy(Document):
    """One copy of a picture. file: its path below the folder of published or of kept copies."""

    file: str
    sha256: Digest


class TwinnedPicture(Document):
    """One picture and its copies."""

    picture: str = Field(description="the name that the picture had")
    published: TwinCopy
    kept: Annotated[tuple[TwinCopy, ...], Field(min_length=1)]

    @property
    def digests(self) -> list[str]:
        """Of all copies, sorted, so that their order tells nothing."""
        return sorted(copy.sha256 for copy in (self.published, *self.kept))


class Twins(Document):
    """`twins.json`. Secret and digests give every choice again, so that a checker need not believe the list."""

    schema_version: Literal[1] = 1
    secret: str
    commitment: str
    made: str = Field(description="UTC")
    way: str = Field(description="how the copies differ: crop, turn, pattern or mirror")
    pictures: Annotated[tuple[TwinnedPicture, ...], Field(min_length=1)]
    set_aside: tuple[SetAside, ...]


def chosen_copy(secret: str, digests: Sequence[str]) -> int:
    """The place of the copy that is published, among the sorted `digests` of a picture's copies: 16 bytes of a hash of
    secret and digests, uniform and independent of other pictures for everybody who does not know the secret."""
    return int.from_bytes(_hash(CHOOSE, secret, *sorted(digests))[:16]) % len(digests)


def twins_commitment(secret: str, way: str, kept: int, groups: Iterable[Sequence[str]]) -> str:
    """What can be published before the secret: 64 hex digits, a hash of the secret, of how copies differ, of how many
    are kept, and of which digests belong together.

    groups: of each picture the digests of all copies, in any order.
    """
    hashes = sorted(_hash(GROUP, *sorted(group)).hex() for group in groups)
    return _hash(COMMIT, secret, way, str(kept), *hashes).hex()


def _hash(*parts: str) -> bytes:
    """SHA-256 of the SHA-256 of all parts, one after the other: as these have one length, no other parts give it."""
    return hashlib.sha256(b"".join(hashlib.sha256(part.encode()).digest() for part in parts)).digest()


def read_twins(path: Path) -> Twins:
    """Read `twins.json`. Raises UserError when it cannot be read, or does not follow from its own secret."""
    try:
        data = read_bytes(path, MOST_BYTES)
        json_of(data, path)  # refuses what different readers would read differently
        twins = Twins.model_validate_json(data)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error}); give the twins.json that `trainedon twins` wrote") from None
    except ValidationError:
        raise UserError(f"{path} tells of no twins; give the twins.json that `trainedon twins` wrote") from None
    groups = [picture.digests for picture in twins.pictures]
    digests = [digest for group in groups for digest in group]
    kept = len(twins.pictures[0].kept)
    right = twins.commitment == twins_commitment(twins.secret, twins.way, kept, groups) and all(
        picture.published.sha256 == group[chosen_copy(twins.secret, group)]
        for picture, group in zip(twins.pictures, groups, strict=True)
    )
    if not right or len({*digests}) < len(digests) or any(len(picture.kept) != kept for picture in twins.pictures):
        raise UserError(f"{path} does not follow from its secret: it was changed after the twins were made")
    return twins


def check_twins(twins: Twins, pictures: Pictures) -> None:
    """That the copies of a run are those of the twins, each in the set that its coin says. One that is missing is no
    error: its picture counts against a finding.

    pictures: `pictures.parquet` or its rows. Raises UserError for any other picture.
    """
    due = {picture.published.sha256: PUBLISHED for picture in twins.pictures}
    due |= {copy.sha256: KEPT for picture in twins.pictures for copy in picture.kept}
    found = 0
    for batch in batches(pictures, ("picture", "sha256", "set", "reason")):
        for name, digest, set_name, reason in zip(*(column.to_pylist() for column in batch.values()), strict=True):
            if reason:
                continue
            if digest not in due:
                raise UserError(f"{name} is none of the copies in twins.json, or was changed: give these as they were")
            if due[digest] != set_name:
                told = "was published" if due[digest] == PUBLISHED else "was kept"
                raise UserError(f"{name} {told}, as twins.json says: give the published copies alone")
            found += 1
    if not found:
        raise UserError("none of the copies in twins.json could be read: give the folder that holds publish and kept")


@dataclass(frozen=True)
class TwinScores:
    """Of each picture, in the order of `twins.json`, the scores of its copies: published float64 (n,), kept (n, k);
    NaN for one without a score."""

    published: np.ndarray
    kept: np.ndarray

    @classmethod
    def of(cls, twins: Twins, scores: Scores, attack: AttackKey) -> TwinScores:
        """scores: with the sets of both kinds of copies."""
        rows = scores.of_attack(attack)
        sets, values = rows.column("set"), rows.column("score")
        digests = rows.columns.digests.decode(rows.column("sha256"))
        known = {(str(d), SETS[s]): v for d, s, v in zip(digests, sets.tolist(), values.tolist(), strict=True)}
        return cls(
            np.array([known.get((one.published.sha256, PUBLISHED), np.nan) for one in twins.pictures]),
            np.array([[known.get((copy.sha256, KEPT), np.nan) for copy in one.kept] for one in twins.pictures]),
        )

    @property
    def whole(self) -> np.ndarray:
        """bool (n,): all copies have a score."""
        found: np.ndarray = np.isfinite(self.published) & np.isfinite(self.kept).all(axis=1)
        return found

    def p_values(self) -> np.ndarray:
        """float64 (n,): (1 + kept copies that score as high) / (1 + kept copies); NaN without all scores."""
        n_high = (self.kept >= self.published[:, None]).sum(axis=1)
        return np.where(self.whole, (1 + n_high) / (1 + self.kept.shape[1]), np.nan)

    def signed(self) -> np.ndarray:
        """float64 (n,): how far the best copy lies above the median of the others, negative where it is a kept one, or
        one as high; negative beyond all others without all scores."""
        values = np.sort(np.column_stack([self.published, self.kept])[self.whole], axis=1)
        size = values[:, -1] - np.median(values[:, :-1], axis=1)
        first = self.published[self.whole] > self.kept[self.whole].max(axis=1)
        found = np.full(len(self.published), -1 - size.max(initial=0.0))
        found[self.whole] = np.where(first, size, -size)
        return found

    def q_values(self) -> np.ndarray:
        """float64 (n,), NaN without all scores: those of the knockoff filter with several knockoffs (Gimenez and Zou,
        arXiv 1810.11378). A published copy that nothing was learnt from is the best of its picture in one case of
        k + 1, so that each picture whose best copy is a kept one stands for 1 / k wrongly named ones."""
        q = knockoff_q(self.signed(), odds=1 / self.kept.shape[1])
        return np.where(self.whole, q, np.nan)


@dataclass(frozen=True)
class TwinEvidence:
    """The test of an audit's first attack, and the p- and q-values of published copies, by digest."""

    test: TwinsTest
    p_values: Mapping[str, float]
    q_values: Mapping[str, float]

    @classmethod
    def of(cls, twins: Twins, scores: Scores, pictures: Pictures | None, on_control: Controls | None) -> TwinEvidence:
        """scores: the run's table, with the sets of both kinds of copies. pictures: `pictures.parquet` or its rows.
        on_control: which attacks of the table are controls on a model that cannot have seen the pictures.

        Raises UserError as `check_twins`.
        """
        check_twins(twins, () if pictures is None else pictures)
        scores = complete(scores.of_sets(PUBLISHED, KEPT), () if pictures is None else pictures, (PUBLISHED, KEPT))
        first = scores.attacks[0]
        controls = {name for name, entry in (on_control or {}).items() if entry.of == first.repr}
        control = next((key for key in scores.attacks if key.repr in controls), None)
        found = TwinScores.of(twins, scores, first)
        elsewhere = None if control is None else TwinScores.of(twins, scores, control)
        digests = [picture.published.sha256 for picture in twins.pictures]
        return cls(
            twins_test(found, twins.commitment, elsewhere),
            dict(zip(digests, found.p_values().tolist(), strict=True)),
            dict(zip(digests, found.q_values().tolist(), strict=True)),
        )

    def of_rows(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """p- and q-values of published copies, float64 (n,) each; NaN for none."""
        digests = [str(digest) for digest in rows.columns.digests.decode(rows.column("sha256"))]
        p, q = ([known.get(digest, np.nan) for digest in digests] for known in (self.p_values, self.q_values))
        return np.array(p), np.array(q)


def twins_test(scores: TwinScores, commitment: str, on_control: TwinScores | None = None) -> TwinsTest:
    """What the copies' scores say of the published ones as a set. commitment: of the coins. on_control: the scores on a
    model that cannot have seen any of the copies."""
    test = chosen_test(scores.published, scores.kept)
    whole, k = scores.whole, scores.kept.shape[1]
    return TwinsTest(
        commitment=commitment,
        n=len(whole),
        n_kept=k,
        n_whole=int(whole.sum()),
        n_first=test.n_first,
        expected_first=float(whole.sum() / (k + 1)),
        p_value=test.p_value,
        level=LEVEL,
        finds=test.p_value < LEVEL,
        control_p_value=None if on_control is None else chosen_test(on_control.published, on_control.kept).p_value,
        one_run=_one_run(scores) if k == 1 else None,
    )


def _one_run(scores: TwinScores) -> OneRun | None:
    """A lower bound on epsilon, where neighbours differ in which of two copies was used. The guess is that the copy
    with the higher score was published, for all pictures, the half with the largest differences, a quarter, ..., each
    at a level that makes all bounds hold at once (arXiv 2305.08846, theorem 5.2, as in `one_run`)."""
    signed = scores.signed()
    signed = signed[np.argsort(-np.abs(signed), kind="stable")]
    m = len(signed)
    tried = halvings(m)
    if not tried:
        return None
    return best_bound(m, tried, [int((signed[:r] > 0).sum()) for r in tried], (m, m), DELTA)


def with_all_counted(scores: Scores) -> Scores:
    """The scores with no near-duplicate left out: copies of a picture are near-duplicates of each other by design, and
    each picture has a coin of its own, whatever it looks like."""
    return Scores(replace(scores.columns, near=np.full(len(scores), MISSING, np.int32)))
