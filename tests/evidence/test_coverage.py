"""The short form of `benchmarks/coverage.py`: intervals cover and p-values are valid where there is nothing to find."""

import pytest

from benchmarks.coverage import Bound, condition, kept, markdown


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "n", "replicates"),
    [
        ("plain", 20, 40),
        ("ties", 60, 20),
        ("clusters", 20, 40),
        ("best of 8", 20, 6),
        ("pictures", 20, 10),
        ("remembered", 60, 30),
        ("half used", 60, 12),
        ("uneven", 60, 12),
        ("motifs", 60, 20),
        ("plain", 300, 5),
    ],
)
def test_every_share_is_on_the_right_side_of_its_bound(kind, n, replicates):
    rows = condition(kind, n, replicates, seed=1000)
    assert all(row["of"] == replicates for row in rows)
    assert not [row for row in rows if not kept(row)]


def test_a_share_out_of_bounds_is_seen():
    assert not Bound("at most", 0.05).kept(14, 100)
    assert Bound("at most", 0.05).kept(13, 100)
    assert not Bound("at least", 0.95).kept(86, 100)
    assert Bound("at least", 0.95).kept(87, 100)
    row = {"kind": "plain", "n": 20, "what": "p", "bound": "at most 0.05", "hits": 14, "of": 100}
    assert "| p | at most 0.05 | 0.140 (!) |" in markdown([row])
