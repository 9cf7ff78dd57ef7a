"""The short form of `benchmarks/coverage.py`: intervals cover and p-values are valid where there is nothing to find."""

import numpy as np
import pytest

from benchmarks.coverage import added, condition, counted
from benchmarks.coverage_page import BEGIN, CLAIM, END, chance_of_finding, kept, markdown, seen_from, summary, write
from benchmarks.coverage_parts import COVERS, Bound
from trainedon.errors import UserError


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "n", "replicates"),
    [
        ("plain", 20, 40),
        ("ties", 60, 20),
        ("clusters", 20, 40),
        ("best of 8", 20, 6),
        ("pictures", 20, 10),
        ("half used", 60, 12),
        ("uneven", 60, 12),
        ("motifs", 60, 20),
        ("plain", 300, 5),
        ("spreads", "40+200", 10),
        ("sources", "12x10+40x10", 20),
        ("learnt", "60+60", 10),
        ("direction", "20", 5),
        ("part", "40+120", 20),
    ],
)
def test_every_share_is_on_the_right_side_of_its_bound(kind, n, replicates):
    rows = condition(kind, n, replicates, seed=1000)
    assert all(row["of"] == replicates for row in rows)
    assert not [row for row in rows if not kept(row)]


def row(hits, of=100, bound="at most 0.05"):
    return {"kind": "plain", "n": 20, "what": "p", "bound": bound, "hits": hits, "of": of}


def test_a_share_out_of_bounds_is_seen():
    assert not kept(row(14)) and kept(row(13))
    assert not kept(row(86, bound="at least 0.95")) and kept(row(87, bound="at least 0.95"))
    assert "| p | at most 0.05 | 0.140 (!) |" in markdown([row(14)])
    assert "1 of the 1 shares out of bounds (plain, 20: p)" in summary([row(14)])
    claims = [row(hits, 1000) | {"what": CLAIM} for hits in (9, 5)]
    assert "in all 2 000 data sets of whole runs together the claim went above level 1 in 14 (" in summary(claims)


def test_it_is_said_what_so_many_data_sets_could_not_show():
    assert chance_of_finding(COVERS, 600) > 0.95 > chance_of_finding(COVERS, 500)
    assert chance_of_finding(Bound("at most", 0.01), 1100) > 0.95 > chance_of_finding(Bound("at most", 0.01), 900)
    assert chance_of_finding(Bound("at most", 0.5), 900) is None
    few, many = (summary([row(95, of, "at least 0.95")]) for of in (100, 1100))
    assert "Where that is less than 95%: plain 20." in few and "Where that" not in many


@pytest.mark.parametrize("bound", [Bound("at least", 0.85), Bound("at most", 0.05)])
def test_how_far_a_share_must_be_out_of_its_bound_to_be_seen(bound):
    hits = np.random.default_rng(0).binomial(600, seen_from(bound, 600), 2000)
    out = np.mean([not kept(row(int(k), 600, f"{bound.side} {bound.level}")) for k in hits])
    assert 0.93 < out < 0.97


def test_data_sets_are_added_to_those_that_were_counted():
    both = added([row(1, 10), row(0, 10, "at most 0.01")], [row(2, 5)])
    assert [(one["hits"], one["of"]) for one in both] == [(3, 15), (0, 10)]
    assert (
        counted(both, "plain", 20) == 15
        and counted(both, "plain", 20, min) == 10
        and counted(both, "plain", 60, min) == 0
    )


def test_the_tables_are_written_between_the_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write(page, "new\n")
    assert page.read_text() == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    page.write_text("nothing")
    with pytest.raises(UserError, match="add them"):
        write(page, "new\n")
