"""Works of one artist against others: labels are dealt by whose works they are, and the claim rests on that."""

import itertools
import math

import numpy as np
import pytest

from trainedon.evidence import Circumstances, Scores, audit_table
from trainedon.evidence.protocol.blind import file_features, run
from trainedon.evidence.protocol.blind_by_source import dealt
from trainedon.evidence.protocol.rules import STANDARD_1
from trainedon.evidence.statistics import by_source
from trainedon.evidence.statistics.pvalues import permutation_test
from trainedon.evidence.statistics.two_sample import View, classifier_two_sample_test, discriminant


def clustered(rng, sizes, r, shift=0.0, first=1):
    """Scores whose sources share r of their variance, those of the first sources shifted; is_suspect, source."""
    source = np.repeat(np.arange(len(sizes)), sizes)
    score = math.sqrt(r) * rng.normal(size=len(sizes))[source] + math.sqrt(1 - r) * rng.normal(size=len(source))
    return score + shift * (source < first), source < first, source


def rows(score, is_suspect, source):
    return [
        {
            "picture": f"{i}",
            "set": "suspect" if mine else "unseen",
            "attack": "a",
            "score": value,
            "source": f"s{of}",
        }
        for i, (value, mine, of) in enumerate(zip(score.tolist(), is_suspect.tolist(), source.tolist()))
    ]


def test_one_source_is_counted_against_all_others():
    score = np.repeat([5.0, 6.0, 1.0, 2.0, 3.0], 4) + np.tile([0, 0.1, 0.2, 0.3], 5)
    source = np.repeat(np.arange(5), 4)
    found = by_source.between_test(score, source == 0, source, seed=0)
    assert found == by_source.SourceTest(2 / 5, 1 / 5, 5, exact=True), "one of four is as high"
    assert by_source.between_test(score, source == 1, source, seed=0).p_value == 1 / 5


def test_several_sources_are_dealt_together_and_sampling_agrees_with_counting(monkeypatch):
    rng = np.random.default_rng(3)
    score, first, source = clustered(rng, rng.integers(3, 9, 14), 0.2, 0.5, first=4)
    exact = by_source.between_test(score, first, source, seed=0)
    value = by_source.source_values(score, source)
    sums = [value[list(dealt)].sum() for dealt in itertools.combinations(range(14), 4)]
    assert exact.exact and exact.deals == math.comb(14, 4) and exact.smallest == 1 / math.comb(14, 4)
    assert exact.p_value == np.mean(np.array(sums) >= value[:4].sum() - 1e-9)
    monkeypatch.setattr(by_source, "DEALS", 999)
    monkeypatch.setattr(by_source, "FEWEST_DEALS", 999)
    sampled = by_source.between_test(score, first, source, seed=1)
    assert not sampled.exact and sampled.deals == 999
    assert sampled.p_value == pytest.approx(exact.p_value, abs=4 * math.sqrt(exact.p_value / 999))


def test_within_sources_a_difference_between_them_counts_for_nothing():
    rng = np.random.default_rng(0)
    source = np.repeat(np.arange(6), 10)
    first = np.arange(60) % 10 < np.repeat([8, 8, 8, 2, 2, 2], 10)  # most suspects come from the first three
    score = 10.0 * (source < 3) + rng.normal(size=60)
    assert permutation_test(score[first], score[~first]).p_value < 0.01, "by picture they differ"
    assert by_source.kind_of(source[first], source[~first]) == "within"
    assert by_source.within_test(score, first, source, seed=0).p_value > 0.05
    moved = by_source.within_test(score + 2 * first, first, source, seed=0)
    assert moved.p_value < 0.001 and moved.smallest == 1 / (1 + moved.deals)
    area = by_source.auc_within(score + 2 * first, first, source)
    assert 0.7 < area.interval[0] < area.value < area.interval[1] < 1


def test_pictures_of_one_source_alone_have_no_part_within_sources():
    source = np.array([0] * 8 + [1] * 8 + [2] * 8)
    first = np.array(([True] * 4 + [False] * 4) + [True] * 8 + [False] * 8)
    score = np.arange(24.0)
    among = by_source.shared(first, source)
    assert among.tolist() == [True] * 8 + [False] * 16
    found = by_source.within_test(score, first, source, seed=0)
    assert found == by_source.within_test(score[:8], first[:8], source[:8], seed=0)
    assert found.smallest == 1 / math.comb(8, 4), "no deal can be rarer"
    assert by_source.within_test(score[8:], first[8:], source[8:], seed=0) is None
    assert by_source.auc_within(score[8:], first[8:], source[8:]) is None


