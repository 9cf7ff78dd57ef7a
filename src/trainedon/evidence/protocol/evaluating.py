"""From a table of scores to `evaluation.json`."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from trainedon.evidence.protocol import blind as baseline
from trainedon.evidence.protocol import flags
from trainedon.evidence.protocol.agreement import agreement
from trainedon.evidence.protocol.circumstances import UNKNOWN, Circumstances
from trainedon.evidence.protocol.conditioning import conditioning_control
from trainedon.evidence.protocol.controls import duplicates
from trainedon.evidence.protocol.counterparts import control_models, sensitivity
from trainedon.evidence.protocol.documents import (
    AttackEvaluation,
    Evaluation,
    Rate,
)
from trainedon.evidence.protocol.draw import Draw, check_draw
from trainedon.evidence.protocol.one_run import one_run
from trainedon.evidence.protocol.prompts import evaluated
from trainedon.evidence.protocol.rules import STANDARD_2, Rules
from trainedon.evidence.protocol.sides import common, halves
from trainedon.evidence.protocol.verdict import verdict
from trainedon.evidence.statistics import roc, thresholds
from trainedon.evidence.statistics.intervals import CONFIDENCE, jointly
from trainedon.evidence.table.deduplicate import deduplicated
from trainedon.evidence.table.feature_table import FeatureTable
from trainedon.evidence.table.picture_table import Pictures
from trainedon.evidence.table.rows import AttackKey
from trainedon.evidence.table.scores import Scores


def evaluate_scores(members: ArrayLike, unseen: ArrayLike) -> Evaluation:
    """How much a model leaks, from one attack's scores alone: float (m,) and (n,), higher = member.

    That is `evaluate_table` of `Scores.from_arrays`; without the pictures there is no blind baseline.
    """
    return evaluate_table(Scores.from_arrays(member=members, unseen=unseen))


def evaluate_table(
    scores: Scores,
    pictures: Pictures | None = None,
    features: FeatureTable | None = None,
    draw: Draw | None = None,
    circumstances: Circumstances = UNKNOWN,
    rules: Rules = STANDARD_2,
) -> Evaluation:
    """How much a model leaks, from scores of members and unseen pictures.

    `pictures`: `pictures.parquet`, or its rows, for the blind baseline, near-duplicates and excluded pictures, or None.
    `features`: those of an encoder. `draw`: the coins that decided which pictures were used. `circumstances`: what is
    known of the model and its conditioning. `rules`: of which protocol. Suspects in the table are passed over.
    Raises UserError when members or unseen pictures are missing, and when the pictures are not those of the draw.
    """
    sets = ("member", "unseen")
    scores.require(*sets)
    randomised = None if draw is None else check_draw(draw, () if pictures is None else pictures, sets)
    every, listed = deduplicated(scores, sets, pictures, features)
    scores = every.without(circumstances.controls)
    attacks = tuple(
        _evaluate_attack(scores, attack, draw is not None, attack.repr in circumstances.learnt, rules)
        for attack in scores.attacks
    )
    control = conditioning_control(listed, sets, circumstances.conditioned_on)
    recaptioned = evaluated(every, circumstances.prompts, jointly(len(attacks)), rules)
    findings = baseline.run(listed, "member", features, circumstances.prompts is not None, rules)
    copies = duplicates(scores, listed)
    raised = (
        flags.of_controls(findings)
        + flags.of_inputs(scores, listed, sets)
        + flags.of_duplicates(copies)
        + (flags.of_captions(listed, sets) if circumstances.prompts is not None else [])
        + flags.of_conditioning(control)
        + flags.of_pixels(listed, sets, circumstances.rendering)
        + flags.of_model(circumstances.distilled)
        + flags.of_evaluation(attacks)
        + flags.of_added(attacks, circumstances.added)
        + flags.of_prompts({attack.repr: attack.auc_ci for attack in attacks}, recaptioned)
    )
    found = Evaluation(
        schema_version=rules.schema_version,
        protocol=rules.name,
        interval_level=CONFIDENCE,
        attacks=attacks,
        agreement=agreement(scores, attacks, rules),
        blind=findings.blind,
        duplicates=copies,
        randomised=randomised,
        prompt_controls=recaptioned,
        asked=control,
        control_models=control_models(every, circumstances.on_control, sets, rules, jointly(len(attacks))),
        sensitivity=sensitivity(every, circumstances.turned, sets, rules, jointly(len(attacks))),
        flags=tuple(raised),
    )
    return found.model_copy(update={"verdict": verdict(found)}) if rules.verdict else found


def _evaluate_attack(scores: Scores, attack: AttackKey, drawn: bool, learnt: bool, rules: Rules) -> AttackEvaluation:
    members, unseen = (scores.sample(attack, name) for name in ("member", "unseen"))
    parts = halves(unseen)
    level = jointly(len(scores.attacks))
    rates = {name: _rate(members.score, *parts, name, level) for name in thresholds.LEVELS}
    area, alone, points = None, None, np.empty((0, 2))
    if len(members) and len(unseen):
        widen = rules.learnt if learnt else 1.0
        area, alone = (
            roc.auc(members.score, unseen.score, level=level, widen=widen, one_more=rules.one_more)
            for level in (level, CONFIDENCE)
        )
        points = roc.curve(members.score, unseen.score)
    return AttackEvaluation(
        name=attack.name,
        repr=attack.repr,
        auc=area and area.value,
        auc_ci=area and area.interval,
        auc_ci_alone=alone and alone.interval,
        auc_ci_method=area and area.method,
        asr=roc.best_accuracy(points) if len(points) else None,
        tpr_at_fpr=rates,
        roc=tuple((x, y) for x, y in roc.thin(points).tolist()),
        n_members=len(members),
        n_unseen=len(unseen),
        n_calibration=len(parts[0]),
        n_evaluation=len(parts[1]),
        one_run=one_run(members, unseen) if drawn else None,
        **common(members, unseen, rules),
    )


def _rate(members: np.ndarray, calibration: np.ndarray, evaluation: np.ndarray, level: str, joint: float) -> Rate:
    n, enough = len(calibration) + len(evaluation), thresholds.unseen_needed(level)
    counted = thresholds.tpr_at_fpr(members, calibration, evaluation, level)
    note = None
    if counted is None:
        note = f"not estimable (n = {n}, need {enough})" if n < enough else "not estimable (no member was scored)"
    return Rate(
        tpr=counted and counted.tpr,
        tpr_ci=counted and counted.tpr_ci(joint),
        tpr_ci_alone=counted and counted.tpr_ci(CONFIDENCE),
        fpr=counted and counted.fpr,
        fpr_ci=counted and counted.fpr_ci(joint),
        threshold=counted and counted.threshold,
        estimable=counted is not None,
        n=n,
        needed=enough,
        note=note,
    )
