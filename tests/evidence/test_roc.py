"""AUC, its interval, best accuracy and the curve: closed forms, a naive oracle, scikit-learn, coverage."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score, roc_curve
from slowly import slowly

from trainedon.evidence.statistics.intervals import bounded_mean
from trainedon.evidence.statistics.roc import auc, best_accuracy, curve, thin

SHAPES = [(1, 1), (1, 9), (4, 3), (30, 50)]


def draws(m, n, seed=0):
    rng = np.random.default_rng(seed)
    yield rng.normal(0.7, 1, m), rng.normal(0, 1, n)
    yield rng.integers(0, 3, m).astype(float), rng.integers(0, 3, n).astype(float)
    yield np.ones(m), np.ones(n)
    yield np.ones(m), np.zeros(n)


def naive_delong(x, y):
    """AUC and its variance by the definition, one pair at a time."""
    kernel = np.array([[1.0 if a > b else 0.5 if a == b else 0.0 for b in y] for a in x])
    return kernel.mean(), kernel.mean(1).var(ddof=1) / len(x) + kernel.mean(0).var(ddof=1) / len(y)


@pytest.mark.parametrize(("m", "n"), SHAPES)
def test_auc_agrees_with_scikit_learn(m, n):
    for x, y in draws(m, n):
        theirs = roc_auc_score([1] * m + [0] * n, np.concatenate([x, y]))
        assert auc(x, y).value == pytest.approx(theirs, abs=1e-12)


def test_error_agrees_with_the_definition():
    """Small AUC error, many pictures: there the interval is DeLong's alone, logit(AUC) -+ t s / (AUC (1 - AUC))."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(0, 1, 60) + 4 * (rng.random(60) < 0.2), rng.normal(0, 1, 300)
    value, variance = naive_delong(x, y)
    found = auc(x, y, one_more=False)
    logits = np.log(np.array(found.interval) / (1 - np.array(found.interval)))
    reach = np.diff(logits)[0] / 2 * value * (1 - value)
    assert found.method == "delong"
    assert logits.mean() == pytest.approx(np.log(value / (1 - value)))
    # t with some 75 degrees of freedom
    assert reach / np.sqrt(variance) == pytest.approx(1.99, abs=0.01)


@pytest.mark.parametrize(("m", "n"), [*SHAPES, (400, 400)])
def test_interval_is_never_empty_and_never_leaves_the_unit(m, n):
    for x, y in draws(m, n):
        for one in (auc(x, y), auc(y, x)):
            assert 0 <= one.low <= one.value <= one.high <= 1
            assert one.high - one.low > 1e-3


def test_interval_mirrors_when_the_sets_change_places():
    for x, y in draws(25, 40):
        a, b = auc(x, y), auc(y, x)
        assert (a.value, a.low, a.high) == pytest.approx((1 - b.value, 1 - b.high, 1 - b.low), abs=1e-9)


def test_perfect_separation_is_bounded_as_a_proportion_of_the_smaller_set():
    found = auc(np.arange(10.0) + 100, np.arange(50.0))
    assert (found.value, found.high, found.method) == (1.0, 1.0, "bound")
    assert found.low == pytest.approx(0.025 ** (1 / 10))


def test_an_empty_side_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        auc(np.array([]), np.array([1.0]))


@pytest.mark.parametrize(("m", "n"), [(20, 60), *slowly((20, 20), (40, 300))])
def test_interval_covers(m, n):
    rng = np.random.default_rng(m + n)
    for shift in (0.0, 1.0, 3.0):
        truth = norm.cdf(shift / np.sqrt(2))
        found = [auc(rng.normal(shift, 1, m), rng.normal(0, 1, n)) for _ in range(300)]
        covered = np.mean([one.low <= truth <= one.high for one in found])
        assert covered >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 300), (shift, covered)
        # ... without being so wide that it says nothing.
        assert np.mean([one.high - one.low for one in found]) < 0.4


def test_interval_covers_with_ties():
    rng = np.random.default_rng(8)
    found = [auc(rng.integers(0, 4, 30).astype(float), rng.integers(0, 4, 60).astype(float)) for _ in range(300)]
    assert np.mean([one.low <= 0.5 <= one.high for one in found]) >= 0.91


