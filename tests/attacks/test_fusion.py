"""Rank average and logistic regression over several attacks."""

import hashlib

import numpy as np
import pytest

from trainedon.attacks import DRC, Cost, Loss, parse_attacks
from trainedon.attacks.core.crossfit import folds
from trainedon.attacks.core.execute import run, run_once
from trainedon.attacks.drc.drc_2 import DRC2
from trainedon.attacks.learned.fusion import Logistic, RankAverage
from trainedon.attacks.shadow.lira import LiRA
from trainedon.attacks.single.pfami import PFAMI
from trainedon.attacks.single.pia import PIA
from trainedon.attacks.wrappers.flip import Flip
from trainedon.errors import UserError


def digests(n):
    return tuple(hashlib.sha256(str(i).encode()).hexdigest() for i in range(n))


def test_rank_average_is_what_a_naive_loop_says():
    rng = np.random.default_rng(0)
    observed = rng.integers(0, 12, (90, 3)).astype(np.float64)  # many ties
    sets, names = ["member", "unseen", "unseen"] * 30, digests(90)
    fold = folds(names)
    for i, score in enumerate(RankAverage().conclude(observed, sets, names)):
        others = [j for j in range(90) if sets[j] == "unseen" and fold[j] != fold[i]]
        shares = []
        for a in range(3):
            below = sum(observed[j, a] < observed[i, a] for j in others)
            equal = sum(observed[j, a] == observed[i, a] for j in others)
            shares.append((below + equal / 2) / len(others))
        assert score == pytest.approx(np.mean(shares), rel=1e-12)


def test_rank_average_does_not_depend_on_the_attacks_scales():
    observed, sets = np.random.default_rng(0).normal(size=(60, 2)), ["unseen", "suspect"] * 30
    stretched = np.column_stack([np.exp(observed[:, 0]), 1e6 * observed[:, 1] ** 3])
    plain, other = (RankAverage().conclude(scores, sets, digests(60)) for scores in (observed, stretched))
    assert np.array_equal(plain, other)


def test_logistic_listens_to_the_attack_that_knows_and_turns_one_that_is_upside_down():
    rng = np.random.default_rng(0)
    sets = ["member", "unseen"] * 100
    member = np.array(sets) == "member"
    noise = rng.normal(size=(200, 2)) * [1e5, 1]
    observed = np.column_stack([noise[:, 0], noise[:, 1] - 3 * member])
    scores = Logistic().conclude(observed, sets, digests(200))
    assert (scores[member][:, None] > scores[~member]).mean() > 0.95


def test_logistic_is_not_carried_away_by_one_member_that_one_attack_gets_wildly_wrong():
    rng = np.random.default_rng(0)
    sets = ["member", "unseen"] * 50
    member = np.array(sets) == "member"
    observed = rng.normal(size=(100, 2)) + 2 * member[:, None]
    before = Logistic().conclude(observed, sets, digests(100))
    observed[0, 0] = -1000
    after = Logistic().conclude(observed, sets, digests(100))
    assert np.isfinite(after).all()
    kept = np.arange(100) != 0
    assert np.corrcoef(before[kept], after[kept])[0, 1] > 0.95


@pytest.mark.parametrize("kind", [RankAverage, Logistic])
def test_observations_are_the_scores_of_the_attacks_inside(kind, target, batch_of):
    batch, inside = batch_of(5), (Loss(), PIA(t=50), Loss(seed=1))
    observed = run(kind(inside), target, batch).scores
    for column, attack in zip(observed.T, inside, strict=True):
        np.testing.assert_array_equal(column, attack.score(target, batch))


def test_what_an_attack_said_of_the_batch_is_not_asked_again(target, batch_of):
    batch, asked = batch_of(4), []
    predict = target.predict
    target.predict = lambda *rows: (asked.append(len(rows[0])), predict(*rows))[1]
    fusion = RankAverage((DRC(steps=2, restorations=1), PIA()))
    try:
        with target.sharing():
            for attack in fusion.attacks:
                run_once(attack, target, batch)
            asked.clear()
            with target.counted() as spent:
                run(fusion, target, batch)
        assert asked == []
        assert (spent.forward, spent.backward) == (
            4 * fusion.cost(target).forward,
            4 * fusion.cost(target).backward,
        )
    finally:
        del target.predict


def test_an_attack_around_a_fusion_shows_it_other_pictures(target, batch_of):
    batch, fusion = batch_of(4), RankAverage((Loss(), PIA()))
    with target.sharing():
        run(fusion, target, batch)
        observed = run(Flip(fusion), target, batch).scores
    expected = [Flip(attack).score(target, batch) for attack in fusion.attacks]
    np.testing.assert_allclose(observed, np.stack(expected, axis=1), rtol=1e-6)
    assert not np.allclose(observed, run(fusion, target, batch).scores, rtol=1e-6)


def test_a_picture_that_one_attack_could_not_score_has_no_score(target, batch_of):
    batch, sets = batch_of(40), ["member", "unseen"] * 20
    pixels = batch.pixels.clone()
    pixels[7] = float("nan")
    spoilt = type(batch)(pixels, batch.sha256)
    for kind in (RankAverage, Logistic):
        scores = kind((Loss(), PIA())).score(target, spoilt, sets)
        assert np.array_equal(np.isnan(scores), np.arange(40) == 7)


def test_needs_costs_and_reasons_are_those_of_the_attacks_inside(target):
    fusion = Logistic((PFAMI(), LiRA()))
    assert fusion.needs == ("shadows", "labels") and fusion.learns
    assert fusion.missing() == ["shadows", "labels"] and fusion.missing(["shadows", "labels"]) == []
    with pytest.raises(UserError, match="logistic needs shadow models"):
        fusion.check(target)
    assert RankAverage((Loss(draws=3), PIA())).cost(target) == Cost(5)
    assert LiRA.unscored in fusion.unscored and "too few pictures" in fusion.unscored


def test_both_are_named_with_attacks_inside_and_have_unlike_ones_by_default():
    assert parse_attacks("rank-average, logistic(loss(t=50), pia)") == [
        RankAverage((DRC2(), PIA())),
        Logistic((Loss(t=50), PIA())),
    ]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("rank-average(loss)", "rank-average: name two attacks or more"),
        ("logistic(loss)", "logistic: name two attacks or more"),
        ("logistic(loss, secmi-nn)", "secmi-nn learns from the other pictures itself"),
        ("rank-average(loss, logistic(loss, pia))", "logistic learns from the other pictures itself"),
    ],
)
def test_what_makes_no_sense_is_refused(spec, message):
    with pytest.raises(UserError, match=message):
        parse_attacks(spec)