def test_the_share_of_variance_between_sources_is_found():
    rng = np.random.default_rng(0)
    for r in (0.0, 0.1, 0.3):
        value, _, source = clustered(rng, rng.integers(5, 60, 400), r)
        assert by_source.intraclass(value, source) == pytest.approx(r, abs=0.03)
    assert by_source.intraclass(rng.normal(size=9), np.arange(9)) == 0, "each by itself"
    assert by_source.intraclass(np.ones(9), np.zeros(9, int)) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suspects", "smallest", "largest", "r"),
    [(25, 25, 25, 0.1), (25, 1, 80, 0.2), (5, 50, 50, 0.2), (100, 2, 5, 0.1)],
    ids=["equal", "of all sizes", "small against large", "large against small"],
)
def test_a_source_that_was_never_used_is_found_as_rarely_as_is_said(suspects, smallest, largest, r):
    rng = np.random.default_rng(suspects)
    found = []
    for _ in range(1000):
        sizes = [suspects, *rng.integers(smallest, largest + 1, 100)]
        found.append(by_source.between_test(*clustered(rng, sizes, r), seed=0).p_value)
    assert np.mean(np.array(found) <= 0.05) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1000)


def audited(score, is_suspect, source, **options):
    return audit_table(Scores.from_rows(rows(score, is_suspect, source)), **options)


def test_an_audit_deals_by_source_where_the_table_says_whose_works_they_are():
    rng = np.random.default_rng(1)
    null = clustered(rng, [25] * 21, 0.3)
    found = audited(*null)
    assert found.sources.by == "between"
    assert (found.sources.n_suspect_sources, found.sources.n_unseen_sources) == (1, 20)
    assert found.sources.smallest_p == 1 / 21 and found.claim.level == 0, "twenty others cannot give 1 %"
    assert "sources of suspects: 1, of unseen pictures: 20" in found.claim.because
    assert found.set.part is None and found.set.needed is None and found.cdi is None
    assert found.set.p_value == found.sources.p_value
    assert "dealt-by-source" in {flag.code for flag in found.flags}
    assert audited(*null, rules=STANDARD_1).sources is None
    alone = [dict(row, source=None) for row in rows(*null)]
    assert audit_table(Scores.from_rows(alone)).sources is None


def test_enough_sources_or_works_of_ones_own_that_are_unseen_carry_a_claim():
    rng = np.random.default_rng(1)
    many = audited(*clustered(rng, [10] * 130, 0.1, shift=4.0))
    assert many.set.p_value == 1 / 130 and many.claim.level == 2, "scores alone: no blind baseline"
    score, _, source = clustered(rng, [40] * 3, 0.3)
    first = (source == 0) & (np.arange(120) < 20)
    own = audited(score + 2.0 * first, first, source)
    assert own.sources.by == "within" and own.sources.n_left_out == 80
    assert own.set.p_value < 0.001 and own.set.effect > 0.8 and own.set.effect_ci_method == "newcombe"


def test_unseen_works_of_a_suspects_source_have_no_part_between_sources():
    score, _, source = clustered(np.random.default_rng(0), [10] * 40, 0.1)
    first = source < 3
    first[np.flatnonzero(source == 0)[:4]] = False  # of one source of three some works are unseen
    found = audited(score, first, source).sources
    assert (found.by, found.n_suspect_sources, found.n_unseen_sources) == ("between", 3, 37)
    assert (found.n_suspects, found.n_unseen, found.n_left_out) == (26, 370, 4)


def test_a_picture_without_a_source_is_one_by_itself():
    given = rows(*clustered(np.random.default_rng(0), [10] * 12, 0.1))
    given = [dict(row, source=None) if row["set"] == "unseen" and int(row["picture"]) % 2 else row for row in given]
    found = audit_table(Scores.from_rows(given))
    assert found.sources.n_unseen_sources == 11 + 55


def facts(rng, sizes, moved=0.0):
    """Rows of an inventory; each source has colours of its own, those of the first are moved besides."""
    found = []
    for number, size in enumerate(sizes):
        colour = rng.normal(size=6) * 0.05 + 0.4 + (moved if number == 0 else 0)
        for _ in range(size):
            means = np.clip(colour + rng.normal(size=6) * 0.03, 0, 1)
            names = ("mean_r", "mean_g", "mean_b", "std_r", "std_g", "std_b")
            i = len(found)
            found.append(
                {"set": "unseen" if number else "suspect", "picture": f"{i}", "sha256": f"{i:064x}", "reason": None}
                | dict(zip(names, means.tolist(), strict=True))
                | {"width": 64, "height": 64, "bytes": 5000 + int(rng.integers(500)), "sharpness": 90.0 + rng.random()}
                | {"format": "PNG", "mode": "RGB", "source": f"s{number}", "phash": None}
            )
    return found


def test_the_blind_baseline_asks_whether_they_differ_more_than_others_do():
    rng = np.random.default_rng(0)
    sizes = [15] * 41
    plain = run(facts(rng, sizes), "suspect").blind
    assert plain.separates, "any source differs from all others"
    assert not run(facts(np.random.default_rng(0), sizes), "suspect", by_source=True).blind.separates
    assert run(facts(np.random.default_rng(0), sizes, moved=0.5), "suspect", by_source=True).blind.separates


