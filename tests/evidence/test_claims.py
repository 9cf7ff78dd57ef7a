"""The ladder, rung by rung, and the words on it."""

import itertools

import pytest

from trainedon.evidence.protocol.claims import claim
from trainedon.evidence.protocol.documents import Blind, ConditioningControl, SetEvidence, UnseenControl
from trainedon.evidence.protocol.flag_words import KNOWN, flag
from trainedon.evidence.protocol.obstacles import of_blind, of_conditioning, of_power, of_unseen
from trainedon.evidence.protocol.rules import STANDARD_1, STANDARD_2
from trainedon.evidence.statistics.pvalues import smallest_p

NEVER = ("prove", "contain", "was copied", "were copied", "probability", "likely", "member")


def evidence(p):
    given = {"p_value": p, "p_value_holm": p, "n_permutations": 9999, "effect": 0.7, "effect_ci": (0.6, 0.8)}
    return SetEvidence(**given, effect_ci_method="delong", needed=None, part=None)


def blind(separates=False, codec=False, resolution=False):
    numbers = {"auc": None, "auc_ci": None, "p_value": None, "level": 0.05, "n_pictures": 9, "n_unseen": 9}
    numbers |= {"views": (), "reason": "too few" if separates is None else None}
    return Blind(**numbers, separates=separates, codec_mismatch=codec, resolution_mismatch=resolution)


def unseen_control(p=0.5):
    return UnseenControl(p_value=p, level=0.001, finds=p < 0.001)


def level(
    p=0.001,
    control=None,
    suspects=40,
    unseen=200,
    given_unseen=True,
    tests=1,
    again=0.5,
    randomised=False,
    conditioning=None,
):
    counts = {"suspects": suspects, "unseen": unseen, "given_unseen": given_unseen, "tests": tests}
    found = (of_unseen(unseen_control(again)), of_conditioning(conditioning), of_blind(control or blind()))
    return claim(evidence(p), [*filter(None, found)], **counts, rules=STANDARD_2, randomised=randomised)


def test_zero_when_nothing_could_be_found():
    assert level(suspects=0).level == 0
    assert level(unseen=0).level == 0
    assert level(suspects=1, unseen=98).level == 0
    assert level(suspects=1, unseen=100).level == 3
    assert level(suspects=1, unseen=150, tests=2).level == 0
    assert level(suspects=1, unseen=98).sentence.startswith("Not estimable: ")


def test_one_without_unseen_pictures_whatever_the_numbers():
    found = level(given_unseen=False, unseen=0)
    assert found.level == 1
    assert found.sentence.startswith("These are scores alone")


def test_one_when_nothing_is_found_and_the_sentence_says_so():
    for p in (0.01, 0.5):
        found = level(p=p)
        assert found.level == 1
        assert found.sentence == "No sign of training was found; this does not show that the pictures were not used."


@pytest.mark.parametrize("control", [blind(True), blind(codec=True), blind(resolution=True), blind(None)])
def test_two_when_a_control_fails_or_was_not_run(control):
    assert level(control=control).level == 2


def test_two_when_unseen_pictures_differ_from_unseen_pictures():
    assert level(again=0.0009).level == 2
    assert level(again=0.0011).level == 3
    assert level(again=0.0009, randomised=True).level == 2


def test_two_when_the_model_was_not_conditioned_alike_coins_or_not():
    def conditioned(differs):
        because = "they differ" if differs else None
        return ConditioningControl(
            by="class", ways={}, classes_p_value=None, level=0.01, differs=differs, because=because
        )

    for coins in (False, True):
        assert level(conditioning=conditioned(True), randomised=coins).level == 2
        assert level(conditioning=conditioned(False), randomised=coins).level == 3 + coins
        assert level(p=0.5, conditioning=conditioned(True), randomised=coins).level == 1
    assert "not asked alike" in level(conditioning=conditioned(True)).sentence


def test_four_needs_coins_and_a_finding_and_no_control_that_failed():
    assert level(randomised=True).level == 4
    assert level(randomised=True, control=blind(None)).level == 2
    assert level(randomised=True, control=blind(True)).level == 2
    assert level(randomised=True, control=blind(codec=True)).level == 2
    assert "randomised evidence" in level(randomised=True).sentence
    assert level(p=0.01, randomised=True).level == 1
    assert level(randomised=True, given_unseen=False, unseen=0).level == 1
    assert level(randomised=True, unseen=0).level == 0


def test_zero_when_the_test_of_all_attacks_cannot_be_made():
    counts = {"suspects": 40, "unseen": 200, "given_unseen": True}
    found = claim(None, [], **counts, rules=STANDARD_2)
    assert (found.level, "CDI needs two attacks" in found.because) == (0, True)


def test_a_difference_against_the_direction_of_training_is_told_and_claims_nothing():
    lower = evidence(0.9).model_copy(update={"effect": 0.2, "effect_ci": (0.1, 0.3)})
    counts = {"suspects": 40, "unseen": 200, "given_unseen": True}
    found = claim(lower, [], **counts, rules=STANDARD_2)
    assert found.level == 1
    assert "speaks against training" in found.sentence
    assert "No sign" in claim(lower, [], **counts, rules=STANDARD_1).sentence


def test_three_needs_a_finding_and_every_control():
    found = level(p=0.0099)
    assert found.level == 3
    assert "consistent with training" in found.sentence
    assert "exchangeable" in found.sentence


def test_no_combination_reaches_four_without_coins_or_uses_a_forbidden_word():
    for p, separates, codec, m, n, given, coins in itertools.product(
        (1e-4, 0.5), (True, False, None), (True, False), (0, 1, 40), (0, 20, 500), (True, False), (True, False)
    ):
        found = level(p, blind(separates, codec), m, n if given else 0, given, randomised=coins)
        assert found.level <= 3 + coins
        if not given:
            assert found.level <= 1
        if separates is not False or codec:
            assert found.level <= 2
        text = (found.sentence + found.because).lower()
        assert not [word for word in NEVER if word in text]
        assert found.sentence.endswith(".")


def test_not_estimable_agrees_with_the_test_itself():
    for m, n in itertools.product((1, 2, 3, 10), (1, 5, 13, 14, 99, 100)):
        assert (level(suspects=m, unseen=n).level == 0) is (smallest_p(m, n) >= 0.01)


def test_so_many_tests_that_no_number_of_permutations_could_find_anything():
    assert level(p=0.005, tests=99).level == 3
    assert level(p=0.01, tests=1000).level == 0


def test_every_flag_says_what_it_means_and_what_to_do():
    for code, (meaning, remedy) in KNOWN.items():
        raised = flag(code, "Because.")
        assert (raised.code, raised.meaning, raised.remedy) == (code, meaning, remedy)
        assert meaning.endswith(".")
        assert remedy.endswith(".")
    with pytest.raises(KeyError):
        flag("unheard-of", "Because.")


def test_everything_that_stands_against_more_is_told_and_by_the_first_protocol_one_thing():
    found = [of_unseen(unseen_control(0.0001)), of_blind(blind(True))]
    counts = {"suspects": 40, "unseen": 200, "given_unseen": True}
    both, first = (claim(evidence(0.001), found, **counts, rules=rules) for rules in (STANDARD_2, STANDARD_1))
    assert both.sentence == first.sentence
    assert "unseen pictures differ" in first.because
    assert both.because == f"{first.because}; and the blind baseline separates the sets"


def test_too_few_pictures_for_the_controls_stand_in_the_way():
    assert of_power(40, 40) is None
    assert of_power(25, 100) is None
    assert "0.80 is asked for" in of_power(20, 200).because
