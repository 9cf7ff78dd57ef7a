"""Suspects picked out of scored pictures: the claim has to outlast the worst that the picking can have done."""

from dataclasses import replace

import numpy as np
import pytest
from slowly import slowly

from trainedon.evidence import Circumstances, Scores, audit_table
from trainedon.evidence.protocol.listed import Again, listed_before, of_earlier
from trainedon.evidence.protocol.obstacles import of_listing
from trainedon.evidence.protocol.rules import STANDARD_2
from trainedon.evidence.statistics.pvalues import Deals, permutation_test
from trainedon.formats.run_record import ListedEntry

LEVEL = 0.01
FEW = Deals(1_999)


def entry(kept=0, left_out=0, asked=0):
    return ListedEntry(
        at="2026-01-01T00:00:00+00:00", suspects="a", unseen="b", kept=kept, left_out=left_out, asked=asked
    )


def found(suspects, unseen, **counts):
    scores = Scores.from_arrays(suspect=suspects, unseen=unseen)
    sides = tuple(scores.sample(scores.attacks[0], name) for name in ("suspect", "unseen"))
    return listed_before(entry(**counts), Again.with_unseen(*sides, replace(STANDARD_2, deals=FEW)), 1)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_the_best_half_of_pictures_that_were_never_used_is_worth_nothing(rng):
    null, unseen = np.sort(rng.normal(size=80)), rng.normal(size=200)
    plain = audit_table(Scores.from_arrays(suspect=null[40:], unseen=unseen))
    assert plain.set.p_value < 0.001
    told = found(null[40:], unseen, kept=40, left_out=40)
    assert (told.chosen.way, told.chosen.p_value) == ("dropped", 1.0)
    obstacle = of_listing(told, LEVEL)
    assert "40 of the suspects were scored by earlier runs that found nothing, with 40 others" in obstacle.because


@pytest.mark.parametrize(
    ("scored", "best", "fresh"),
    [(1000, 10, 30), *slowly((80, 60, 0), (80, 40, 45), (60, 50, 10))],
)
def test_whatever_is_picked_and_mixed_in_is_found_as_rarely_as_is_said(rng, scored, best, fresh):
    """The level is 0.05 here, so that few repetitions tell."""
    kept = plain = 0
    for _ in range(60):
        null, unseen = np.sort(rng.normal(size=scored)), rng.normal(size=200)
        suspects = np.concatenate([null[scored - best :], rng.normal(size=fresh)])
        kept += found(suspects, unseen, kept=best, left_out=scored - best).chosen.p_value < 0.05
        plain += permutation_test(suspects, unseen, FEW).p_value < 0.05
    assert kept <= 8 < plain


@pytest.mark.parametrize(("kept", "left_out"), [(38, 2), (36, 4), (1, 500), (3, 97)])
def test_a_few_copies_taken_out_or_one_picture_in_common_cost_a_true_claim_nothing(rng, kept, left_out):
    told = found(rng.normal(1.5, size=40), rng.normal(size=200), kept=kept, left_out=left_out)
    assert told.chosen.way == ("added" if kept > left_out else "dropped")
    assert told.chosen.p_value < LEVEL and of_listing(told, LEVEL) is None


@pytest.mark.parametrize(("kept", "left_out"), [(0, 0), (40, 0), (0, 40)])
def test_the_same_list_a_longer_one_and_fresh_pictures_are_chosen_by_nobody(rng, kept, left_out):
    told = found(rng.normal(size=40), rng.normal(size=50), kept=kept, left_out=left_out)
    assert told.chosen is None and of_listing(told, LEVEL) is None and of_earlier(told) == ""


def test_the_claim_says_it_and_how_often_the_same_was_asked(rng):
    scores = Scores.from_arrays(suspect=rng.normal(2, size=40), unseen=rng.normal(size=200))
    known = audit_table(scores, circumstances=Circumstances(listed=entry(kept=20, left_out=300, asked=3)))
    assert "3 earlier runs on this model asked about more than half of these suspects" in known.claim.because
    assert {"chosen-after-scoring", "asked-before"} <= {flag.code for flag in known.flags}
    again = audit_table(scores, circumstances=Circumstances(listed=entry(asked=1)))
    assert "1 earlier run on this model" in again.claim.because and again.listing.chosen is None
    assert audit_table(scores).listing is None


def test_where_the_test_cannot_be_made_again_the_choice_counts_as_the_reason(rng):
    scores = Scores.from_rows(
        {"picture": f"{name}{i}", "set": name, "attack": attack, "score": shift + rng.normal()}
        for attack in ("a", "b")
        for name, n, shift in (("suspect", 40, 2.0), ("unseen", 60, 0.0))
        for i in range(n)
    )
    told = audit_table(scores, lead="cdi", circumstances=Circumstances(listed=entry(kept=39, left_out=1)))
    assert told.listing.chosen.p_value == 1.0 and told.claim.level == 2
    first = audit_table(scores, circumstances=Circumstances(listed=entry(kept=39, left_out=1)))
    assert first.listing.chosen.p_value < LEVEL, "three tests are made, and it is small enough for them"


def test_signs_that_were_picked_are_worth_nothing_either(rng):
    null = np.sort(rng.normal(size=80))
    again = Again.with_signs(null[40:], 2.0, 0.0)
    assert again.p_value(null[40:]) < LEVEL
    told = listed_before(entry(kept=40, left_out=40), again, 1)
    assert (told.chosen.way, told.chosen.p_value) == ("dropped", 1.0)
    added = listed_before(entry(kept=40, left_out=39), again, 1)
    assert added.chosen.way == "added"
    assert added.chosen.p_value > LEVEL, "those that were left out count as far behind as any"
