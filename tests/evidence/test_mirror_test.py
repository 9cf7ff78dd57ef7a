"""Claims without unseen pictures: every picture against its own mirror image."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from looked_at import blurred, stored

from trainedon.evidence import Circumstances, Scores, audit_table, to_json
from trainedon.evidence.protocol.mirror_test import ASSUMED, Odds, answered, mirror_test, odds_of
from trainedon.evidence.statistics.sign_flip import least_odds_against
from trainedon.formats.run_record import ControlEntry
from trainedon.reporting import mirror_words

SCORE = {"attack": "score", "repr": "score"}
MIRROR = Circumstances(null_views={"score": "mirror"})


@cache
def looks(n):
    """What a run stores of pictures that nothing tells from their mirror images."""
    rng = np.random.default_rng(3)
    return stored([blurred(rng) for _ in range(n)])


def table(suspects, unseen=None, sources=(), **columns):
    """Scores of pictures that are stored as `looks` has them, with the same of another attack in each of columns.
    sources: whose works they are, by name."""
    names = [f"{i}.png" for i in range(len(suspects))]
    rows, features = looks(len(suspects))
    digests = {row["picture"]: row["sha256"] for row in rows}
    every = {"score": suspects, **columns}
    made = [
        {
            "picture": name,
            "set": "suspect",
            "sha256": digests[name],
            "attack": attack,
            "repr": attack,
            "score": float(d),
        }
        for attack, scores in every.items()
        for name, d in zip(names, scores, strict=True)
    ]
    others = [] if unseen is None else unseen
    made += [
        {"picture": f"other-{i}.png", "set": "unseen", "attack": "score", "repr": "score", "score": float(d)}
        for i, d in enumerate(others)
    ]
    for row in made if sources else ():
        row["source"] = sources[row["picture"]]
    listed = rows + [
        {"set": "unseen", "picture": f"other-{i}.png", "sha256": None, "reason": None, "phash": None}
        for i in range(len(others))
    ]
    return Scores.from_rows(made), listed, features


def audited(suspects, unseen=None, lead="mirror", circumstances=MIRROR, **columns):
    return audit_table(*table(suspects, unseen, **columns), lead=lead, circumstances=circumstances)


def differences(n, shift, seed=0):
    return np.random.default_rng(seed).normal(shift, 1, n)


def test_training_pictures_are_found_and_named_without_any_other():
    found = audited(differences(120, 3))
    assert (found.claim.level, found.claim.grade, found.claim.assumption, found.lead) == (3, "3m", "mirror", "mirror")
    assert "mirror images" in found.claim.sentence
    assert "which is assumed" in found.claim.sentence
    assert found.n_named > 100
    assert all(picture.p_value is None for picture in found.pictures)
    assert (found.mirror.odds, found.mirror.odds_from, found.mirror.n_flipped) == (ASSUMED, "assumed", 120)
    assert not {"no-unseen", "blind-baseline-not-run"} & {flag.code for flag in found.flags}


def test_pictures_that_the_model_never_saw_are_not():
    levels = [audited(differences(40, 0, seed)).claim.level for seed in range(20)]
    assert levels == [1] * 20
    assert audited(differences(40, 0)).n_named == 0


def test_too_few_pictures_are_not_estimable():
    assert audited(np.arange(1.0, 12.0)).claim.level == 0
    assert audited(np.arange(1.0, 13.0)).claim.level > 0


def test_no_claim_is_made_where_it_could_not_be_seen_whether_pictures_are_handed():
    few = audited(np.arange(1.0, 40.0))
    assert (few.claim.level, few.chirality.n) == (2, 39)
    assert "with so few pictures" in few.claim.sentence
    alone = audit_table(Scores.from_arrays(suspect=differences(60, 3)), lead="mirror", circumstances=MIRROR)
    assert (alone.claim.level, alone.chirality) == (2, None)
    assert "--mirror-reference" in alone.claim.because


def test_a_kind_that_chance_favours_is_bounded_by_pictures_of_it_that_the_model_cannot_have_seen():
    handed = np.where(np.random.default_rng(1).random(500) < 0.88, 1, -1) * np.abs(differences(500, 0, 1))
    alone, bounded = audited(handed[:100]), audited(handed[:100], handed[100:])
    assert alone.claim.level == 3, "else the odds would not matter"
    assert bounded.claim.level == 1
    assert bounded.mirror.odds > 7
    assert (bounded.mirror.odds_from, bounded.mirror.n_reference) == ("reference", 400)


def test_a_control_model_bounds_it_too_and_the_larger_of_both_holds():
    controlled = CONTROLLED
    members = differences(100, 3)
    handed = np.where(np.random.default_rng(1).random(100) < 0.8, 1, -1) * np.abs(differences(100, 0, 1))
    found = audited(members, circumstances=controlled, **{"on-control": handed})
    assert (found.mirror.odds_from, found.mirror.n_reference) == ("control model", 100)
    assert found.claim.level == 3
    assert [one.repr for one in found.attacks] == ["score"], "a control is no attack"
    assert audited(handed, circumstances=controlled, **{"on-control": handed}).claim.level == 1
    both = audited(members, differences(400, 0, 2), circumstances=controlled, **{"on-control": handed})
    assert both.mirror.odds == found.mirror.odds
    assert both.mirror.odds_from == "control model"


CONTROLLED = Circumstances(
    null_views={"score": "mirror", "on-control": "mirror"},
    on_control={"on-control": ControlEntry(of="score", model="b")},
)


def test_a_control_model_that_prefers_neither_lowers_nothing_and_answers_nothing():
    """It may just not know such pictures: rounding noise has fair signs too."""
    silent = {"on-control": 1e-9 * np.where(np.arange(400) % 2, 1, -1)}
    many = audited(differences(400, 3), circumstances=CONTROLLED, **silent)
    assert (many.mirror.odds, many.mirror.odds_from, many.claim.level) == (ASSUMED, "assumed", 3)
    members = np.arange(1.0, 40.0)
    few = audited(members, circumstances=CONTROLLED, **{"on-control": silent["on-control"][:39]})
    assert few.mirror.odds_from == "control model" and few.mirror.odds > ASSUMED
    assert few.claim.level == 2 and "nor would one that knows no such pictures" in few.claim.because
    nothing = audited(members, circumstances=CONTROLLED, **{"on-control": np.zeros(39)})
    assert (nothing.mirror.odds_from, nothing.claim.level) == ("assumed", 2)
    bounded = audited(differences(400, 3), differences(400, 0, 2), circumstances=CONTROLLED, **silent)
    assert bounded.mirror.odds_from == "reference" and bounded.mirror.odds < ASSUMED


def test_a_control_model_that_prefers_the_pictures_a_little_answers_and_lowers_nothing():
    """Many pictures put its odds below those that are assumed; that is no reason to ask for what was given."""
    asked = replace(CONTROLLED, conditioned_on="captions")
    signs = np.where(np.arange(600) < 345, 1, -1)
    found = audited(differences(600, 5), circumstances=asked, **{"on-control": signs * (1 + np.arange(600) % 3)})
    assert odds_of(signs * (1 + np.arange(600) % 3)) < ASSUMED
    assert (found.mirror.odds, found.mirror.odds_from, found.mirror.n_reference) == (ASSUMED, "control model", 600)
    assert found.claim.level == 3 and "to 1, which is assumed at least; under a model" in mirror_words.odds(
        found.mirror
    )


def test_a_control_model_answers_for_captions_only_where_it_prefers_the_pictures_itself():
    asked = replace(CONTROLLED, conditioned_on="captions")
    for share, level in ((0.5, 2), (0.7, 3)):
        signs = np.where(np.arange(100) < 100 * share, 1, -1)
        found = audited(differences(100, 5), circumstances=asked, **{"on-control": signs * (1 + np.arange(100) % 3)})
        assert (found.mirror.odds_from, found.claim.level) == ("control model", level)


def test_pictures_that_text_is_on_are_told_from_their_mirror_images_and_no_claim_is_made():
    rng = np.random.default_rng(5)
    dark = [picture.copy() for picture in (blurred(rng) for _ in range(40))]
    for picture in dark:
        picture[:, :10] //= 3
    rows, features = stored(dark)
    suspects = [
        {"picture": row["picture"], "set": "suspect", "sha256": row["sha256"], "score": d} | SCORE
        for row, d in zip(rows, differences(40, 3).tolist(), strict=True)
    ]
    found = audit_table(Scores.from_rows(suspects), rows, features, lead="mirror", circumstances=MIRROR)
    assert (found.claim.level, found.chirality.finds) == (2, True)
    assert "told from" in found.claim.sentence
    assert "told-from-mirror" in {flag.code for flag in found.flags}


def test_several_attacks_are_corrected_for_one_another():
    views = Circumstances(null_views={"score": "mirror", "second": "mirror"})
    found = audited(differences(60, 1), circumstances=views, second=differences(60, 0, 4))
    first, second = (one.mirror for one in found.attacks)
    together = found.mirror_together
    least, middle, most = sorted([first, second, together], key=lambda test: test.p_value)
    assert least.p_value_holm == pytest.approx(3 * least.p_value)
    assert middle.p_value_holm == pytest.approx(2 * middle.p_value)
    assert most.p_value_holm == most.p_value
    assert found.mirror == first
    assert "multiple-attacks" in {flag.code for flag in found.flags}


def test_works_of_one_source_are_flipped_together_and_none_is_named():
    d = np.concatenate([np.full(10, 3.0) + differences(10, 0, seed) / 9 for seed in range(4)])
    rows, features = looks(40)
    scores = Scores.from_rows(
        {
            "picture": row["picture"],
            "set": "suspect",
            "sha256": row["sha256"],
            "score": one,
            "source": f"artist-{i // 10}",
            **SCORE,
        }
        for i, (row, one) in enumerate(zip(rows, d.tolist(), strict=True))
    )
    found = audit_table(scores, rows, features, lead="mirror", circumstances=MIRROR)
    assert (found.mirror.n, found.mirror.n_flipped) == (40, 4)
    assert found.claim.level == 0, "four coins say nothing"
    assert found.n_named is None


def test_those_that_fall_behind_their_mirror_images_are_told():
    found = audited(differences(60, -2))
    assert found.claim.level == 1
    assert "behind-mirror" in {flag.code for flag in found.flags}


def test_odds_are_the_upper_limit_of_what_a_reference_shows():
    even = np.tile([1.0, -1.0], 350)
    assert 1.2 < odds_of(even) < 1.35
    assert odds_of(even) < odds_of(even[:100])
    assert odds_of(-np.ones(1000)) == 1
    assert odds_of(np.zeros(5)) == 1e6, "nothing bounds them"


def test_odds_grow_where_large_differences_are_positive_more_often():
    size = np.linspace(0.1, 1, 400)
    sign = np.where(np.arange(400) % 2 == 0, 1.0, -1.0)
    flat = odds_of(size * sign)
    sign[-60:] = 1  # all of the large ones, as many small ones negative
    sign[:60] = -1
    assert odds_of(size * sign) > flat + 0.2
    assert odds_of(size * sign) == least_odds_against(size * sign, 0.001)


def test_the_upper_limit_is_too_low_as_rarely_as_it_says():
    rng = np.random.default_rng(0)
    made = [np.where(rng.random(40) < 2 / 3, 1, -1) * rng.exponential(1, 40) for _ in range(600)]
    too_low = sum(least_odds_against(one, 0.05) < 2 for one in made)
    assert too_low <= 48  # 99.9 % of Binomial(600, 0.05)
    assert least_odds_against(np.zeros(3), 0.05) == least_odds_against(np.ones(3), 0.05) == 1e6


def test_the_test_of_unseen_pictures_stays_what_it_is_beside_it():
    suspects, unseen = differences(60, 2), differences(60, 0, 1)
    found = audited(suspects, unseen, lead="first")
    assert found.mirror is not None
    assert found.lead == "score"
    assert found.pictures[0].p_value is not None
    plain = audited(suspects, unseen, lead="first", circumstances=Circumstances())
    assert plain.mirror is None
    assert "mirror" not in to_json(plain)
    assert plain.claim == found.claim


def test_a_picture_that_is_its_own_mirror_image_has_no_sign():
    assert mirror_test(np.zeros(9)) is None
    found = audited(np.zeros(9))
    assert found.claim.level == 0
    assert mirror_test(np.array([0.0, 1.0, -1.0])).n == 2


def test_a_power_analysis_says_how_many_would_do():
    d = differences(2000, 0.8)
    needed = mirror_test(d, Odds()).needed
    rng = np.random.default_rng(1)
    found = [mirror_test(rng.normal(0.8, 1, needed)).finds for _ in range(60)]
    assert sum(found) >= 40


def test_a_lead_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="lead"):
        audited(differences(5, 0), lead="mirrors")


def test_several_attacks_gather_what_each_sees_faintly():
    views = Circumstances(null_views={"score": "mirror", "second": "mirror", "third": "mirror"})
    faint = {name: differences(160, 0.62, seed) for seed, name in enumerate(views.null_views)}
    found = audited(faint.pop("score"), lead="mirror-cdi", circumstances=views, **faint)
    together = found.mirror_together
    assert found.mirror == together
    assert together.p_value < min(one.mirror.p_value for one in found.attacks)
    assert found.claim.grade == "3m"
    assert found.lead == "mirror-cdi"
    alone = audited(differences(160, 0.62), lead="mirror-cdi")
    assert (alone.claim.level, alone.mirror) == (0, None)


def test_a_picture_and_its_mirror_image_are_one_observation():
    rng = np.random.default_rng(5)
    pictures = [blurred(rng) for _ in range(20)]
    rows, features = stored(pictures + [one[:, ::-1] for one in pictures])
    d = np.concatenate([differences(20, 4), -differences(20, 4)])
    both = Scores.from_rows(
        {"picture": row["picture"], "set": "suspect", "sha256": row["sha256"], "score": one} | SCORE
        for row, one in zip(rows, d.tolist(), strict=True)
    )
    found = audit_table(both, rows, features, lead="mirror", circumstances=MIRROR)
    assert found.mirror.n == 40
    assert found.mirror.n_flipped <= 20
    assert found.mirror.p_value_alike > 0.05, "a model that knows one of the two proves nothing by knowing the other"
    assert sum(one.q_value is not None for one in found.pictures) == 20


def handed_table(n_reference, reference=None):
    """40 suspects whose left edge is dark, ahead of their mirror images, and reference pictures, half of them ahead."""
    rng = np.random.default_rng(5)
    dark = [picture.copy() for picture in (blurred(rng) for _ in range(40))]
    for picture in dark:
        picture[:, :10] //= 3
    others = [blurred(rng) for _ in range(n_reference)] if reference is None else reference(dark)
    rows, features = stored(dark)
    more, of_others = stored(others, "unseen")
    for row in more:
        row["sha256"] = f"{int(row['sha256'], 16) + 20_000:064x}"
    looks = {name: column | of_others.looks[name] for name, column in features.looks.items()}
    features = type(features)(features.encoder, features.vectors | of_others.vectors, looks)
    d = [*differences(40, 3), *(differences(len(others), 0, 2))]
    made = [
        {"picture": row["picture"], "set": row["set"], "sha256": row["sha256"], "score": float(one)} | SCORE
        for row, one in zip([*rows, *more], d, strict=True)
    ]
    return Scores.from_rows(made), rows + more, features


def test_pictures_that_are_not_handed_say_nothing_of_those_that_are():
    found = audit_table(*handed_table(60), lead="mirror", circumstances=MIRROR)
    assert (found.mirror.odds_from, found.chirality.finds, found.claim.level) == ("reference", True, 2)
    assert "given as of their kind cannot" in found.claim.because


def test_pictures_that_are_handed_alike_do():
    def alike(dark):
        rng = np.random.default_rng(8)
        others = [blurred(rng) for _ in range(60)]
        for picture in others:
            picture[:, :10] //= 3
        return others

    assert audit_table(*handed_table(60, alike), lead="mirror", circumstances=MIRROR).claim.grade == "3m"


def test_mirrored_copies_of_the_suspects_are_no_reference():
    table = handed_table(40, lambda dark: [picture[:, ::-1] for picture in dark])
    found = audit_table(*table, lead="mirror", circumstances=MIRROR)
    assert found.mirror.n_reference < 10
    assert found.claim.level < 3


def test_a_reference_both_ways_round_counts_once():
    def both(dark):
        rng = np.random.default_rng(8)
        others = [blurred(rng) for _ in range(30)]
        return others + [picture[:, ::-1] for picture in others]

    assert audit_table(*handed_table(60, both), lead="mirror", circumstances=MIRROR).mirror.n_reference == 30


def test_a_model_that_is_asked_with_a_class_needs_others_to_say_how_far_chance_goes():
    asked = Circumstances(null_views={"score": "mirror"}, conditioned_on="class")
    found = audited(differences(60, 3), circumstances=asked)
    assert found.claim.level == 2
    assert "class or caption" in found.claim.sentence
    assert audited(differences(60, 3), differences(200, 0, 2), circumstances=asked).claim.grade == "3m"


@pytest.mark.parametrize("repeats", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_many_works_of_a_source_each_a_little_ahead_prove_nothing(repeats):
    rng = np.random.default_rng(0)
    units = np.repeat(np.arange(40), 5)
    p = [
        mirror_test(np.abs(rng.normal(size=200)) * np.where(rng.random(200) < 2 / 3, 1, -1), Odds(), units).p_value
        for _ in range(repeats)
    ]
    assert np.mean(np.array(p) < 0.05) < 0.1


def test_what_bounds_the_odds_is_counted_by_source_where_works_of_one_hang_together():
    """Eight sources of ten works, six of them with a side of their own: pictures show a preference, sources none."""
    side = np.repeat([1, 1, 1, 1, 1, 1, -1, -1], 10)
    differences_ = side * (1 + np.arange(80) % 7)
    units = np.repeat(np.arange(0, 80, 10), 10)
    alone, together = (Odds.learnt("control model", differences_, way) for way in (None, units))
    assert (alone.prefers, together.prefers) == (True, False)
    assert (together.n, together.n_positive, together.units) == (80, 60, (8, 6))
    assert together.value > 2 * alone.value
    assert together.value == max(alone.value, odds_of(np.where(np.arange(8) < 6, 1.0, -1.0)))


@pytest.mark.parametrize("of", ["control model", "reference"])
def test_sources_of_a_reference_and_under_a_control_model_are_counted(of):
    handed = np.repeat([1, 1, 1, 1, 1, 1, -1, -1], 10) * (1.0 + np.arange(80) % 7)
    whose = {f"{name}{i}.png": f"{name}artist-{i // 10}" for i in range(80) for name in ("", "other-")}
    members = differences(80, 3)
    if of == "control model":
        plain, together = (
            audited(members, circumstances=CONTROLLED, sources=sources, **{"on-control": handed}).mirror
            for sources in ((), whose)
        )
    else:
        plain, together = (audited(members, handed, sources=sources).mirror for sources in ((), whose))
    assert (plain.n_reference, plain.n_reference_flipped) == (80, None)
    assert (together.n_reference, together.n_reference_flipped, together.n_reference_flipped_positive) == (80, 8, 6)
    assert together.odds > 2 * plain.odds
    assert answered(plain)
    assert answered(together) == (of == "reference"), "a control model that prefers no source says nothing"


def test_what_the_grid_of_jpeg_can_explain_is_no_claim():
    """100 files, 82 of them ahead: odds of 2.4 explain that, and JPEG's grid may favour such files as far."""
    d = np.where(np.arange(100) % 100 < 82, 1, -1) * (1.0 + np.arange(100) * 37 % 100)
    _, rows, features = table(d)
    known = replace(MIRROR, size=(32, 32))

    def asked(width, sizes=d):
        files = [{**row, "format": "JPEG", "width": width, "height": 40} for row in rows]
        return audit_table(table(sizes)[0], files, features, lead="mirror", circumstances=known)

    even, odd = asked(40), asked(39)
    assert (even.claim.level, odd.claim.level) == (3, 2)
    assert 2 < odd.mirror.odds_explaining < 3
    assert "JPEG" in odd.claim.sentence and "(100 here)" in odd.claim.because
    assert asked(39, differences(100, 4)).claim.level == 3, "nothing that chance does explains this"


def test_pictures_without_a_grid_do_not_say_how_far_the_grid_of_jpeg_goes():
    """A hundred others of which half are ahead, as JPEG files like the suspects or as PNG files."""
    d = np.where(np.arange(400) % 100 < 72, 1, -1) * (1.0 + np.arange(400) * 37 % 400)
    scores, rows, features = table(d, np.where(np.arange(400) % 2, 1, -1) * np.arange(1.0, 401.0))
    known = replace(MIRROR, size=(32, 32))

    def asked(reference):
        formats = {"suspect": "JPEG", "unseen": reference}
        files = [{**row, "format": formats[row["set"]], "width": 39, "height": 40} for row in rows]
        return audit_table(scores, files, features, lead="mirror", circumstances=known)

    alike, other = asked("JPEG"), asked("PNG")
    assert (alike.mirror.odds_from, alike.claim.level, other.claim.level) == ("reference", 3, 2)
    assert alike.mirror.odds_explaining < 3
    assert "mostly no such files" in other.claim.because
