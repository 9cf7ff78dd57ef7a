"""Protocol "standard-1": from a table of scores to `evaluation.json` or `audit.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from trainedon.evidence import blind as baseline
from trainedon.evidence import flags, pvalues, roc, thresholds
from trainedon.evidence.agreement import agreement
from trainedon.evidence.claims import claim
from trainedon.evidence.documents import (
    AttackAudit,
    AttackEvaluation,
    Audit,
    Evaluation,
    PictureEvidence,
    Rate,
    SetEvidence,
    Unscored,
)
from trainedon.evidence.scores import (
    AttackKey,
    Row,
    Sample,
    Scores,
    complete,
    count_reasons,
    without_duplicates,
)
from trainedon.evidence.split import calibration_mask

FALSE_DISCOVERY_RATE = 0.05
QUANTILES = ("0", "0.01", "0.05", "0.25", "0.5", "0.75", "0.95", "0.99", "1")
NO_SET = SetEvidence(
    p_value=None,
    p_value_holm=None,
    n_permutations=None,
    effect=None,
    effect_ci=None,
    effect_ci_method=None,
)
Pictures = Sequence[Mapping[str, object]]


def evaluate(scores: Scores, pictures: Pictures | None = None) -> Evaluation:
    """How much a model leaks, from scores of members and unseen pictures.

    `pictures`: rows of `pictures.parquet`, for the blind baseline and to count excluded pictures; None without them.
    Suspects in the table are passed over. Raises UserError when members or unseen pictures are missing.
    """
    sets = ("member", "unseen")
    scores.require(*sets)
    scores = _prepared(scores, pictures, sets)
    attacks = tuple(_evaluate_attack(scores, attack) for attack in scores.attacks)
    findings = baseline.run(pictures, "member")
    raised = flags.of_controls(findings) + flags.of_inputs(scores, pictures, sets) + flags.of_evaluation(attacks)
    return Evaluation(
        attacks=attacks,
        agreement=agreement(scores, attacks),
        blind=findings.blind,
        flags=tuple(raised),
    )


def _evaluate_attack(scores: Scores, attack: AttackKey) -> AttackEvaluation:
    members, unseen = (scores.sample(attack, name) for name in ("member", "unseen"))
    calibrates = calibration_mask(unseen.rows)
    halves = unseen.score[calibrates], unseen.score[~calibrates]
    rates = {level: _rate(members.score, *halves, level) for level in thresholds.LEVELS}
    area, points = None, np.empty((0, 2))
    if len(members) and len(unseen):
        area, points = roc.auc(members.score, unseen.score), roc.curve(members.score, unseen.score)
    return AttackEvaluation(
        name=attack.name,
        repr=attack.repr,
        auc=area and area.value,
        auc_ci=area and area.interval,
        auc_ci_method=area and area.method,
        asr=roc.best_accuracy(points) if len(points) else None,
        tpr_at_fpr=rates,
        roc=tuple((x, y) for x, y in roc.thin(points).tolist()),
        n_members=len(members),
        n_unseen=len(unseen),
        n_calibration=len(halves[0]),
        n_evaluation=len(halves[1]),
        **_costs(members, unseen),
    )


def _rate(members: np.ndarray, calibration: np.ndarray, evaluation: np.ndarray, level: str) -> Rate:
    n, needed = len(calibration) + len(evaluation), thresholds.needed(level)
    counted = thresholds.count(members, calibration, evaluation, level)
    note = None
    if counted is None:
        note = f"not estimable (n = {n}, need {needed})" if n < needed else "not estimable (no member was scored)"
    return Rate(
        tpr=counted and counted.tpr,
        tpr_ci=counted and counted.tpr_ci,
        fpr=counted and counted.fpr,
        fpr_ci=counted and counted.fpr_ci,
        threshold=counted and counted.threshold,
        estimable=counted is not None,
        n=n,
        needed=needed,
        note=note,
    )


def audit(scores: Scores, pictures: Pictures | None = None) -> Audit:
    """Whether suspect pictures were used, from their scores and those of unseen pictures (which may be missing).

    `pictures`: rows of `pictures.parquet`; without them there is no blind baseline, and no claim above level 2.
    Members in the table are passed over. Raises UserError when there is no suspect.
    """
    scores.require("suspect")
    sets = ("suspect", "unseen")
    scores = _prepared(scores, pictures, sets)
    evidence = _set_evidence(scores)
    attacks = tuple(_audit_attack(scores, *pair) for pair in zip(scores.attacks, evidence))
    suspects, unseen = (scores.sample(scores.attacks[0], name) for name in sets)
    findings = baseline.run(pictures, "suspect")
    rows = _picture_evidence(suspects, unseen)
    given_unseen = any(row.set == "unseen" for row in scores.rows)
    raised = (
        flags.of_controls(findings) + flags.of_inputs(scores, pictures, sets) + flags.of_audit(attacks, given_unseen)
    )
    counts = {"suspects": len(suspects), "unseen": len(unseen), "attacks": len(attacks)}
    return Audit(
        claim=claim(evidence[0], findings.blind, given_unseen=given_unseen, **counts),
        set=evidence[0],
        false_discovery_rate=FALSE_DISCOVERY_RATE,
        n_named=sum(_is_named(row) for row in rows) if len(unseen) else None,
        pictures=rows,
        unseen_score_quantiles=_quantiles(unseen.score),
        attacks=attacks,
        blind=findings.blind,
        flags=tuple(raised),
    )


def _set_evidence(scores: Scores) -> list[SetEvidence]:
    """One set test an attack, their p-values corrected together."""
    tests = []
    for attack in scores.attacks:
        suspects, unseen = (scores.sample(attack, name) for name in ("suspect", "unseen"))
        ready = len(suspects) and len(unseen)
        tests.append(pvalues.permutation_test(suspects.score, unseen.score) if ready else None)
    corrected = iter(pvalues.holm(np.array([test.p_value for test in tests if test])).tolist())
    return [
        SetEvidence(
            p_value=test.p_value,
            p_value_holm=next(corrected),
            n_permutations=test.permutations,
            effect=test.effect.value,
            effect_ci=test.effect.interval,
            effect_ci_method=test.effect.method,
        )
        if test
        else NO_SET
        for test in tests
    ]


def _audit_attack(scores: Scores, attack: AttackKey, evidence: SetEvidence) -> AttackAudit:
    suspects, unseen = (scores.sample(attack, name) for name in ("suspect", "unseen"))
    return AttackAudit(
        name=attack.name,
        repr=attack.repr,
        set=evidence,
        n_suspects=len(suspects),
        n_unseen=len(unseen),
        **_costs(suspects, unseen),
    )


def _picture_evidence(suspects: Sample, unseen: Sample) -> tuple[PictureEvidence, ...]:
    """Every suspect, the highest score first, those without a score last."""
    p: list[float | None] = [None] * len(suspects)
    q = p
    if len(suspects) and len(unseen):
        values = pvalues.conformal(suspects.score, unseen.score)
        p, q = values.tolist(), pvalues.benjamini_hochberg(values).tolist()
    rows = sorted(zip(suspects.rows, p, q), key=lambda item: (-item[0].score, item[0].picture))
    return tuple(_picture(row, p, q) for row, p, q in [*rows, *((row, None, None) for row in suspects.unscored)])


def _picture(row: Row, p: float | None, q: float | None) -> PictureEvidence:
    return PictureEvidence(
        picture=row.picture, sha256=row.sha256, score=row.score, p_value=p, q_value=q, reason=row.reason
    )


def _is_named(row: PictureEvidence) -> bool:
    return row.q_value is not None and row.q_value <= FALSE_DISCOVERY_RATE


def _quantiles(score: np.ndarray) -> dict[str, float]:
    """Quantiles that are scores themselves; empty without scores."""
    if not len(score):
        return {}
    return {name: float(np.quantile(score, float(name), method="inverted_cdf")) for name in QUANTILES}


def _prepared(scores: Scores, pictures: Pictures | None, sets: tuple[str, str]) -> Scores:
    scores = scores.of_sets(*sets)
    return without_duplicates(scores if pictures is None else complete(scores, pictures, sets))


def _costs(*samples: Sample) -> dict[str, object]:
    """What both kinds of attack record say of cost and of pictures without a score."""
    scored = [row for sample in samples for row in sample.rows]
    unscored = [row for sample in samples for row in sample.unscored]
    return {
        "nfe_per_picture": _mean([row.nfe for row in scored]),
        "seconds_per_picture": _mean([row.seconds for row in scored]),
        "n_not_scored": len(unscored),
        "not_scored": tuple(Unscored(reason=reason, n=n) for reason, n in count_reasons(unscored)),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
