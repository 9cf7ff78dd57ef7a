"""Which claim can be reached is said beforehand, and is what the claim's own rules give at best."""

import itertools
import math

import numpy as np
import pytest

from trainedon.evidence import Scores, audit_table
from trainedon.evidence.protocol.reachable import Given, SourcesGiven, reachable


@pytest.mark.parametrize(
    ("given", "level", "said"),
    [
        (Given(40, 200), 3, "A claim of level 3 can be reached"),
        (Given(40, 200, drawn=True), 4, "A claim of level 4 can be reached"),
        (Given(40, 0), 1, "give --unseen"),
        (Given(40, 200, 2, together=True), 3, "A claim of level 3 can be reached"),
        (Given(19, 200, 2, together=True), 0, "needs 20 pictures a side, and there are 19 suspects and 200 unseen"),
        (Given(25, 2500, 2, sources=SourcesGiven.one_against(200), together=True), 0, "name one attack first"),
        (Given(12, 200), 2, "sets that differ by themselves are found out"),
        (Given(2, 7), 0, "2 suspects and 7 unseen pictures cannot give a p-value below 0.01 with one test"),
        (Given(3, 8), 2, "The blind baseline needs 10 pictures a side"),
        (Given(3, 8, attacks=2), 0, "with 2 tests: give more pictures, or name fewer attacks"),
        (Given(40, 200, pictures=False), 2, "Scores alone do not show"),
        (Given(25, 2500, sources=SourcesGiven.one_against(100)), 3, "A claim of level 3"),
        (Given(25, 2475, sources=SourcesGiven.one_against(99)), 0, "one against others needs 100 of these"),
        (Given(25, 2500, 2, sources=SourcesGiven.one_against(150)), 0, "needs 200 of these"),
        (Given(25, 300, sources=SourcesGiven("between", 3, 40, 19, math.comb(43, 3))), 2, "there are 19"),
        (Given(2, 3, sources=SourcesGiven("within", 1, 1, 1, 10)), 0, "The sources with pictures of both kinds"),
    ],
)
def test_what_can_be_reached_is_said_with_what_would_help(given, level, said):
    found = reachable(given)
    assert found.level == level and said in found.sentence


@pytest.mark.parametrize(
    ("suspects", "unseen"),
    [((3, 12), (5, 8)), pytest.param((1, 2, 3, 12), (1, 5, 8, 30, 120), marks=pytest.mark.slow)],
    ids=["some", "all"],
)
def test_it_agrees_with_the_claims_of_the_clearest_scores(suspects, unseen):
    """Every suspect above every unseen picture: a claim of level 0 is foretold where that is what it comes to."""
    for m, n, attacks in itertools.product(suspects, unseen, (1, 3)):
        rows = [
            {"picture": f"{name} {i}", "set": name, "attack": f"a{k}", "score": base + i + 0.1 * k}
            for k in range(attacks)
            for name, count, base in (("suspect", m, 1000), ("unseen", n, 0))
            for i in range(count)
        ]
        found = audit_table(Scores.from_rows(rows)).claim.level
        foretold = reachable(Given(m, n, attacks, pictures=False)).level
        assert found == foretold, (m, n, attacks)


def test_sources_are_counted_as_the_test_deals_them():
    one = SourcesGiven.of(["a"] * 20, [of for of in "bcdefg" for _ in range(12)] + ["h"] * 9)
    assert one == SourcesGiven("between", suspects=1, unseen=7, alike=6, ways=8)
    own = SourcesGiven.of(["a"] * 5 + ["b"], ["a"] * 5 + ["c"] * 9)
    assert own == SourcesGiven("within", suspects=2, unseen=2, alike=1, ways=math.comb(10, 5))
    assert SourcesGiven.of([None] * 3, [None] * 4) is None
    alone = SourcesGiven.of(["a"] * 4, [None] * 6)
    assert (alone.unseen, alone.alike, alone.ways) == (6, 0, 7), "each a source by itself"
    assert one.smallest_p == 1 / 8 and SourcesGiven("between", 9, 99, 99, 10**30).smallest_p == pytest.approx(1e-5)
    rows = [{"picture": f"s{i}", "set": "suspect", "score": 9 + i, "source": "a"} for i in range(20)]
    rows += [{"picture": f"{i}", "set": "unseen", "score": np.sin(i), "source": "bcdefgh"[i % 7]} for i in range(81)]
    assert audit_table(Scores.from_rows(rows)).sources.smallest_p == one.smallest_p
