"""Charts: right numbers in the right places, small and well-formed."""

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from trainedon.reporting import charts
from trainedon.reporting import roc_chart as roc

RNG = np.random.default_rng(5)
MEMBERS, UNSEEN = np.sort(RNG.normal(1, 1, 300)), np.sort(RNG.normal(0, 1, 5000))
SCORES = [
    ("ordinary", MEMBERS, UNSEEN),
    ("one each", np.array([1.0]), np.array([0.0])),
    ("all equal", np.full(4, 2.0), np.full(9, 2.0)),
    ("huge", np.array([1e300, 2e300]), np.array([-1e300, 0.0])),
    ("tiny", np.array([1e-300]), np.array([0.0, 1e-301])),
]


@pytest.mark.parametrize(("members", "unseen"), [case[1:] for case in SCORES], ids=[case[0] for case in SCORES])
def test_charts_are_well_formed_finite_and_small(members, unseen):
    strip = charts.Strip(unseen, members)
    drawn = [
        strip.mark(float(members[0]), "sentence", True),
        strip.square(float(members[0]), "sentence"),
        charts.histogram([("training", "m", members), ("unseen", "u", unseen)], "Scores"),
        roc.roc([("drc", members, unseen)], log=False),
        roc.roc([("drc", members, unseen)], log=True),
    ]
    for chart in drawn:
        root = ET.fromstring(str(chart))
        assert [child.tag for child in root][:2] == ["title", "desc"]
        assert "nan" not in chart and "inf" not in chart.replace("info", "")
        assert len(chart) < 30_000
    ET.fromstring(str(strip.defs()))


def test_roc_agrees_with_scikit_learn():
    members = np.sort(np.round(MEMBERS, 1))  # with ties
    unseen = np.sort(np.round(UNSEEN[:200], 1))
    fpr, tpr = roc.curve(members, unseen)
    truth = np.r_[np.ones(len(members)), np.zeros(len(unseen))]
    expected = roc_curve(truth, np.r_[members, unseen], drop_intermediate=False)
    np.testing.assert_allclose(fpr, expected[0], atol=1e-12)
    np.testing.assert_allclose(tpr, expected[1], atol=1e-12)


def test_the_marker_stands_at_the_score():
    strip = charts.Strip(np.array([0.0, 10.0]), np.array([10.0]))
    low, middle, high = (strip.x(score) for score in (0.0, 5.0, 10.0))
    assert low < middle < high
    assert middle == pytest.approx(charts.STRIP[0] / 2)
    assert f'cx="{middle:.1f}"' in strip.mark(5.0, "", True)


def test_histogram_bars_are_shares_of_each_set():
    """Two sets of the same shape and different size must be drawn equally high."""
    few, many = np.arange(10.0), np.repeat(np.arange(10.0), 100)
    chart = charts.histogram([("few", "m", few), ("many", "u", many)], "Scores")
    areas = re.findall(r'<path d="([^"]*)" class="area outlined [mu]"', chart)
    assert len(areas) == 2 and areas[0] == areas[1]


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.2, 4.7), (0.3333, 0.3334), (1e5, 9e5)])
def test_ticks_are_few_and_inside(low, high):
    values = charts.ticks(low, high)
    assert 2 <= len(values) <= 5
    assert all(low <= value <= high for value in values)


def test_labels_are_escaped():
    chart = roc.roc([("<b>&", MEMBERS, UNSEEN)], log=False)
    assert "<b>" not in chart
    ET.fromstring(str(chart))


def test_as_many_strokes_as_curves_and_neighbours_differ_in_both():
    kinds = [roc.stroke(i).split() for i in range(roc.MOST_CURVES)]
    assert len(set(map(tuple, kinds))) == roc.MOST_CURVES == 24
    assert all(a[1] != b[1] and a[2] != b[2] for a, b in pairwise(kinds))


def test_curves_beyond_the_strokes_are_not_drawn():
    curves = [(str(i), MEMBERS, UNSEEN) for i in range(30)]
    assert roc.roc(curves, log=True).count('class="curve') == roc.MOST_CURVES


def test_no_curve_is_drawn_where_a_rate_cannot_be_estimated():
    """60 unseen pictures can show no rate below 4.9 %: of a curve nothing lies to the left of it."""
    from trainedon.evidence.statistics.thresholds import least_estimable, unseen_needed

    rng = np.random.default_rng(0)
    members, unseen = np.sort(rng.normal(1, 1, 60)), np.sort(rng.normal(0, 1, 60))
    assert unseen_needed(least_estimable(60) * 1.0001) == 60 and unseen_needed(least_estimable(299)) == 299
    for log in (False, True):
        chart = str(roc.roc([("drc", members, unseen)], log=log))
        points = re.findall(r'<path d="M([^"]*)" class="curve', chart)[0].split("L")
        floor = 0.01
        place = (1 - np.log10(least_estimable(60)) / np.log10(floor)) if log else least_estimable(60)
        assert min(float(point.split()[0]) for point in points) >= roc.LEFT + roc.SIDE * place - 0.1
        assert 'class="blank"' in chart