@pytest.mark.parametrize(("m", "n"), SHAPES)
def test_curve_agrees_with_scikit_learn(m, n):
    for x, y in draws(m, n):
        fpr, tpr, _ = roc_curve([1] * m + [0] * n, np.concatenate([x, y]), drop_intermediate=False)
        assert curve(x, y) == pytest.approx(np.column_stack([fpr, tpr]))


@pytest.mark.parametrize(("m", "n"), SHAPES)
def test_best_accuracy_agrees_with_trying_every_threshold(m, n):
    for x, y in draws(m, n):
        tried = [((x > t).mean() + (y <= t).mean()) / 2 for t in [-np.inf, *x, *y]]
        assert best_accuracy(curve(x, y)) == pytest.approx(max(tried))


def test_thinning_keeps_the_low_end_and_the_area():
    rng = np.random.default_rng(1)
    points = curve(rng.normal(1, 1, 3000), rng.normal(0, 1, 3000))
    thinned = thin(points)
    assert len(thinned) <= 400
    assert thinned[0].tolist() == [0, 0]
    assert thinned[-1].tolist() == [1, 1]
    for x in np.unique(points[points[:, 0] <= thinned[150, 0], 0]):  # the best TPR at every low FPR is still there
        best = points[points[:, 0] <= x, 1].max()
        assert thinned[thinned[:, 0] <= x, 1].max() == best
    assert np.trapezoid(thinned[:, 1], thinned[:, 0]) == pytest.approx(
        np.trapezoid(points[:, 1], points[:, 0]), abs=2e-3
    )


def test_thinning_a_short_curve_only_drops_what_lies_on_a_line():
    points = curve(np.array([5.0, 4, 3]), np.array([2.0, 1]))
    assert thin(points).tolist() == [[0, 0], [0, 1], [1, 1]]
    assert thin(points[:1]).tolist() == [[0, 0]]


def test_the_interval_covers_where_one_set_spreads_wider():
    """Members ten times as wide, AUC .95: the interval of DeLong lies too high in one case of twelve."""
    rng, truth = np.random.default_rng(5), 0.95
    shift = norm.ppf(truth) * np.hypot(1, 10)
    pairs = [(shift + 10 * rng.normal(size=40), rng.normal(size=200)) for _ in range(200)]
    without = np.mean([auc(x, y, one_more=False).low > truth for x, y in pairs])
    assert without > 0.06
    for found in ([auc(x, y) for x, y in pairs], [auc(-y, -x) for x, y in pairs]):
        assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.94


def test_one_more_goes_no_further_than_what_assumes_nothing():
    for x, y in draws(30, 50):
        plain, found = auc(x, y, one_more=False), auc(x, y)
        low, high = bounded_mean(found.value, 30, 0.95)
        assert min(plain.low, low) <= found.low <= plain.low
        assert max(plain.high, high) >= found.high >= plain.high


def test_groups_of_one_change_nothing_and_copies_count_once():
    rng = np.random.default_rng(6)
    x, y = rng.normal(1, 1, 30), rng.normal(size=40)
    found = auc(x, y)
    alone = auc(x, y, groups=(np.arange(30), np.arange(30, 70)))
    assert (alone.low, alone.high) == pytest.approx(found.interval, abs=1e-12)
    plain = auc(x, y, one_more=False)
    of = (np.repeat(np.arange(30), 5), np.repeat(np.arange(30, 70), 5))
    copied = auc(np.repeat(x, 5), np.repeat(y, 5), groups=of, one_more=False)
    assert (copied.value, copied.low, copied.high) == pytest.approx((plain.value, *plain.interval), abs=0.003)
    names = auc(x, y, groups=([f"a{i % 6}" for i in range(30)], [f"b{i % 8}" for i in range(40)]))
    assert names.value == found.value
    with pytest.raises(ValueError, match="group"):
        auc(x, y, groups=(np.arange(30), np.arange(30)))


def test_the_interval_covers_with_groups():
    rng = np.random.default_rng(9)
    of, other = np.repeat(np.arange(12), 10), np.repeat(np.arange(12, 42), 10)
    hits = {"groups": 0, "none": 0}
    for _ in range(200):
        level = rng.normal(size=42) * np.sqrt(0.25)
        x, y = (level[part] + np.sqrt(0.75) * rng.normal(size=len(part)) for part in (of, other))
        for name, found in (("groups", auc(x, y, groups=(of, other))), ("none", auc(x, y))):
            hits[name] += found.low <= 0.5 <= found.high
    assert hits["groups"] >= 184
    assert hits["none"] < 170
