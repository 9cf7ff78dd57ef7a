"""Controls on another model and on mirrored pictures: what they see, what they miss, and what they leave of a claim."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from trainedon.evidence import Scores, audit_table, evaluate_table
from trainedon.evidence.protocol.circumstances import Circumstances
from trainedon.evidence.protocol.counterparts import LEVEL, beyond, detectable
from trainedon.evidence.protocol.obstacles import of_control_model, of_memory, of_sensitivity, rests_on
from trainedon.formats.run_record import ControlEntry

MODEL, MIRRORED = "OnControl(A)", "Turned(A)"


def table(first, unseen, name="suspect"):
    """first, unseen: attack -> scores."""
    rows = [
        {"picture": f"{kind} {i}", "set": kind, "attack": attack, "attack_repr": attack, "score": score}
        for kind, attacks in ((name, first), ("unseen", unseen))
        for attack, scores in attacks.items()
        for i, score in enumerate(scores)
    ]
    return Scores.from_rows(rows)


def audited(suspects, unseen):
    told = Circumstances(
        on_control={MODEL: ControlEntry(of="A", model="0" * 64)},
        turned={MIRRORED: ControlEntry(of="A", change="mirror")},
    )
    return audit_table(table(suspects, unseen), circumstances=told)


def drawn(seed, memory, shift, m=40, n=200):
    """Suspects and unseen pictures that differ by `shift` for every model, and by `memory` for the audited one."""
    rng = np.random.default_rng(seed)
    sides = []
    for count, apart, known in ((m, shift, memory), (n, 0, 0)):
        difficulty = rng.normal(apart, 1, count)
        scores = {name: difficulty + rng.normal(0, 0.5, count) for name in ("A", MODEL, MIRRORED)}
        scores["A"] += known
        sides.append(scores)
    return sides


def test_what_the_control_model_finds_too_caps_the_claim_and_memory_does_not():
    shifted, remembered = audited(*drawn(0, 0, 1)), audited(*drawn(0, 2, 0))
    (one,), (other,) = shifted.control_models, remembered.control_models
    assert one.finds and one.caps and one.p_value < LEVEL
    assert other.finds is False and not other.caps and other.left_p_value < 0.001
    assert other.left > remembered.set.effect, "difficulty that both models see is taken off"
    assert (one.n_pictures, one.n_unseen, one.of, one.attack) == (40, 200, "A", "A")


def test_a_claim_that_rests_on_the_attack_meets_an_obstacle():
    shifted, remembered = audited(*drawn(7, 0, 1)), audited(*drawn(7, 2, 0))
    assert "on the control model too" in of_control_model(shifted.control_models, "A").because
    assert "on mirrored pictures too" in of_sensitivity(shifted.sensitivity, "A").because
    assert of_control_model(shifted.control_models, "cdi") is None, "it rests on something else"
    for document in (remembered, audit_table(table(*drawn(7, 0, 1)))):
        assert of_control_model(document.control_models, "A") is None
        assert of_sensitivity(document.sensitivity, "A") is None


def test_controls_are_no_attacks_and_enter_no_correction():
    suspects, unseen = drawn(1, 2, 0)
    alone = audit_table(table({"A": suspects["A"]}, {"A": unseen["A"]}))
    beside = audited(suspects, unseen)
    assert beside.attacks == alone.attacks and beside.cdi is None and beside.set == alone.set
    assert not alone.control_models and not alone.sensitivity and "sensitivity" not in alone.model_dump_json()


def test_the_difference_to_a_counterpart_knows_no_labels():
    suspects, unseen = drawn(4, 1, 0.5)
    pooled = {name: np.concatenate([suspects[name], unseen[name]]) for name in suspects}
    both = [beyond(one, [(one.attacks[0], one.attacks[1])]) for one in (table(suspects, unseen), table({}, pooled))]
    dealt, together = (np.sort(one.columns.score) for one in both)
    np.testing.assert_allclose(dealt, together, atol=1e-12)
    assert [key.repr for key in both[0].attacks] == ["A"]


@pytest.mark.parametrize(("m", "n"), [(20, 60), (40, 200), (150, 150)])
def test_four_of_five_differences_of_the_detectable_size_are_found(m, n):
    """Noether's formula against the test by ranks, on logistic shifts, where it is nearly exact."""
    effect = detectable(m, n)
    assert effect is not None
    rng = np.random.default_rng(m)
    shift = _shift_of(effect)
    found = sum(
        mannwhitneyu(rng.logistic(shift, 1, m), rng.logistic(0, 1, n), alternative="greater").pvalue < LEVEL
        for _ in range(400)
    )
    assert 0.72 < found / 400 < 0.88


def _shift_of(effect):
    """The shift of a logistic variable that gives this AUC: P(X + d > Y) = (1 - e^-d (1 + d)) / (1 - e^-d)^2 with the
    roles of 1 and e^-d, solved by bisection."""
    low, high = 1e-6, 5.0
    for _ in range(60):
        middle = (low + high) / 2
        q = np.exp(middle)
        low, high = (middle, high) if (q * (q - 1 - middle)) / (q - 1) ** 2 < effect else (low, middle)
    return low


