"""What an audit measures, finding by finding; `auditing` makes claim and flags of that, by rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trainedon.evidence.protocol import blind
from trainedon.evidence.protocol.cdi import cdi
from trainedon.evidence.protocol.chirality_control import chirality
from trainedon.evidence.protocol.circumstances import Circumstances
from trainedon.evidence.protocol.claims import LEVEL
from trainedon.evidence.protocol.conditioning import conditioning_control
from trainedon.evidence.protocol.controls import duplicates
from trainedon.evidence.protocol.counterparts import control_models, sensitivity
from trainedon.evidence.protocol.documents import (
    AttackAudit,
    AuditPromptControl,
    Cdi,
    Chirality,
    ConditioningControl,
    Duplicates,
    MirrorTest,
    ModelControl,
    Randomised,
    Sensitivity,
    SetEvidence,
    SettledLists,
    SourceEvidence,
)
from trainedon.evidence.protocol.listed import Again, listed_before
from trainedon.evidence.protocol.member_share import member_share
from trainedon.evidence.protocol.mirror_test import DOUBT, TOGETHER, Copies, Tested, mirror_tests, named_by_sign
from trainedon.evidence.protocol.power import pictures_needed
from trainedon.evidence.protocol.prompts import audited
from trainedon.evidence.protocol.rules import Rules
from trainedon.evidence.protocol.sides import common, halves, set_test
from trainedon.evidence.protocol.source_evidence import NO_SET, Works, set_evidence, source_evidence, works_of
from trainedon.evidence.protocol.twins import TwinEvidence
from trainedon.evidence.statistics import pvalues, roc
from trainedon.evidence.statistics.intervals import jointly
from trainedon.evidence.table.codes import MISSING
from trainedon.evidence.table.feature_table import FeatureTable
from trainedon.evidence.table.mirrored_copies import handed_by_jpeg
from trainedon.evidence.table.picture_table import PictureTable
from trainedon.evidence.table.rows import AttackKey
from trainedon.evidence.table.scores import Sample, Scores
from trainedon.formats.run_record import BY_MIRROR, Lead

SETS = ("suspect", "unseen")


@dataclass(frozen=True, eq=False)
class AuditFindings:
    """All that can be found in the scores of suspects and unseen pictures; each is computed when first asked for.

    every: the scores, near-duplicates told apart, those of controls among them. listed: the inventory of the pictures,
    features: what an encoder sees in them; None where only scores were given. lead: which test the claim speaks of.
    circumstances: what is known of the model and its conditioning. randomised: the coins that decided about the
    pictures, checked. twins: the test of published copies, where there are any.
    """

    every: Scores
    listed: PictureTable | None
    features: FeatureTable | None
    lead: Lead
    circumstances: Circumstances
    rules: Rules
    randomised: Randomised | None
    twins: TwinEvidence | None

    @cached_property
    def scores(self) -> Scores:
        """Those of attacks, without the controls."""
        return self.every.without(self.circumstances.controls)

    @cached_property
    def suspects(self) -> Sample:
        """Under the first attack, which single pictures are judged by."""
        return self.scores.sample(self.scores.attacks[0], "suspect")

    @cached_property
    def unseen(self) -> Sample:
        """Under the first attack."""
        return self.scores.sample(self.scores.attacks[0], "unseen")

    @property
    def given_unseen(self) -> bool:
        """Whether there is any unseen picture, scored or not."""
        return self.scores.has("unseen")

    @property
    def by_mirror(self) -> bool:
        """Whether each suspect is compared with a view of itself."""
        return self.lead in BY_MIRROR

    @property
    def leading(self) -> str:
        """What the claim rests on where suspects are compared with unseen pictures: `cdi`, or the first attack."""
        return "cdi" if self.lead == "cdi" else self.scores.attacks[0].repr

    @cached_property
    def works(self) -> list[Works | None] | None:
        """Of each attack, where scores depend on whose work a picture is."""
        return works_of(self.scores) if self.rules.by_source else None

    @cached_property
    def sources(self) -> SourceEvidence | None:
        """By whose works labels are dealt for the first attack."""
        return source_evidence(self.works[0]) if self.works and self.works[0] else None

    @cached_property
    def _tests(self) -> tuple[list[SetEvidence], Cdi | None]:
        return _corrected_tests(self.scores, self.rules, self.works)

    @property
    def sets(self) -> list[SetEvidence]:
        """Suspects against unseen pictures under each attack, corrected for all tests."""
        return self._tests[0]

    @property
    def together(self) -> Cdi | None:
        """The test of all attacks together, corrected likewise."""
        return self._tests[1]

    @cached_property
    def attacks(self) -> tuple[AttackAudit, ...]:
        """What each attack says of the suspects."""
        return tuple(
            _audit_attack(self.scores, attack, test, self._mirror_of(attack.repr), self.rules)
            for attack, test in zip(self.scores.attacks, self.sets, strict=True)
        )

    @property
    def n_tests(self) -> int:
        """How many tests were made of the kind that the claim speaks of."""
        if self.by_mirror:
            return len(self.mirrors)
        return sum(test is not None and test.p_value is not None for test in (*self.sets, self.together))

    # each suspect against a view of itself

    @cached_property
    def copies(self) -> Copies:
        """Which pictures are mirrored copies of one another."""
        return Copies.found(self.listed if self.circumstances.null_views else None, self.features)

    @cached_property
    def mirrors(self) -> Mapping[str, Tested]:
        """The mirror test of each attack that has one, by its repr, and of all together."""
        return mirror_tests(self.every, self.circumstances, self.copies) if self.rules.mirrors else {}

    @property
    def led_by(self) -> Tested | None:
        """The mirror test that a claim by mirror speaks of."""
        return self.mirrors.get(TOGETHER if self.lead == "mirror-cdi" else self.scores.attacks[0].repr)

    @property
    def mirror(self) -> MirrorTest | None:
        """Its outcome."""
        return self.led_by and self.led_by.test

    @property
    def mirror_together(self) -> MirrorTest | None:
        """The outcome of that of all attacks."""
        return self._mirror_of(TOGETHER)

    def _mirror_of(self, name: str) -> MirrorTest | None:
        return self.mirrors[name].test if name in self.mirrors else None

    @cached_property
    def handed(self) -> Chirality | None:
        """Whether the suspects can be told from their mirror images without the model."""
        return chirality(self.listed, self.features) if self.mirror and self.mirror.view == "mirror" else None

    @cached_property
    def reference_handed(self) -> Chirality | None:
        """Whether pictures that were given as of their kind can be told too; asked where the suspects can be."""
        if not (self.handed and self.handed.finds and self.given_unseen):
            return None
        return chirality(self.listed, self.features, "unseen")

    @cached_property
    def by_jpeg(self) -> int:
        """How many suspects JPEG's grid sets apart from their mirror images."""
        return self._by_jpeg("suspect")[0]

    @property
    def reference_by_jpeg(self) -> bool:
        """Whether it does so with pictures that were given as of their kind, at least half as often."""
        (n, among), (n_unseen, unseen) = self._by_jpeg("suspect"), self._by_jpeg("unseen")
        return n_unseen > 0 and 2 * n_unseen * among >= n * unseen

    def _by_jpeg(self, name: str) -> tuple[int, int]:
        """How many pictures of a set JPEG's grid sets apart from their mirror images, and of how many."""
        size, listed = self.circumstances.size, self.listed
        if listed is None or size is None:
            return 0, 0
        return handed_by_jpeg(listed, size, name), int((listed.in_sets([name]) & listed.usable).sum())

    @cached_property
    def q_by_sign(self) -> np.ndarray | None:
        """q-values of the suspects, float64 (m,), by the signs of the first attack's scores; None where they are not
        compared with views of themselves, or signs hang together by whose work the pictures are."""
        mirror = self._mirror_of(self.scores.attacks[0].repr)
        if not self.by_mirror or mirror is None or (self.suspects.rows.column("source") != MISSING).any():
            return None
        return named_by_sign(self.suspects.score, mirror.odds, self.copies.units_of(self.suspects))

    # controls: what may explain a difference otherwise

    @cached_property
    def without_model(self) -> blind.Findings:
        """How the two sets differ by themselves."""
        captioned, by_source = self.circumstances.prompts is not None, self.works is not None
        return blind.run(self.listed, "suspect", self.features, captioned, self.rules, by_source)

    @cached_property
    def duplicates(self) -> Duplicates:
        """Pictures that another one stands for."""
        return duplicates(self.scores, self.listed)

    @cached_property
    def conditioning(self) -> ConditioningControl | None:
        """Whether the model was asked alike about both sets."""
        return conditioning_control(self.listed, SETS, self.circumstances.conditioned_on)

    @cached_property
    def recaptioned(self) -> tuple[AuditPromptControl, ...]:
        """Attacks with other captions than the pictures' own."""
        return audited(self.every, self.circumstances.prompts, jointly(len(self.scores.attacks)), self.rules)

    @cached_property
    def control_models(self) -> tuple[ModelControl, ...]:
        """Attacks on a model that cannot have seen any of the pictures."""
        level = jointly(len(self.scores.attacks))
        return control_models(self.every, self.circumstances.on_control, SETS, self.rules, level)

    @cached_property
    def mirrored(self) -> tuple[Sensitivity, ...]:
        """Attacks on mirrored or turned pictures."""
        return sensitivity(self.every, self.circumstances.turned, SETS, self.rules, jointly(len(self.scores.attacks)))

    @cached_property
    def listing(self) -> SettledLists | None:
        """When the lists of pictures were settled, and whether the finding outlasts a choice among scored ones."""
        again = None if self.works or self.lead == "cdi" else self._again()
        return listed_before(self.circumstances.listed, again, self.n_tests)

    def _again(self) -> Again | None:
        """The test of the claim, to be made with other suspects; None where that cannot be done."""
        if self.lead == "first":
            return Again.with_unseen(self.suspects, self.unseen, self.rules)
        if self.led_by is None:
            return None
        odds = self.led_by.test.odds
        return Again.with_signs(self.led_by.score, odds, 0.0 if self.led_by.test.odds_from == "assumed" else DOUBT)


