"""From a table of scores to `audit.json`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike

from trainedon.evidence.protocol import blind as baseline
from trainedon.evidence.protocol import flags
from trainedon.evidence.protocol import obstacles as hindrance
from trainedon.evidence.protocol.cdi import cdi
from trainedon.evidence.protocol.chirality_control import chirality
from trainedon.evidence.protocol.circumstances import UNKNOWN, Circumstances
from trainedon.evidence.protocol.claims import LEVEL, claim, claim_by_mirror, claim_by_twins
from trainedon.evidence.protocol.conditioning import conditioning_control
from trainedon.evidence.protocol.controls import duplicates
from trainedon.evidence.protocol.counterparts import control_models, sensitivity
from trainedon.evidence.protocol.documents import (
    AttackAudit,
    Audit,
    Cdi,
    Claim,
    MirrorTest,
    PictureEvidence,
    SetEvidence,
    UnseenControl,
)
from trainedon.evidence.protocol.draw import Draw, check_draw
from trainedon.evidence.protocol.listed import Again, listed_before, of_earlier
from trainedon.evidence.protocol.member_share import member_share
from trainedon.evidence.protocol.mirror_test import DOUBT, TOGETHER, Copies, Tested, mirror_tests, named_by_sign
from trainedon.evidence.protocol.power import pictures_needed
from trainedon.evidence.protocol.prompts import audited
from trainedon.evidence.protocol.rules import STANDARD_2, Rules
from trainedon.evidence.protocol.sides import common, halves, set_test
from trainedon.evidence.protocol.source_evidence import NO_SET, Works, set_evidence, source_evidence, works_of
from trainedon.evidence.protocol.twins import TwinEvidence, Twins, with_all_counted
from trainedon.evidence.statistics import pvalues, roc
from trainedon.evidence.statistics.intervals import jointly
from trainedon.evidence.table.codes import MISSING
from trainedon.evidence.table.deduplicate import deduplicated
from trainedon.evidence.table.feature_table import FeatureTable
from trainedon.evidence.table.lazy import LazySequence
from trainedon.evidence.table.picture_table import Pictures
from trainedon.evidence.table.rows import AttackKey, Rows, none_for_nan
from trainedon.evidence.table.scores import Sample, Scores
from trainedon.formats.run_record import BY_MIRROR, Lead

FALSE_DISCOVERY_RATE = 0.05
QUANTILES = ("0", "0.01", "0.05", "0.25", "0.5", "0.75", "0.95", "0.99", "1")
LEADS: tuple[Lead, ...] = get_args(Lead)


def audit_scores(suspects: ArrayLike, unseen: ArrayLike | None = None) -> Audit:
    """What one attack's scores say of suspects, float (m,), higher = member, beside unseen pictures, float (n,).

    That is `audit_table` of `Scores.from_arrays`; without the pictures there is no blind baseline.
    """
    return audit_table(Scores.from_arrays(suspect=suspects, unseen=unseen))


def audit_table(
    scores: Scores,
    pictures: Pictures | None = None,
    features: FeatureTable | None = None,
    draw: Draw | None = None,
    lead: Lead = "first",
    circumstances: Circumstances = UNKNOWN,
    rules: Rules = STANDARD_2,
    twins: Twins | None = None,
) -> Audit:
    """Whether suspect pictures were used, from their scores and those of unseen pictures (which may be missing).

    `pictures`, `features`, `circumstances`: as in `evaluate_table`; without pictures there is no blind baseline, and no
    claim above level 2.
    `draw`: the coins that decided which pictures the model was given, if the suspects are those that were included.
    `lead`: whether the claim speaks of the `first` attack against unseen pictures, of `cdi`, the test of all attacks
    together, of `mirror`, the signs of the first attack's scores, or of `twins`. `rules`: of which protocol. `twins`:
    the coins that decided which copies of the pictures were published; the suspects are these.
    Members in the table are passed over. Raises UserError when there is no suspect, and when the pictures are not those
    of the draw or of the twins.
    """
    if lead not in LEADS:
        raise ValueError(f"lead {lead!r}: use one of {', '.join(LEADS)}")
    sets = ("suspect", "unseen")
    scores.require("suspect")
    randomised = None if draw is None else check_draw(draw, () if pictures is None else pictures, sets)
    twinned = None if twins is None else TwinEvidence.of(twins, scores, pictures, circumstances.on_control)
    every, listed = deduplicated(scores, sets, pictures, features)
    every = with_all_counted(every) if twinned else every
    scores = every.without(circumstances.controls)
    works = works_of(scores) if rules.by_source else None
    tests, together = _tests(scores, rules, works)
    attacks = tuple(_audit_attack(scores, *pair, rules) for pair in zip(scores.attacks, tests))
    suspects, unseen = (scores.sample(scores.attacks[0], name) for name in sets)
    control = conditioning_control(listed, sets, circumstances.conditioned_on)
    recaptioned = audited(every, circumstances.prompts, jointly(len(attacks)), rules)
    findings = baseline.run(listed, "suspect", features, circumstances.prompts is not None, rules, works is not None)
    copies = duplicates(scores, listed)
    given_unseen = scores.has("unseen")
    by_mirror = lead in BY_MIRROR
    both_ways = Copies.found(listed if circumstances.null_views else None, features)
    mirrors = mirror_tests(every, circumstances, both_ways) if rules.mirrors else {}
    attacks = tuple(
        one.model_copy(update={"mirror": mirrors[one.repr].test}) if one.repr in mirrors else one for one in attacks
    )
    tested = mirrors.get(TOGETHER if lead == "mirror-cdi" else attacks[0].repr)
    mirror, all_together = tested and tested.test, mirrors.get(TOGETHER)
    handed = chirality(listed, features) if mirror and mirror.view == "mirror" else None
    by_sign = _named(suspects, attacks[0].mirror, both_ways) if by_mirror else None
    rows, n_named = _picture_evidence(suspects, unseen, by_sign, twinned)
    sources = source_evidence(works[0]) if works and works[0] else None
    raised = (
        (
            flags.of_mirror(attacks, all_together and all_together.test, handed, listed, circumstances.size)
            if by_mirror
            else flags.of_controls(findings)
        )
        + flags.of_inputs(scores, listed, sets)
        + flags.of_duplicates(copies)
        + (flags.of_captions(listed, sets) if circumstances.prompts is not None else [])
        + ([] if by_mirror else flags.of_conditioning(control))
        + flags.of_pixels(listed, sets, circumstances.rendering)
        + flags.of_model(circumstances.distilled)
        + ([] if by_mirror else flags.of_audit(attacks, together, given_unseen))
        + flags.of_listing(circumstances.listed)
        + flags.of_added(attacks, circumstances.added)
        + flags.of_sources(sources)
        + flags.of_prompts({attack.repr: attack.set.effect_ci for attack in attacks}, recaptioned)
    )
    if twinned:
        raised = [one for one in raised if one.code not in flags.OF_UNSEEN]
    leading = lead if lead == "cdi" else scores.attacks[0].repr
    made = (
        len(mirrors) if by_mirror else sum(test is not None and test.p_value is not None for test in (*tests, together))
    )
    listing = listed_before(
        circumstances.listed, None if works or lead == "cdi" else _again(lead, suspects, unseen, tested, rules), made
    )
    elsewhere = control_models(every, circumstances.on_control, sets, rules, jointly(len(attacks)))
    mirrored = sensitivity(every, circumstances.turned, sets, rules, jointly(len(attacks)))
    said: Claim
    if twinned:
        against_twins = [*filter(None, [hindrance.of_twins(twinned.test, LEVEL)])]
        asked, earlier = listing.asked if listing else 0, of_earlier(listing, corrected=True)
        said = claim_by_twins(twinned.test, against_twins, asked=asked, besides=earlier)
    elif by_mirror:
        like = chirality(listed, features, "unseen") if handed and handed.finds and given_unseen else None
        chosen = hindrance.of_listing(listing, LEVEL, hindrance.CHOSEN_MIRROR)
        conditioned = hindrance.of_asked_view(mirror, circumstances.conditioned_on)
        against = (hindrance.of_chirality(handed, mirror, like), conditioned, chosen)
        said = claim_by_mirror(
            mirror, [*filter(None, against)], suspects=len(suspects), tests=len(mirrors), besides=of_earlier(listing)
        )
    else:
        due = bool(rules.turned) and circumstances.turned is not None
        compared = (findings.blind.n_pictures, findings.blind.n_unseen)
        obstacles = (
            hindrance.of_unseen(_control(attacks if lead == "cdi" else attacks[:1])),
            hindrance.of_conditioning(control),
            hindrance.of_blind(findings.blind),
            hindrance.of_listing(listing, LEVEL),
            hindrance.of_control_model(elsewhere, leading),
            # coins deal both ways of a difference: what a model knows of mirror images, too, and what few pictures miss
            *([] if randomised else hindrance.of_memory(elsewhere, mirrored, leading, due=due)),
            hindrance.of_power(*compared) if rules.needs_power and not randomised and all(compared) else None,
        )
        said = claim(
            together if lead == "cdi" else tests[0],
            [*filter(None, obstacles)],
            suspects=len(suspects),
            unseen=len(unseen),
            given_unseen=given_unseen,
            tests=made,
            # a picture of the draw that has no score could have been left out for what it would have said
            randomised=randomised is not None and not any(attack.n_not_scored for attack in attacks),
            rules=rules,
            rests_on=hindrance.rests_on(findings.blind, elsewhere, mirrored, leading) if rules.tells_assumption else "",
            besides=of_earlier(listing),
            sources=sources,
        )
    return Audit(
        schema_version=rules.schema_version,
        protocol=rules.name,
        claim=said,
        lead=lead if by_mirror or lead == "twins" else leading,
        set=tests[0],
        cdi=together,
        false_discovery_rate=FALSE_DISCOVERY_RATE,
        n_named=n_named if len(unseen) or by_sign is not None or twinned else None,
        pictures=rows,
        unseen_score_quantiles=_quantiles(unseen.score),
        attacks=attacks,
        blind=findings.blind,
        duplicates=copies,
        mirror=mirror,
        mirror_together=all_together and all_together.test,
        chirality=handed,
        twins=twinned.test if twinned else None,
        randomised=randomised,
        prompt_controls=recaptioned,
        asked=control,
        listing=listing,
        sources=sources,
        control_models=elsewhere,
        sensitivity=mirrored,
        flags=tuple(raised),
    )


def _named(suspects: Sample, mirror: MirrorTest | None, copies: Copies) -> np.ndarray | None:
    """q-values of the mirror test; None where it says nothing of single pictures, as of those whose signs hang together
    by whose work they are."""
    if mirror is None or (suspects.rows.column("source") != MISSING).any():
        return None
    return named_by_sign(suspects.score, mirror.odds, copies.units_of(suspects))


def _again(lead: Lead, suspects: Sample, unseen: Sample, tested: Tested | None, rules: Rules) -> Again | None:
    """The test of the claim, to be made with other suspects; None where that cannot be done."""
    if lead == "first":
        return Again.with_unseen(suspects, unseen, rules)
    if tested is None:
        return None
    return Again.with_signs(tested.score, tested.test.odds, 0.0 if tested.test.odds_from == "assumed" else DOUBT)


def _control(attacks: Sequence[AttackAudit]) -> UnseenControl:
    """The control that most nearly fails, of the attacks that a claim rests on."""
    return min((attack.unseen_control for attack in attacks), key=lambda c: 1 if c.p_value is None else c.p_value)


def _tests(scores: Scores, rules: Rules, works: Sequence[Works | None] | None) -> tuple[list[SetEvidence], Cdi | None]:
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
    suspects, unseen = (scores.sample(attack, name) for name in ("suspect", "unseen"))
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


def _audit_attack(scores: Scores, attack: AttackKey, evidence: SetEvidence, rules: Rules) -> AttackAudit:
    suspects, unseen = (scores.sample(attack, name) for name in ("suspect", "unseen"))
    return AttackAudit(
        name=attack.name,
        repr=attack.repr,
        set=evidence,
        n_suspects=len(suspects),
        n_unseen=len(unseen),
        **common(suspects, unseen, rules),
    )


def _picture_evidence(
    suspects: Sample, unseen: Sample, by_sign: np.ndarray | None, twinned: TwinEvidence | None = None
) -> tuple[LazySequence[PictureEvidence], int]:
    """Every suspect, the highest score first, those without a score last, and how many of them are named. One that a
    near-duplicate stands for has no p-value: unseen pictures of its kind were left out in the same way, and it would be
    compared with other kinds. by_sign: q-values of the mirror test, in place of those of the unseen pictures.
    twinned: with those against kept copies, likewise."""
    n, scored = len(suspects), len(suspects) + len(suspects.copies)
    rows = Rows(
        suspects.rows.columns,
        np.concatenate([suspects.rows.indices, suspects.copies.indices, suspects.unscored.indices]),
    )
    p, q = np.full((2, len(rows)), np.nan)
    if twinned is not None:
        p[:n], q[:n] = twinned.of_rows(suspects.rows)
    elif by_sign is not None:
        q[:n] = by_sign
    elif n and len(unseen):
        p[:n] = pvalues.conformal_p(suspects.score, unseen.score)
        q[:n] = pvalues.benjamini_hochberg(p[:n])
    order = np.arange(len(rows))
    order[:scored] = np.lexsort((rows.column("picture")[:scored], -rows.column("score")[:scored]))
    columns = rows.columns.take(rows.indices[order])  # without those of the unseen pictures
    listing = _listing(Rows(columns, np.arange(len(columns), dtype=np.int32)), p[order], q[order])
    return listing, int((q <= FALSE_DISCOVERY_RATE).sum())


def _listing(rows: Rows, p: np.ndarray, q: np.ndarray) -> LazySequence[PictureEvidence]:
    """The rows with their p- and q-values, NaN where there is none."""

    def made(part: slice) -> list[PictureEvidence]:
        return [
            PictureEvidence(
                picture=row.picture,
                sha256=row.sha256,
                score=row.score,
                p_value=p_value,
                q_value=q_value,
                near=row.near,
                reason=row.reason,
            )
            for row, p_value, q_value in zip(rows[part], none_for_nan(p[part]), none_for_nan(q[part]), strict=True)
        ]

    return LazySequence(PictureEvidence, len(rows), made)


def _quantiles(score: np.ndarray) -> dict[str, float]:
    """Quantiles that are scores themselves; empty without scores."""
    if not len(score):
        return {}
    return {name: float(np.quantile(score, float(name), method="inverted_cdf")) for name in QUANTILES}
