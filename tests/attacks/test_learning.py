"""Attacks that learn from known pictures: cross-fitting, and that they find what is there and nothing else."""

import hashlib
from functools import cache

import numpy as np
import pytest
import torch

from trainedon.attacks import Loss, parse_attacks
from trainedon.attacks.core import execute
from trainedon.attacks.core.crossfit import FOLDS, crossfit, folds, robust_scaling
from trainedon.attacks.learned import quantile
from trainedon.attacks.learned.fusion import Logistic, RankAverage
from trainedon.attacks.learned.quantile import Quantile
from trainedon.attacks.learned.secmi_nn import SIDE, SecMINN
from trainedon.attacks.single.secmi import SecMI
from trainedon.errors import UserError
from trainedon.evidence.statistics.pvalues import conformal_p
from trainedon.evidence.statistics.two_sample import null_spread
from trainedon.evidence.table.split import calibration_mask


def digests(n, seed=0):
    return tuple(hashlib.sha256(f"{seed} {i}".encode()).hexdigest() for i in range(n))


def auc(scores, sets):
    sets = np.array(sets)
    member, unseen = scores[sets == "member"], scores[sets == "unseen"]
    return np.mean((member[:, None] > unseen) + (member[:, None] == unseen) / 2)


def of_secmi_nn(member, signal, rng):
    """|x - x'| in which members differ from others in texture, not in size."""
    errors = np.abs(rng.normal(size=(len(member), 3, 8, 8))).repeat(4, 2).repeat(4, 3)
    errors *= 1 + signal * member[:, None, None, None] * np.sin(np.arange(SIDE))
    return errors.astype(np.float32).astype(np.float64).reshape(len(member), -1)


def of_quantile(member, signal, rng):
    """A host's score that hangs on the picture's contrast much more than on membership, and pictures."""
    contrast = rng.uniform(0.1, 1, len(member))
    pictures = contrast[:, None] * rng.uniform(-1, 1, (len(member), 3 * 16 * 16))
    host = -8 * contrast + 0.3 * rng.normal(size=len(member)) + signal * member
    return np.column_stack([host, pictures])


def of_fusion(member, signal, rng):
    """Two scores, each of which says something."""
    return rng.normal(size=(len(member), 2)) + signal * member[:, None]


LEARNERS = {
    "secmi-nn": (SecMINN(epochs=6), of_secmi_nn),
    "quantile": (Quantile(bag=2), of_quantile),
    "logistic": (Logistic(), of_fusion),
    "rank-average": (RankAverage(), of_fusion),
}


@cache
def on_planted(name):
    """Scores of pictures of which one in two is a member and looks so, and the sets."""
    attack, make = LEARNERS[name]
    sets = ["member", "unseen"] * 100
    return attack.conclude(run(make, sets, 1.0), sets, digests(200)), sets


@pytest.fixture(params=LEARNERS)
def hasty(request, monkeypatch):
    """One that need not find anything."""
    monkeypatch.setattr(quantile, "STEPS", 12)
    attack, make = LEARNERS[request.param]
    return SecMINN(epochs=2) if attack.name == "secmi-nn" else attack, make


def run(make, sets, signal, seed=0):
    member = np.array(sets) == "member"
    return make(member, signal, np.random.default_rng(seed))


def test_folds_are_a_function_of_the_picture_and_about_equal():
    names = digests(1000)
    fold = folds(names)
    assert fold.dtype == np.int64 and set(fold) == set(range(FOLDS))
    assert (abs(np.bincount(fold) - 200) < 60).all()
    assert np.array_equal(folds(names[::-1]), fold[::-1])
    assert len(set(folds(names[:1] * 9))) == 1


def test_folds_say_nothing_of_the_halves_of_the_unseen_pictures():
    class Row:
        def __init__(self, digest):
            self.sha256, self.picture = digest, digest

    names = digests(2000)
    half = calibration_mask([Row(name) for name in names])
    shares = [half[folds(names) == fold].mean() for fold in range(FOLDS)]
    assert all(0.4 < share < 0.6 for share in shares)


