"""From a table of scores to `audit.json`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike

from trainedon.evidence.protocol import flags
from trainedon.evidence.protocol import obstacles as hindrance
from trainedon.evidence.protocol.audit_findings import SETS, AuditFindings
from trainedon.evidence.protocol.circumstances import UNKNOWN, Circumstances
from trainedon.evidence.protocol.claims import LEVEL, claim, claim_by_mirror, claim_by_twins
from trainedon.evidence.protocol.documents import (
    AttackAudit,
    Audit,
    Claim,
    Flag,
    PictureEvidence,
    TwinsTest,
    UnseenControl,
)
from trainedon.evidence.protocol.draw import Draw, check_draw
from trainedon.evidence.protocol.listed import of_earlier
from trainedon.evidence.protocol.obstacles import Obstacle
from trainedon.evidence.protocol.rules import STANDARD_2, Rules
from trainedon.evidence.protocol.twins import TwinEvidence, Twins, with_all_counted
from trainedon.evidence.statistics import pvalues
from trainedon.evidence.table.deduplicate import deduplicated
from trainedon.evidence.table.feature_table import FeatureTable
from trainedon.evidence.table.lazy import LazySequence
from trainedon.evidence.table.picture_table import Pictures
from trainedon.evidence.table.rows import Rows, none_for_nan
from trainedon.evidence.table.scores import Scores
from trainedon.formats.run_record import Lead

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
    scores.require("suspect")
    randomised = None if draw is None else check_draw(draw, () if pictures is None else pictures, SETS)
    twinned = None if twins is None else TwinEvidence.of(twins, scores, pictures, circumstances.on_control)
    every, listed = deduplicated(scores, SETS, pictures, features)
    every = with_all_counted(every) if twinned else every
    found = AuditFindings(every, listed, features, lead, circumstances, rules, randomised, twinned)
    said, raised = _claim(found), tuple(_flags(found))
    suspects, unseen = found.suspects, found.unseen
    rows, n_named = _picture_evidence(found)  # after what takes memory, as it holds every suspect
    return Audit(
        schema_version=rules.schema_version,
        protocol=rules.name,
        claim=said,
        lead=lead if found.by_mirror or lead == "twins" else found.leading,
        set=found.sets[0],
        cdi=found.together,
        false_discovery_rate=FALSE_DISCOVERY_RATE,
        n_not_listed=len(suspects) + len(suspects.copies) + len(suspects.unscored) - len(rows),
        n_named=n_named if len(unseen) or found.q_by_sign is not None or twinned else None,
        pictures=rows,
        unseen_score_quantiles=_quantiles(unseen.score),
        attacks=found.attacks,
        blind=found.without_model.blind,
        duplicates=found.duplicates,
        mirror=found.mirror,
        mirror_together=found.mirror_together,
        chirality=found.handed,
        twins=twinned.test if twinned else None,
        randomised=randomised,
        prompt_controls=found.recaptioned,
        asked=found.conditioning,
        listing=found.listing,
        sources=found.sources,
        control_models=found.control_models,
        sensitivity=found.mirrored,
        flags=raised,
    )


def _flags(found: AuditFindings) -> list[Flag]:
    """What a reader must know, in the order in which it is told."""
    told, attacks, listed = found.circumstances, found.attacks, found.listed
    if found.by_mirror:
        compared = flags.of_mirror(attacks, found.mirror_together, found.handed, listed, found.by_jpeg)
    else:
        compared = flags.of_controls(found.without_model)
    raised = (
        compared
        + flags.of_inputs(found.scores, listed, SETS)
        + flags.of_duplicates(found.duplicates)
        + (flags.of_captions(listed, SETS) if told.prompts is not None else [])
        + ([] if found.by_mirror else flags.of_conditioning(found.conditioning))
        + flags.of_pixels(listed, SETS, told.rendering)
        + flags.of_model(told.distilled)
        + ([] if found.by_mirror else flags.of_audit(attacks, found.together, found.given_unseen))
        + flags.of_listing(told.listed)
        + flags.of_added(attacks, told.added)
        + flags.of_sources(found.sources)
        + flags.of_prompts({attack.repr: attack.set.effect_ci for attack in attacks}, found.recaptioned)
    )
    return [one for one in raised if not (found.twins and one.code in flags.OF_UNSEEN)]


def _claim(found: AuditFindings) -> Claim:
    if found.twins:
        return _claim_by_twins(found, found.twins.test)
    return _claim_by_mirror(found) if found.by_mirror else _claim_against_unseen(found)


def _claim_by_twins(found: AuditFindings, test: TwinsTest) -> Claim:
    """Published copies against kept ones."""
    against = _those(hindrance.of_twins(test, LEVEL))
    earlier = of_earlier(found.listing, corrected=True)
    return claim_by_twins(test, against, asked=found.listing.asked if found.listing else 0, besides=earlier)


def _claim_by_mirror(found: AuditFindings) -> Claim:
    """Each suspect against a view of itself."""
    against = _those(
        hindrance.of_chirality(found.handed, found.mirror, found.reference_handed),
        hindrance.of_jpeg(found.mirror, found.by_jpeg, found.reference_by_jpeg),
        hindrance.of_asked_view(found.mirror, found.circumstances.conditioned_on),
        hindrance.of_listing(found.listing, LEVEL, hindrance.CHOSEN_MIRROR),
    )
    n, earlier = len(found.suspects), of_earlier(found.listing)
    return claim_by_mirror(found.mirror, against, suspects=n, tests=found.n_tests, besides=earlier)


def _claim_against_unseen(found: AuditFindings) -> Claim:
    """Suspects against unseen pictures."""
    rules, leading, blind = found.rules, found.leading, found.without_model.blind
    models, mirrored, coins = found.control_models, found.mirrored, found.randomised is not None
    asked_for_turned = bool(rules.turned) and found.circumstances.turned is not None
    compared = (blind.n_pictures, blind.n_unseen)
    against = _those(
        hindrance.of_unseen(_worst_control(found.attacks if found.lead == "cdi" else found.attacks[:1])),
        hindrance.of_conditioning(found.conditioning),
        hindrance.of_blind(blind),
        hindrance.of_listing(found.listing, LEVEL),
        hindrance.of_control_model(models, leading),
        # coins deal both ways of a difference: what a model knows of mirror images, too, and what few pictures miss
        *([] if coins else hindrance.of_memory(models, mirrored, leading, due=asked_for_turned)),
        hindrance.of_power(*compared) if rules.needs_power and not coins and all(compared) else None,
    )
    return claim(
        found.together if found.lead == "cdi" else found.sets[0],
        against,
        suspects=len(found.suspects),
        unseen=len(found.unseen),
        given_unseen=found.given_unseen,
        tests=found.n_tests,
        # a picture of the draw that has no score could have been left out for what it would have said
        randomised=coins and not any(attack.n_not_scored for attack in found.attacks),
        rules=rules,
        rests_on=hindrance.rests_on(blind, models, mirrored, leading) if rules.tells_assumption else "",
        besides=of_earlier(found.listing),
        sources=found.sources,
    )


def _those(*obstacles: Obstacle | None) -> list[Obstacle]:
    return [one for one in obstacles if one is not None]


def _worst_control(attacks: Sequence[AttackAudit]) -> UnseenControl:
    """The control that most nearly fails, of the attacks that a claim rests on."""
    return min((attack.unseen_control for attack in attacks), key=lambda c: 1 if c.p_value is None else c.p_value)


def _picture_evidence(found: AuditFindings) -> tuple[LazySequence[PictureEvidence], int]:
    """The suspects, the highest score first, those without a score last, as far as they are listed, and how many of all
    are named: against kept copies, by the sign of their scores, or against unseen pictures. One that a near-duplicate
    stands for has no p-value: unseen pictures of its kind were left out in the same way, and it would be compared with
    other kinds."""
    suspects, unseen = found.suspects, found.unseen
    n, scored = len(suspects), len(suspects) + len(suspects.copies)
    rows = Rows(
        suspects.rows.columns,
        np.concatenate([suspects.rows.indices, suspects.copies.indices, suspects.unscored.indices]),
    )
    p, q = np.full((2, len(rows)), np.nan)
    if found.twins is not None:
        p[:n], q[:n] = found.twins.of_rows(suspects.rows)
    elif found.q_by_sign is not None:
        q[:n] = found.q_by_sign
    elif n and len(unseen):
        p[:n] = pvalues.conformal_p(suspects.score, unseen.score)
        q[:n] = pvalues.benjamini_hochberg(p[:n])
    order = np.arange(len(rows))
    order[:scored] = np.lexsort((rows.column("picture")[:scored], -rows.column("score")[:scored]))
    order = order[(np.arange(len(order)) < found.rules.listed) | (q[order] <= FALSE_DISCOVERY_RATE)]
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