def _corrected_tests(
    scores: Scores, rules: Rules, works: Sequence[Works | None] | None
) -> tuple[list[SetEvidence], Cdi | None]:
    """One set test an attack and one of all attacks together, their p-values corrected together. works: of each attack,
    where labels are dealt by whose works they are; there is no test of all attacks together then."""
    level = jointly(len(scores.attacks))
    if works is None:
        found = [_set_evidence(scores, attack, level, rules) for attack in scores.attacks]
        together = cdi(scores, rules)
    else:
        found, together = [set_evidence(one, level) for one in works], None
    every = [test for test in (*found, together) if test is not None and test.p_value is not None]
    corrected = iter(pvalues.holm(np.array([test.p_value for test in every])).tolist())
    found = [t if t.p_value is None else t.model_copy(update={"p_value_holm": next(corrected)}) for t in found]
    return found, together and together.model_copy(update={"p_value_holm": next(corrected)})


def _set_evidence(scores: Scores, attack: AttackKey, level: float, rules: Rules) -> SetEvidence:
    suspects, unseen = (scores.sample(attack, name) for name in SETS)
    if not (len(suspects) and len(unseen)):
        return NO_SET
    test = set_test(suspects, unseen, rules)
    effect = roc.auc(suspects.score, unseen.score, level=level, one_more=rules.one_more)
    return SetEvidence(
        p_value=test.p_value,
        p_value_holm=test.p_value,
        n_permutations=test.permutations,
        effect=effect.value,
        effect_ci=effect.interval,
        effect_ci_method=effect.method,
        needed=pictures_needed(effect.value, len(unseen), LEVEL),
        part=member_share(suspects.score, *halves(unseen), cautious=rules.cautious_share),
    )


def _audit_attack(
    scores: Scores, attack: AttackKey, evidence: SetEvidence, mirror: MirrorTest | None, rules: Rules
) -> AttackAudit:
    suspects, unseen = (scores.sample(attack, name) for name in SETS)
    return AttackAudit(
        name=attack.name,
        repr=attack.repr,
        set=evidence,
        mirror=mirror,
        n_suspects=len(suspects),
        n_unseen=len(unseen),
        **common(suspects, unseen, rules),
    )