def test_the_blind_baseline_by_source_needs_sources_like_that_in_question():
    rng = np.random.default_rng(0)
    few = run(facts(rng, [30, *[3] * 100]), "suspect", by_source=True).blind
    assert few.separates is None and "0 unseen sources with about as many pictures" in few.reason
    listed = facts(rng, [20, *[9] * 10, *[10] * 10, *[50] * 20])
    first, unseen = (tuple(p for p in listed if p["set"] == name) for name in ("suspect", "unseen"))
    found = dealt(first, unseen, 999, seed=0)
    assert len(found.first) == 20 and len(found.unseen) == 10 * 10 + 20 * 20
    assert found.deal.labels.shape == (520, 30), "each of thirty others in its place"
    assert set(np.bincount(found.deal.fold[:20])) == {4}


def with_suspects(listed, sources, moved=0.0):
    """The same pictures, those of some sources in question, and these brighter."""
    return [
        picture | {"set": "suspect", "mean_r": picture["mean_r"] + moved} if picture["source"] in sources else picture
        for picture in listed
    ]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [1, 2, 4])
def test_the_blind_baseline_sees_a_difference_where_each_source_has_few_pictures(size):
    listed = facts(np.random.default_rng(0), [size] * 90)
    suspects = {f"s{number}" for number in range(30)}
    like = run(with_suspects(listed, suspects), "suspect", by_source=True).blind
    assert like.separates is False and 0 < like.p_value < 1 and like.auc != 0.5
    moved = run(with_suspects(listed, suspects, moved=0.3), "suspect", by_source=True).blind
    assert moved.separates and moved.auc > 0.9


@pytest.mark.filterwarnings("error")
def test_the_blind_baseline_sees_a_difference_within_sources_of_two_pictures():
    listed = facts(np.random.default_rng(0), [1, *[2] * 60])[1:]
    for moved in (0.0, 0.3):
        pairs = [
            picture | ({"set": "suspect", "mean_r": picture["mean_r"] + moved} if at % 2 else {})
            for at, picture in enumerate(listed)
        ]
        assert run(pairs, "suspect", by_source=True).blind.separates is bool(moved)


@pytest.mark.parametrize("runs", [60, pytest.param(200, marks=pytest.mark.slow)])
def test_the_blind_baseline_within_sources_raises_no_more_false_alarms_than_it_says(runs):
    """Folds that hold a fifth of the suspects of each source find a difference at 5 % in 11 of 100 lists like these."""
    p_values = []
    for number in range(runs):
        rng = np.random.default_rng(number)
        rows = [{"set": kind, "picture": f"{at}", "source": f"s{at // 5}"} for at, kind in enumerate("ffuuu" * 20)]
        found = dealt(*([row for row in rows if row["set"] == kind] for kind in "fu"), 59, seed=number)
        colour = dict(enumerate(rng.normal(size=(20, 6))))
        among = [*found.first, *found.unseen]
        x = np.array([0.6 * colour[int(row["source"][1:])] + rng.normal(size=6) for row in among])
        p_values.append(classifier_two_sample_test([View(x, discriminant())], 40, 59, number, deal=found.deal)[1])
    assert np.mean(np.array(p_values) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)
    assert 0.42 < np.mean(p_values) < 0.6


def test_a_blind_baseline_that_nothing_can_be_learnt_from_has_not_run():
    listed = facts(np.random.default_rng(0), [1] * 60)
    for at, picture in enumerate(listed):
        picture["source"] = f"s{at:02d}"
    found = run(with_suspects(listed, {f"s{at:02d}" for at in range(0, 60, 5)}, 0.3), "suspect", by_source=True).blind
    assert found.separates is found.p_value is found.auc is None
    assert "all pictures in question are in one of the 5 folds" in found.reason
    assert (found.n_pictures, found.n_unseen) == (12, 48)


def test_formats_and_sizes_are_compared_by_source_too():
    rng = np.random.default_rng(0)
    listed = facts(rng, [15] * 31)
    kinds = ["PNG", "JPEG", "WEBP"]
    for picture in listed:  # each source has one format, as one who makes pictures has
        picture["format"] = kinds[int(picture["source"][1:]) % 3]
        picture["width"] = 64 + int(picture["source"][1:]) % 7
    assert run(listed, "suspect").codec and run(listed, "suspect").resolution
    found = run(listed, "suspect", by_source=True)
    assert found.codec is None and found.resolution is None
    assert file_features(listed).shape[0] == len(listed)


def test_circumstances_may_say_nothing_of_lists():
    assert audited(*clustered(np.random.default_rng(0), [5] * 9, 0.1), circumstances=Circumstances()).listing is None
