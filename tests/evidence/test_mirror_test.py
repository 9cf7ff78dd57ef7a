"""Claims without unseen pictures: every picture against its own mirror image."""

import numpy as np
import pytest

from trainedon.evidence import Circumstances, Scores, audit_table, to_json
from trainedon.evidence.protocol.mirror_test import ASSUMED, mirror_test, odds_of

MIRROR = Circumstances(null_views={"score": "mirror"})


def audited(suspects, unseen=None, lead="mirror"):
    return audit_table(Scores.from_arrays(suspect=suspects, unseen=unseen), lead=lead, circumstances=MIRROR)


def differences(n, shift, seed=0):
    return np.random.default_rng(seed).normal(shift, 1, n)


def test_training_pictures_are_found_and_named_without_any_other():
    found = audited(differences(120, 3))
    assert (found.claim.level, found.claim.assumption, found.lead) == (3, "mirror", "mirror")
    assert "mirror images" in found.claim.sentence
    assert found.n_named > 100
    assert all(picture.p_value is None for picture in found.pictures)
    assert found.mirror.odds == ASSUMED
    assert found.mirror.odds_from == "assumed"


def test_pictures_that_the_model_never_saw_are_not():
    levels = [audited(differences(40, 0, seed)).claim.level for seed in range(20)]
    assert levels == [1] * 20
    assert audited(differences(40, 0)).n_named == 0


def test_too_few_pictures_are_not_estimable():
    found = audited(np.arange(1.0, 12.0))
    assert found.claim.level == 0
    assert audited(np.arange(1.0, 13.0)).claim.level == 3


def test_a_kind_that_chance_favours_is_bounded_by_pictures_of_it_that_the_model_cannot_have_seen():
    handed = np.where(np.random.default_rng(1).random(500) < 0.88, 1, -1) * np.abs(differences(500, 0, 1))
    alone, bounded = audited(handed[:100]), audited(handed[:100], handed[100:])
    assert alone.claim.level == 3, "else the odds would not matter"
    assert bounded.claim.level == 1
    assert bounded.mirror.odds > 7
    assert bounded.mirror.n_reference == 400


def test_odds_are_the_upper_limit_of_what_a_reference_shows():
    even = np.tile([1.0, -1.0], 350)
    assert 1.2 < odds_of(even) < 1.35
    assert odds_of(even) < odds_of(even[:100])
    assert odds_of(-np.ones(1000)) == 1
    assert odds_of(np.zeros(5)) == ASSUMED


def test_the_test_of_unseen_pictures_stays_what_it_is_beside_it():
    suspects, unseen = differences(60, 2), differences(60, 0, 1)
    found = audited(suspects, unseen, lead="first")
    assert found.mirror is not None
    assert found.lead == "score"
    assert found.pictures[0].p_value is not None
    plain = audit_table(Scores.from_arrays(suspect=suspects, unseen=unseen))
    assert plain.mirror is None
    assert "mirror" not in to_json(plain)
    assert plain.claim == found.claim


def test_a_picture_that_is_its_own_mirror_image_has_no_sign():
    assert mirror_test(np.zeros(9)) is None
    found = audited(np.zeros(9))
    assert found.claim.level == 0
    assert mirror_test(np.array([0.0, 1.0, -1.0])).n == 2


def test_a_lead_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="lead"):
        audited(differences(5, 0), lead="mirrors")
