"""Suspects as a set: the part that stands out, how many it takes, all attacks together, unseen against unseen."""

import hashlib

import numpy as np
import pytest
from scipy.stats import beta, norm

from trainedon.evidence import Scores, audit_table
from trainedon.evidence.protocol.cdi import cdi
from trainedon.evidence.protocol.controls import unseen_control
from trainedon.evidence.protocol.member_share import member_share
from trainedon.evidence.protocol.power import pictures_needed
from trainedon.evidence.protocol.rules import STANDARD_1, STANDARD_2
from trainedon.evidence.statistics.pvalues import Deals, permutation_test, smallest_p


def table(shift, m=40, n=120, attacks=3, seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for name, count, by in (("suspect", m, shift), ("unseen", n, 0.0)):
        for i, values in enumerate(rng.normal(by, 1, (count, attacks))):
            digest = hashlib.sha256(f"{name}{i}".encode()).hexdigest()
            same = {"picture": f"{i}", "set": name, "sha256": digest}
            rows += [same | {"score": float(x), "attack": f"a{k}"} for k, x in enumerate(values)]
    return Scores.from_rows(rows)


@pytest.mark.parametrize("used", [0.0, 0.25, 0.5, 1.0])
def test_the_interval_of_the_part_holds_it(used):
    rng = np.random.default_rng(int(100 * used))
    held, above = 0, 0
    for _ in range(150):
        suspects = rng.normal(size=60) + 4 * (np.arange(60) < round(60 * used))
        found = member_share(suspects, rng.normal(size=100), rng.normal(size=100))
        held += found.ci[0] <= used <= found.ci[1]
        above += found.ci[0] > used
        assert found.ci[0] <= found.estimate <= found.ci[1]
    assert held / 150 >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 150)
    assert above / 150 <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 150)


def test_the_lower_end_of_the_part_holds_although_used_pictures_score_like_others():
    rng = np.random.default_rng(1)
    low = [
        member_share(
            np.where(np.arange(80) < 40, rng.normal(0.5, 1, 80), rng.normal(size=80)), *rng.normal(size=(2, 100))
        ).ci[0]
        for _ in range(100)
    ]
    assert max(low) <= 0.5
    assert member_share(np.array([]), np.ones(3), np.ones(3)) is None
    assert member_share(np.ones(3), np.ones(1), np.array([])) is None


def test_part_by_hand():
    found = member_share(np.array([0.0, 9, 9, 9]), np.arange(10.0), np.arange(10.0) - 0.5, cautious=False)
    # One of four suspects lies below each threshold; below the highest, t = 8, lie nine of ten unseen pictures. That is
    # the estimate since all lower ends are 0 here.
    assert found.estimate == pytest.approx(1 - 0.25 / 0.9)
    assert found.ci[0] == 0
    cautious = member_share(np.array([0.0, 9, 9, 9]), np.arange(10.0), np.arange(10.0) - 0.5)
    assert cautious.ci == found.ci
    # its ends are those of intervals at 1 / 3: a third of the chance lies beyond each
    assert cautious.estimate == pytest.approx(1 - beta.isf(1 / 3, 2, 3) / beta.ppf(1 / 3, 9, 2))


@pytest.mark.parametrize(("shift", "n"), [(0.5, 200), (1.0, 60)])
def test_as_many_as_needed_find_the_effect_in_about_four_cases_of_five(shift, n):
    effect = float(norm.cdf(shift / np.sqrt(2)))
    found = pictures_needed(effect, n, 0.01)
    rng = np.random.default_rng(2)
    for m, other in ((found.suspects, n), (found.each, found.each)):
        p = [permutation_test(rng.normal(shift, 1, m), rng.normal(size=other), Deals(499)).p_value for _ in range(200)]
        assert 0.68 < np.mean(np.array(p) < 0.01) < 0.92


def test_needed_says_when_no_number_would_do():
    assert pictures_needed(0.5, 100, 0.01).suspects is None
    assert pictures_needed(0.4, 100, 0.01).each is None
    few = pictures_needed(0.6, 30, 0.01)  # thirty unseen pictures cannot carry it, whatever the number of suspects
    assert (few.suspects, few.each is not None) == (None, True)
    certain = pictures_needed(1.0, 20, 0.01)
    assert smallest_p(certain.suspects, 20) < 0.01
    assert smallest_p(certain.each, certain.each) < 0.01


def test_cdi_sees_more_than_each_attack_alone():
    found = audit_table(table(0.4, m=60, n=120, attacks=6, seed=3))
    assert found.cdi.p_value <= 0.001
    assert found.cdi.effect > max(attack.set.effect for attack in found.attacks)
    assert (found.cdi.n_suspects, found.cdi.n_unseen, len(found.cdi.attacks)) == (60, 120, 6)
    assert found.cdi.effect_ci[0] < found.cdi.effect < found.cdi.effect_ci[1]
    assert found.cdi.p_value_holm == pytest.approx(
        1e-4 * (1 + sum(attack.set.p_value > 1e-4 for attack in found.attacks))
    )