def test_too_few_pictures_could_have_shown_nothing():
    assert detectable(1, 5) is None and detectable(0, 100) is None
    assert detectable(40, 200) < detectable(20, 200) < detectable(5, 200)


def test_what_is_found_on_mirrored_pictures_too_caps_the_claim():
    shifted, remembered = audited(*drawn(5, 0, 1)), audited(*drawn(5, 2, 0))
    assert [(one.change, one.caps) for one in shifted.sensitivity] == [("mirror", True)]
    assert [(one.finds, one.caps) for one in remembered.sensitivity] == [(False, False)]


def test_an_evaluation_tells_the_same_of_its_members():
    suspects, unseen = drawn(6, 2, 0)
    told = Circumstances(on_control={MODEL: ControlEntry(of="A", model="0" * 64)}, turned={})
    document = evaluate_table(table(suspects, unseen, "member").without({MIRRORED}), circumstances=told)
    assert [one.repr for one in document.attacks] == ["A"] and document.control_models[0].finds is False


def test_a_control_that_says_the_same_of_every_picture_says_nothing_and_takes_nothing_from_the_mirror():
    suspects, unseen = drawn(8, 0, 1)
    for side in (suspects, unseen):
        side[MODEL] = np.zeros(len(side[MODEL]))
    found = audited(suspects, unseen)
    assert found.control_models[0].finds is None
    (obstacle,) = of_memory(found.control_models, found.sensitivity, "A", due=True)
    assert obstacle.because.startswith("a difference is found on mirrored pictures")


def test_a_silent_control_model_speaks_for_a_model_that_was_trained_on_mirrored_copies_and_it_is_said():
    suspects, unseen = drawn(9, 2, 0)
    suspects[MIRRORED] += 2
    found = audited(suspects, unseen)
    assert found.sensitivity[0].caps
    assert of_memory(found.control_models, found.sensitivity, "A", due=True) == []
    told = rests_on(found.blind, found.control_models, found.sensitivity, "A")
    assert "shows no such difference (one of AUC" in told
    assert "trained on mirrored copies" in told


def unlike(seed):
    """As `drawn` with memory alone, and a control model that takes pictures in its own way."""
    suspects, unseen = drawn(seed, 2, 0)
    rng = np.random.default_rng(seed + 100)
    for side in (suspects, unseen):
        side[MODEL] = rng.normal(size=len(side[MODEL]))
    return suspects, unseen


def test_the_silence_of_a_control_model_that_takes_pictures_otherwise_speaks_for_nobody():
    suspects, unseen = unlike(11)
    alone = audited(suspects, unseen)
    (control,) = alone.control_models
    assert control.finds is False and not control.caps and abs(control.alike) < 0.2
    assert of_memory(alone.control_models, alone.sensitivity, "A", due=True) == [], "mirrored pictures were asked too"
    told = rests_on(alone.blind, alone.control_models, alone.sensitivity, "A")
    assert "its silence says little. Mirror images" in told
    suspects[MIRRORED] += 2
    both = audited(suspects, unseen)
    (obstacle,) = of_memory(both.control_models, both.sensitivity, "A", due=True)
    assert obstacle.because.startswith("a difference is found on mirrored pictures")
    assert "0.5 is asked for" in obstacle.because
    (obstacle,) = of_memory(alone.control_models, [], "A", due=True)
    assert "give one more alike" in obstacle.because


def test_how_far_a_control_model_goes_along_is_told_by_unseen_pictures_alone():
    suspects, unseen = drawn(12, 2, 0)
    first = audited(suspects, unseen).control_models[0].alike
    assert 0.7 < first < 0.9
    suspects[MODEL] = suspects[MODEL][::-1]
    assert audited(suspects, unseen).control_models[0].alike == first


def test_a_run_that_could_ask_nobody_claims_nothing_and_a_table_of_scores_is_not_held_to_it():
    (obstacle,) = of_memory([], [], "A", due=True)
    assert "give --control" in obstacle.because
    assert of_memory([], [], "A", due=False) == []


def test_controls_of_works_are_dealt_by_source_as_the_set_is():
    rng = np.random.default_rng(10)
    rows = [
        {"picture": f"{who} {i}", "set": "suspect" if who == 0 else "unseen", "attack": name, "attack_repr": name}
        | {"score": float(rng.normal()), "source": f"artist {who}"}
        for name in ("A", MODEL, MIRRORED)
        for who in range(26)
        for i in range(5)
    ]
    told = Circumstances(turned={MIRRORED: ControlEntry(of="A", change="mirror")})
    (one,) = audit_table(Scores.from_rows(rows).without([MODEL]), circumstances=told).sensitivity
    assert (one.p_value * 26) % 1 == pytest.approx(0, abs=1e-9) or (one.p_value * 26) % 1 == pytest.approx(1)
    assert one.caps is bool(one.finds), "of 26 ways to deal none could leave anything below 0.01"