def test_a_picture_is_scored_by_what_was_learnt_outside_its_fold():
    names, sets = digests(50), ["member", "unseen"] * 20 + ["suspect"] * 10
    fold = folds(names)
    seen = []

    def fit(known, member):
        seen.append((known[:, 0], member))
        return lambda asked: np.full(len(asked), len(seen) - 1)

    scores = crossfit(np.arange(50.0)[:, None], sets, names, fit)
    assert len(seen) == FOLDS
    for known, member in seen:
        rows = known.astype(int)
        assert list(member) == [sets[row] == "member" for row in rows] and "suspect" not in {sets[r] for r in rows}
        assert [names[row] for row in rows] == sorted(names[row] for row in rows)
    for row, score in enumerate(scores):
        known = seen[int(score)][0].astype(int)
        assert set(known) == {other for other in range(40) if fold[other] != fold[row]}


def test_nothing_is_learnt_from_too_few_pictures_or_from_none():
    names = digests(20)
    inside = folds(names) == 0

    def fit(known, member):
        return lambda asked: np.zeros(len(asked))

    sets = np.where(inside, "member", "unseen")  # outside fold 0 there is no member
    assert np.array_equal(np.isnan(crossfit(np.zeros((20, 1)), sets, names, fit)), inside)
    assert np.isnan(crossfit(np.zeros((20, 1)), sets, names, fit, least=18)).all()
    assert np.isnan(crossfit(np.zeros((20, 1)), ["suspect"] * 20, names, fit)).all()
    assert crossfit(np.zeros((0, 1)), [], [], fit).shape == (0,)


def test_what_was_not_observed_has_no_score_and_teaches_nothing(hasty):
    attack, make = hasty
    sets = ["member", "unseen"] * 40
    observed, names = run(make, sets, 1.0), digests(80)
    observed[3, 0], observed[4, 0] = np.nan, np.inf
    scores = attack.conclude(observed, sets, names)
    assert np.array_equal(np.isnan(scores), np.isin(np.arange(80), [3, 4]))
    kept = np.delete(np.arange(80), [3, 4])
    without = attack.conclude(observed[kept], [sets[i] for i in kept], [names[i] for i in kept])
    np.testing.assert_allclose(scores[kept], without, rtol=1e-5)


def test_the_set_of_a_picture_never_changes_its_own_score_and_changes_others(hasty):
    attack, make = hasty
    sets = ["member", "unseen", "suspect"] * 20
    observed, names = run(make, sets, 1.0), digests(60)
    scores = attack.conclude(observed, sets, names)
    for i, other in ((0, "unseen"), (1, "suspect"), (2, "unseen")):
        changed = attack.conclude(observed, [*sets[:i], other, *sets[i + 1 :]], names)
        assert changed[i] == scores[i]
        assert not np.array_equal(changed, scores)


def test_scores_follow_the_pictures_in_any_order_and_are_the_same_every_time(hasty):
    attack, make = hasty
    sets = ["member", "unseen", "suspect"] * 20
    observed, names = run(make, sets, 1.0), digests(60)
    scores = attack.conclude(observed, sets, names)
    assert np.isfinite(scores).all() and scores.dtype == np.float64
    state = torch.get_rng_state()
    assert np.array_equal(attack.conclude(observed, sets, names), scores)
    assert torch.equal(torch.get_rng_state(), state), "torch's own random numbers were touched"
    order = np.random.default_rng(1).permutation(60)
    again = attack.conclude(observed[order], [sets[i] for i in order], [names[i] for i in order])
    np.testing.assert_array_equal(again, scores[order])


@pytest.mark.parametrize("name", LEARNERS)
def test_a_planted_signal_is_found(name):
    assert auc(*on_planted(name)) > 0.8


