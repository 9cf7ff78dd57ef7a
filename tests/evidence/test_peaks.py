"""What the study says of the peaks hypothesis, from scores to document and sentence."""

import hashlib
import json

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import ttest_1samp

from trainedon.errors import UserError
from trainedon.evidence import Scores, to_json
from trainedon.evidence.statistics.roc import auc
from trainedon.evidence.studies.peaks import Peaks, peaks
from trainedon.formats.run_record import StudyEntry

STUDY = [
    StudyEntry(repr=f"Rise(radius={radius})", kind="rise", move="noise", radius=radius, t=100) for radius in (0.1, 0.2)
] + [StudyEntry(repr="Curvature(t=50)", kind="curvature", move=None, radius=None, t=50)]


def rows(shifts, members=40, unseen=60, seed=0, **changed):
    """Scores of every measurement: unseen N(0, 1), members N(shift, 1)."""
    rng, made = np.random.default_rng(seed), []
    for entry, shift in zip(STUDY, shifts, strict=True):
        for name, n, centre in (("member", members, shift), ("unseen", unseen, 0.0)):
            for i, score in enumerate(rng.normal(centre, 1, n)):
                digest = hashlib.sha256(f"{name}{i}".encode()).hexdigest()
                made.append({"picture": f"{i:03}.png", "set": name, "sha256": digest, "score": float(score)})
                made[-1] |= {"attack": entry.kind, "attack_repr": entry.repr} | changed
    return made


def found(shifts, **options):
    return peaks(Scores.from_rows(rows(shifts, **options)), STUDY)


def test_members_on_sharper_peaks_are_seen_and_measured():
    document = found((2.0, 1.5, 0.0))
    first = document.measurements[0]
    assert (first.kind, first.move, first.radius, first.t) == ("rise", "noise", 0.1, 100)
    assert document.measurements[2].move is document.measurements[2].radius is None
    assert document.holds and not document.opposite
    assert first.auc > 0.85 and first.auc_ci[0] > 0.5 and first.p_value < 0.001
    assert document.sentence.startswith("In 2 of 3 measurements training pictures lie on sharper peaks than unseen")
    assert f"noise at radius 0.1 (timestep 100): in {100 * first.auc:.0f}\u00a0% of pairs" in document.sentence
    assert Peaks.model_validate_json(to_json(document)) == document
    assert "in more than 99\u00a0% of pairs" in found((3.9, 0.0, 0.0)).sentence


def test_means_medians_and_intervals_are_those_of_the_scores():
    table = rows((1.0, 0.0, 0.0))
    scores = np.array([row["score"] for row in table[:40]])
    level = peaks(Scores.from_rows(table), STUDY).measurements[0].member
    assert (level.n, level.mean, level.median) == (40, pytest.approx(scores.mean()), pytest.approx(np.median(scores)))
    np.testing.assert_allclose(level.mean_ci, ttest_1samp(scores, 0).confidence_interval(0.95))


def test_p_values_are_corrected_for_the_number_of_measurements():
    document = found((0.45, 0.3, 0.0))
    raw, holm = ([getattr(one, name) for one in document.measurements] for name in ("p_value", "p_value_holm"))
    assert holm[int(np.argmin(raw))] == pytest.approx(min(1.0, 3 * min(raw)))
    assert all(corrected >= plain for corrected, plain in zip(holm, raw))
    assert document.holds == (min(holm) < 0.01)


def test_the_intervals_of_the_auc_hold_together():
    table = rows((1.0, 0.0, 0.0))
    scores = [np.array([row["score"] for row in part]) for part in (table[:40], table[40:100])]
    found = peaks(Scores.from_rows(table), STUDY).measurements[0]
    assert found.auc_ci == pytest.approx(auc(*scores, level=1 - 0.05 / 3, one_more=False).interval)
    assert found.auc_ci[0] < auc(*scores).low


def test_nothing_is_said_where_nothing_is_seen():
    document = found((0.0, 0.0, 0.0))
    assert not document.holds and not document.opposite
    assert (
        document.sentence.startswith("None of 3 measurements") and "by more than chance explains" in document.sentence
    )


def test_the_hypothesis_is_seldom_confirmed_by_chance():
    assert sum(found((0.0, 0.0, 0.0), seed=seed).holds for seed in range(6)) <= 1


def test_the_opposite_is_told_apart_from_nothing():
    document = found((-2.0, 0.0, 0.0))
    assert document.opposite and not document.holds
    assert "in 1 of 3 it is the unseen ones that do." in document.sentence
    both = found((-2.0, 0.0, 2.0))
    assert both.opposite and both.holds
    assert both.sentence.startswith("In 1 of 3 measurements") and "in 1 of 3 it is the unseen ones" in both.sentence
    assert "The clearest is curvature (timestep 50)" in both.sentence


def test_a_number_that_does_not_exist_is_null():
    table = rows((1.0, 1.0, 1.0), members=1, unseen=30)
    table = [row | ({"score": None} if row["attack"] == "curvature" else {}) for row in table]
    document = peaks(Scores.from_rows(table), STUDY)
    alone, missing = document.measurements[0], document.measurements[2]
    assert alone.member.n == 1 and alone.member.mean is not None and alone.member.mean_ci is None
    assert missing.member.n == missing.unseen.n == 0
    assert missing.auc is missing.auc_ci is missing.p_value is missing.p_value_holm is missing.unseen.median is None
    nothing = peaks(Scores.from_rows([row | {"score": None} for row in table]), STUDY)
    assert not nothing.holds and nothing.sentence.startswith("Too few pictures could be scored")


def test_copies_excluded_pictures_suspects_and_other_attacks_do_not_count():
    table = rows((1.0, 0.0, 0.0))
    plain = peaks(Scores.from_rows(table), STUDY)
    copies = [row | {"picture": "zzz.png", "score": 99.0} for row in table if row["picture"] == "000.png"]
    others = [row | {"set": "suspect", "score": 99.0} for row in table if row["set"] == "member"]
    others += [row | {"attack_repr": "Loss()", "score": 99.0} for row in table if row["attack"] == "curvature"]
    assert peaks(Scores.from_rows(table + copies + others), STUDY) == plain
    inventory = [
        {key: row[key] for key in ("picture", "set", "sha256")}
        | {"reason": "cut short" if row["picture"] == "001.png" else None}
        | dict.fromkeys(("format", "mode", "width", "height", "bytes", "sharpness", "label"))
        for row in table[:100]
    ]
    counted = peaks(Scores.from_rows(table), STUDY, inventory).measurements[0]
    assert (counted.member.n, counted.unseen.n) == (39, 59)


def test_what_is_missing_is_said():
    table = rows((1.0, 0.0, 0.0))
    with pytest.raises(UserError, match="no picture in set 'unseen'"):
        peaks(Scores.from_rows([row for row in table if row["set"] == "member"]), STUDY)
    with pytest.raises(UserError, match=r"the scores lack Curvature\(t=50\), which belongs to the study"):
        peaks(Scores.from_rows([row for row in table if row["attack"] == "rise"]), STUDY)


def test_the_document_is_strict():
    text = json.loads(to_json(found((1.0, 0.0, 0.0))))
    with pytest.raises(ValidationError):
        Peaks.model_validate_json(json.dumps(text | {"verdict": "guilty"}))
