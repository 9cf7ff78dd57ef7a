"""Works of one artist against those of others: scores depend on whose work a picture is, and labels are dealt by that.

Where the suspects' own sources have unseen pictures too, such as works that an artist has never published, pictures are
dealt within their source: the best comparison that there is. Elsewhere whole sources are dealt.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from trainedon.evidence.protocol.documents import SetEvidence, SourceEvidence
from trainedon.evidence.statistics import by_source, roc
from trainedon.evidence.table.codes import MISSING
from trainedon.evidence.table.rows import Rows, picture_ids
from trainedon.evidence.table.scores import Sample, Scores
from trainedon.evidence.table.split import seed_of

NO_SET = SetEvidence(
    p_value=None,
    p_value_holm=None,
    n_permutations=None,
    effect=None,
    effect_ci=None,
    effect_ci_method=None,
    needed=None,
    part=None,
)


@dataclass(frozen=True)
class Works:
    """The pictures of one attack with their sources, in the order suspects, unseen. Columns are (n,)."""

    kind: by_source.Kind
    score: npt.NDArray[np.float64]
    is_suspect: npt.NDArray[np.bool_]
    source: npt.NDArray[np.int64]
    seed: int

    @classmethod
    def of(cls, suspects: Sample, unseen: Sample) -> Works | None:
        """None without pictures on either side. A picture that has no source is one by itself."""
        if not len(suspects) or not len(unseen):
            return None
        rows = Rows(suspects.rows.columns, np.concatenate([suspects.rows.indices, unseen.rows.indices]))
        named = rows.column("source") != MISSING
        is_suspect = np.arange(len(rows)) < len(suspects)
        alone = -2 - (2 * rows.column("picture").astype(np.int64) + is_suspect)
        source = np.where(named, rows.column("source"), alone)
        return cls(
            kind=by_source.kind_of(source[is_suspect], source[~is_suspect]),
            score=rows.column("score"),
            is_suspect=is_suspect,
            source=source,
            seed=seed_of(picture_ids(suspects.rows), picture_ids(unseen.rows)),
        )

    @property
    def counts(self) -> npt.NDArray[np.bool_]:
        """Which pictures have a part in the test: (n,)."""
        both = by_source.shared(self.is_suspect, self.source)
        return both if self.kind == "within" else self.is_suspect | ~both

    @cached_property
    def test(self) -> by_source.SourceTest | None:
        """The test of the set; None where labels cannot be dealt."""
        made = by_source.within_test if self.kind == "within" else by_source.between_test
        among = self.counts
        return made(self.score[among], self.is_suspect[among], self.source[among], self.seed)


def set_evidence(works: Works | None, level: float) -> SetEvidence:
    """The test of the set by sources. The effect is the AUC of the pictures in it; between sources its interval is as
    much wider as Kish's design effect has it, 1 + (n - 1) r, for the mean source of a picture and the intra-class
    correlation r; within them it is that of `auc_within`. Neither power nor a share of the suspects is told."""
    test = None if works is None else works.test
    if works is None or test is None:
        return NO_SET
    among = works.counts
    score, first, source = works.score[among], works.is_suspect[among], works.source[among]
    effect: roc.Auc | by_source.WithinAuc | None
    if works.kind == "within":
        effect = by_source.auc_within(score, first, source, level)
    else:
        effect = roc.auc(score[first], score[~first], level=level, widen=by_source.design_effect(score, source) ** 0.5)
    return SetEvidence(
        p_value=test.p_value,
        p_value_holm=test.p_value,
        n_permutations=test.deals,
        effect=effect and effect.value,
        effect_ci=effect and effect.interval,
        effect_ci_method=effect and effect.method,
        needed=None,
        part=None,
    )


def source_evidence(works: Works) -> SourceEvidence:
    """What the test by sources rests on."""
    among, test = works.counts, works.test
    source, first = works.source[among], works.is_suspect[among]
    return SourceEvidence(
        by=works.kind,
        n_suspect_sources=len(np.unique(source[first])),
        n_unseen_sources=len(np.unique(source[~first])),
        n_suspects=int(first.sum()),
        n_unseen=int((~first).sum()),
        n_left_out=int((~among).sum()),
        intraclass=by_source.intraclass_of_ranks(works.score, works.source),
        p_value=test and test.p_value,
        smallest_p=test and test.smallest,
        deals=test and test.deals,
        exact=test and test.exact,
    )


def works_of(scores: Scores) -> list[Works | None] | None:
    """The works of each attack, None for one without scores on either side; None where no picture has a source."""
    if (scores.columns.source == MISSING).all():
        return None
    return [Works.of(scores.sample(attack, "suspect"), scores.sample(attack, "unseen")) for attack in scores.attacks]