@pytest.mark.parametrize(
    ("name", "of_each"),
    [
        *(("logistic", 100), ("rank-average", 100), ("secmi-nn", 30), ("quantile", 30)),
        *(pytest.param(name, 100, marks=pytest.mark.slow) for name in ("secmi-nn", "quantile")),
    ],
)
def test_noise_is_not_taken_for_a_signal(name, of_each, monkeypatch):
    """The AUC lies four standard deviations of scores that say nothing (Mann and Whitney, 1947) from a half at most."""
    if of_each < 100:
        monkeypatch.setattr(quantile, "STEPS", 60)
    attack, make = LEARNERS[name]
    sets = ["member", "unseen"] * of_each
    found = auc(attack.conclude(run(make, sets, 0.0), sets, digests(len(sets))), sets)
    assert abs(found - 0.5) < 4 * null_spread(of_each, of_each)


def test_quantile_knows_hard_pictures_from_easy_ones():
    sets = ["member", "unseen"] * 100
    observed = run(of_quantile, sets, 1.0)
    host = auc(observed[:, 0], sets)
    assert auc(*on_planted("quantile")) > host + 0.15


def test_few_pictures_have_no_score_and_the_reason_is_said():
    sets = ["member", "unseen"] * 6
    for attack, make in (LEARNERS["secmi-nn"], LEARNERS["quantile"]):
        assert np.isnan(attack.conclude(run(make, sets, 1.0), sets, digests(12))).all()
        assert "too few pictures to learn from" in attack.unscored


@pytest.mark.parametrize(("attack", "runs"), [(RankAverage(), 150), (Logistic(), 40)], ids=["rank-average", "logistic"])
def test_p_values_of_suspects_that_the_model_never_saw_are_valid(attack, runs):
    """Of 20 suspects a run, 5 % may reach p <= 0.05; the bound lies 4 standard errors above, over runs."""
    sets = ["unseen"] * 99 + ["suspect"] * 20 + (["member"] * 60 if attack.name == "logistic" else [])
    shares = []
    for seed in range(runs):
        scores = attack.conclude(run(of_fusion, sets, 1.0, seed), sets, digests(len(sets), seed))
        shares.append((conformal_p(scores[99:119], scores[:99]) <= 0.05).mean())
    assert 0.01 < np.mean(shares) < 0.05 + 4 * np.std(shares) / np.sqrt(runs)


def test_levelled_scores_keep_their_order_and_lie_about_zero():
    scores = np.random.default_rng(0).standard_cauchy((500, 2)) ** 3
    level = robust_scaling(scores[:250])(scores)
    assert np.array_equal(level.argsort(0), scores.argsort(0))
    np.testing.assert_allclose(np.median(level[:250], 0), 0, atol=0.05)
    assert np.abs(level).max() < 60
    assert np.isfinite(robust_scaling(np.ones((9, 1)))(np.ones((3, 1)))).all()


def test_secmi_nn_observes_the_difference_that_secmi_compares(target, grey_target, batch_of):
    for model, channels in ((target, 3), (grey_target, 1)):
        batch = batch_of(3, channels=channels)
        ((x, back),) = SecMI().pairs(model, batch)
        observed = execute.run(SecMINN(), model, batch).scores
        pictures = observed.reshape(3, channels, 16, 2, 16, 2)
        np.testing.assert_allclose(pictures.mean((3, 5)), (x - back).abs().numpy(), rtol=1e-5)


def test_quantile_observes_the_host_s_score_and_the_picture(target, batch_of):
    batch = batch_of(3)
    observed = execute.run(Quantile(Loss(t=50)), target, batch).scores
    np.testing.assert_array_equal(observed[:, 0], Loss(t=50).score(target, batch))
    np.testing.assert_array_equal(observed[:, 1:].reshape(3, 3, 16, 16), batch.pixels.numpy())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("secmi-nn(epochs=0)", "epochs must be 1 or more"),
        ("secmi-nn(t=105)", "be a multiple of k"),
        ("quantile(bag=0)", "bag must be 1 or more"),
        ("quantile(rank-average(loss, pia))", "rank-average learns from the other pictures itself"),
    ],
)
def test_what_makes_no_sense_is_refused(spec, message):
    with pytest.raises(UserError, match=message):
        parse_attacks(spec)