@pytest.mark.parametrize("repeats", [40, pytest.param(100, marks=pytest.mark.slow)])
def test_cdi_is_valid(repeats):
    p = np.array([cdi(table(0, attacks=4, seed=seed), STANDARD_2).p_value for seed in range(repeats)])
    assert np.mean(p <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / repeats)


def test_cdi_needs_two_attacks_and_twenty_pictures_a_side():
    assert cdi(table(1, attacks=1), STANDARD_2) is None
    assert cdi(table(1, m=19), STANDARD_2) is None
    assert audit_table(table(1, attacks=1)).cdi is None


def test_the_claim_speaks_of_cdi_when_it_leads():
    strong = table(1.5)
    found = audit_table(strong, lead="cdi")
    assert (found.lead, found.claim.level) == ("cdi", 2)  # no pictures, so no control
    assert f"{found.cdi.p_value_holm:.2g}" in found.claim.because
    assert audit_table(strong).lead == "a0"
    few = audit_table(table(1.5, m=10), lead="cdi")
    assert (few.claim.level, few.cdi) == (0, None)
    with pytest.raises(ValueError, match="lead"):
        audit_table(strong, lead="second")


@pytest.mark.parametrize("repeats", [50, pytest.param(150, marks=pytest.mark.slow)])
def test_unseen_against_unseen_finds_nothing(repeats):
    rng = np.random.default_rng(4)
    p = np.array([unseen_control(*rng.normal(size=(2, 30)), Deals(999)).p_value for _ in range(repeats)])
    assert np.mean(p <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / repeats)


def test_unseen_against_unseen_finds_a_fault():
    rng = np.random.default_rng(4)
    for by in (2, -2):
        found = unseen_control(rng.normal(size=30), rng.normal(by, 1, 30))
        assert found.finds and found.p_value < 0.001
    assert unseen_control(np.ones(3), np.ones(4)).finds is None
    assert unseen_control(np.array([]), np.ones(4)).p_value is None


def test_a_control_that_finds_something_stops_the_claim_and_is_flagged():
    from trainedon.evidence.table.split import calibration_mask

    scores = table(3, attacks=1)
    unseen = scores.sample(scores.attacks[0], "unseen")
    first = {row.picture for row, calibrates in zip(unseen.rows, calibration_mask(unseen.rows)) if calibrates}
    rows = [r._asdict() | {"score": r.score - 2 * (r.set == "unseen" and r.picture in first)} for r in scores.rows]
    found = audit_table(Scores.from_rows(rows))
    assert found.attacks[0].unseen_control.finds
    assert "unseen-differ" in [flag.code for flag in found.flags]
    assert "unseen pictures differ from unseen pictures" in found.claim.because


def test_cdi_needs_the_control_of_every_attack():
    from trainedon.evidence.table.split import calibration_mask

    scores = table(3, attacks=2)
    unseen = scores.sample(scores.attacks[1], "unseen")
    first = {row.picture for row, calibrates in zip(unseen.rows, calibration_mask(unseen.rows)) if calibrates}
    odd = [r.attack == "a1" and r.set == "unseen" and r.picture in first for r in scores.rows]
    rows = [r._asdict() | {"score": r.score - 2 * shifted} for r, shifted in zip(scores.rows, odd)]
    assert "unseen pictures differ" not in audit_table(Scores.from_rows(rows)).claim.because
    assert "unseen pictures differ" in audit_table(Scores.from_rows(rows), lead="cdi").claim.because


def test_ties_between_the_sets_are_counted_and_flagged():
    rows = [
        {"picture": f"{i}", "set": name, "score": float(i % 3)} for name in ("suspect", "unseen") for i in range(30)
    ]
    found = audit_table(Scores.from_rows(rows))
    assert found.attacks[0].n_tied == 60
    assert "ties" in [flag.code for flag in found.flags]
    assert "ties" not in [flag.code for flag in audit_table(table(0)).flags]


@pytest.mark.parametrize("used", [0.0, 0.25])
def test_the_estimated_part_is_too_high_in_less_than_half_of_cases(used):
    rng = np.random.default_rng(7)
    found = [
        member_share(rng.normal(size=40) + 4 * (np.arange(40) < 40 * used), *rng.normal(size=(2, 60))).estimate
        for _ in range(200)
    ]
    assert np.mean(np.array(found) > used) < 0.5
    assert np.mean(found) < used + 0.04


@pytest.mark.slow
def test_cdi_claims_nothing_where_suspects_score_lower_in_every_attack():
    found = audit_table(table(-0.6, m=60, n=120, attacks=4), lead="cdi")
    assert (found.claim.level, found.cdi.p_value > 0.2, found.cdi.opposite < 0.01) == (1, True, True)
    assert "score lower" in found.claim.sentence
    higher = audit_table(table(0.6, m=60, n=120, attacks=4), lead="cdi")
    assert higher.cdi.opposite > 0.2
    assert audit_table(table(-0.6, m=60, n=120), lead="cdi", rules=STANDARD_1).cdi.opposite is None
