"""Split, thresholds, proportions: closed forms, naive oracles, coverage."""

import hashlib

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from trainedon.evidence import Circumstances, evaluate_table
from trainedon.evidence.statistics.intervals import bounded_mean, clopper_pearson
from trainedon.evidence.statistics.thresholds import conformal_threshold, tpr_at_fpr, unseen_needed
from trainedon.evidence.table.scores import Scores
from trainedon.evidence.table.split import calibration_mask


def rows(n, named="{}.png"):
    digest = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(n)]
    return Scores.from_rows(
        [{"picture": named.format(i), "set": "unseen", "score": i, "sha256": digest[i]} for i in range(n)]
    ).rows


@pytest.mark.parametrize("n", [1, 2, 7, 100, 1001])
def test_halves_are_exact_and_follow_the_pictures_alone(n):
    mask = calibration_mask(rows(n))
    assert mask.sum() == (n + 1) // 2
    order = np.random.default_rng(0).permutation(n)
    renamed = rows(n, named="other-{}.jpg")
    assert calibration_mask([renamed[i] for i in order]).tolist() == mask[order].tolist()


def test_halves_do_not_follow_the_digest_itself():
    some = rows(2000)
    low = np.array([r.sha256 < "8" for r in some])
    mask = calibration_mask(some)
    assert abs((mask & low).sum() / low.sum() - 0.5) < 0.05


def test_the_split_is_frozen_with_the_protocol():
    assert np.flatnonzero(calibration_mask(rows(12))).tolist() == [0, 3, 4, 6, 7, 8]


def test_without_digests_the_name_decides():
    some = [r._replace(sha256=None) for r in rows(100)]
    mask = calibration_mask(some)
    assert 0 < mask.sum() < 100
    assert calibration_mask(some[::-1]).tolist() == mask[::-1].tolist()


@pytest.mark.parametrize(("level", "n"), [("0.05", 59), ("0.01", 299), ("0.001", 2995)])
def test_needed_is_the_smallest_n_whose_zero_alarms_mean_something(level, n):
    assert unseen_needed(level) == n
    assert binomtest(0, n, float(level), "less").pvalue <= 0.05 < binomtest(0, n - 1, float(level), "less").pvalue


@pytest.mark.parametrize("level", ["0.05", "0.01", "0.07", "0.5"])
@pytest.mark.parametrize("n", [1, 13, 19, 20, 99, 100, 399])
def test_threshold_is_exactly_where_the_conformal_p_value_reaches_the_level(level, n):
    rng = np.random.default_rng(n)
    for scores in (rng.normal(size=n), rng.integers(0, 4, n).astype(float)):
        threshold = conformal_threshold(scores, level)
        for x in [*scores, scores.max() + 1, scores.min() - 1]:
            p = (1 + sum(scores >= x)) / (1 + n)  # the oracle
            says = threshold is not None and x > threshold
            assert says == (p <= float(level) + 1e-12)


def test_false_positive_rate_holds_over_the_draw_of_calibration_and_test():
    rng = np.random.default_rng(5)
    for draw in (rng.normal, lambda size: rng.integers(0, 30, size).astype(float)):
        rates = [(draw(size=200) > conformal_threshold(draw(size=119), "0.05")).mean() for _ in range(1500)]
        assert np.mean(rates) <= 0.05 + 3 * np.std(rates) / np.sqrt(len(rates))
        assert np.mean(rates) > 0.02


def test_counts_by_hand():
    members, calibration = np.array([9.0, 99, 198, 500]), np.arange(200.0)
    evaluation = np.array([0.0] * 97 + [198, 199, 200])
    counted = tpr_at_fpr(members, calibration, evaluation, "0.01")  # k = 2: the second largest is 198
    assert (counted.threshold, counted.true_positives, counted.false_positives) == (198.0, 1, 2)
    assert (counted.tpr, counted.fpr) == (0.25, 0.02)
    assert counted.tpr_ci(0.95) == clopper_pearson(1, 4)
    assert counted.fpr_ci(0.99) == clopper_pearson(2, 100, 0.99)


@pytest.mark.parametrize(
    ("n", "level", "estimable"),
    [
        (0, "0.05", False),
        (12, "0.05", False),
        (58, "0.05", False),
        (59, "0.05", True),
        (298, "0.01", False),
        (299, "0.01", True),
        (1024, "0.01", True),
        (1024, "0.001", False),
        (2994, "0.001", False),
        (2995, "0.001", True),
    ],
)
def test_a_rate_that_n_cannot_carry_is_not_counted(n, level, estimable):
    half = (n + 1) // 2
    assert (tpr_at_fpr(np.ones(5), np.zeros(half), np.zeros(n - half), level) is not None) is estimable
    assert tpr_at_fpr(np.ones(0), np.zeros(half), np.zeros(n - half), level) is None


def test_zero_alarms_at_the_smallest_n_bound_the_rate_at_95_percent():
    """Why both halves count: no alarm among 299 in two halves is wrong about "below 1 %" in at most 5 % of draws."""
    rng = np.random.default_rng(3)
    x = rng.random((20_000, 299))  # uniform, so the rate above t is 1 - t
    top, rest = x[:, :150].max(axis=1), x[:, 150:].max(axis=1)
    wrong = (rest <= top) & (1 - top >= 0.01)
    assert wrong.mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(x))


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 30), (30, 30), (3, 17), (500, 1000)])
def test_clopper_pearson_agrees_with_scipy(k, n):
    theirs = binomtest(k, n).proportion_ci(0.95, "exact")
    assert clopper_pearson(k, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_clopper_pearson_closed_forms_and_refusal():
    assert clopper_pearson(0, 10) == pytest.approx((0, 1 - 0.025 ** (1 / 10)))
    assert clopper_pearson(10, 10) == pytest.approx((0.025 ** (1 / 10), 1))
    for k, n in ((0, 0), (-1, 3), (4, 3)):
        with pytest.raises(ValueError, match="successes"):
            clopper_pearson(k, n)


@pytest.mark.parametrize("n", [1, 2, 20, 300])
def test_clopper_pearson_covers_for_every_rate(n):
    ends = np.array([clopper_pearson(k, n) for k in range(n + 1)])
    for rate in (0.003, 0.05, 0.31, 0.5, 0.97):
        inside = (ends[:, 0] <= rate) & (rate <= ends[:, 1])
        assert binom.pmf(np.flatnonzero(inside), n, rate).sum() >= 0.95


def test_bounded_mean_meets_clopper_pearson_at_the_ends_and_mirrors():
    for n in (1, 7, 400):
        assert bounded_mean(1.0, n) == pytest.approx(clopper_pearson(n, n))
        assert bounded_mean(0.0, n) == pytest.approx(clopper_pearson(0, n))
        low, high = bounded_mean(0.3, n)
        assert 0 <= low < 0.3 < high <= 1
        assert bounded_mean(0.7, n) == pytest.approx((1 - high, 1 - low))


def test_the_interval_of_an_attack_that_learnt_from_labels_is_wider():
    rng = np.random.default_rng(0)
    scores = Scores.from_arrays(member=rng.normal(size=60), unseen=rng.normal(size=60), attack="learnt")
    (attack,) = scores.attacks
    plain, learnt = (
        evaluate_table(scores, circumstances=Circumstances(learnt=names)).attacks[0]
        for names in (frozenset(), frozenset({attack.repr}))
    )
    low, high = learnt.auc_ci
    assert (high - low) / (plain.auc_ci[1] - plain.auc_ci[0]) == pytest.approx(1.45, abs=0.1)
    assert learnt.tpr_at_fpr == plain.tpr_at_fpr
