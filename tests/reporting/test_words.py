"""Sentences and numbers."""

import pytest

from trainedon.reporting import words


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.98765, "0.988"), (0.0, "0"), (-0.5, "−0.500"), (40.0, "40"), (12345.6, "1.23e4"), (0.00001, "1.00e−5")],
)
def test_number(value, text):
    assert words.number(value) == text


def test_number_of_nothing():
    assert words.number(None) == words.number(float("nan")) == words.number(float("inf")) == "—"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "100 %"), (0.0, "0 %"), (0.9999, "more than 99.9 %"), (0.0001, "less than 0.1 %"), (0.725, "72.5 %")],
)
def test_share_never_rounds_to_certainty(value, text):
    assert words.share(value) == text.replace(" %", "\u00a0%")


@pytest.mark.parametrize(("p", "text"), [(0.01, "0.01"), (0.0001, "0.0001"), (0.025, "0.025"), (1.0, "1"), (None, "—")])
def test_p_value(p, text):
    assert words.p_value(p) == text


@pytest.mark.parametrize(
    ("p", "text"), [(1.0, "every time"), (0.5, "about 50 times in 100"), (1 / 101, "about once in 101")]
)
def test_odds(p, text):
    assert words.odds(p) == text


def test_standing_counts_what_it_says():
    assert "than for 98 of the 100 unseen pictures" in words.standing("hidden", 98, 100)
    assert "than for all 99 other unseen pictures" in words.standing("hidden", 99, 99, hidden=True)
    assert "no closer to the original" in words.standing("hidden", 0, 100)
    assert words.standing("noised", 7, 7) == (
        "Next to its mirror images, the model brought this picture back from noise closer to the original than for "
        "all 7 unseen pictures."
    )
    assert words.standing(None, 0, 7) == "The score is higher than for none of the 7 unseen pictures."


def test_coin_only_when_the_interval_holds_one_half():
    assert "coin" in words.pairs(0.6, [0.49, 0.7])
    assert "coin" not in words.pairs(0.6, [0.51, 0.7])
    assert "coin" not in words.pairs(0.6, None)


def test_not_estimable_says_how_many_are_needed():
    assert words.rate("0.01", None, 12) == ("not estimable", "n\u00a0=\u00a012, need\u00a0299")
    assert words.rate("0.01", None, 500) == ("not estimable", "no training picture was scored")


def test_moment_of_an_odd_text():
    assert words.moment("yesterday") == "yesterday"
    assert words.moment("2025-03-01T12:00:00+02:00") == "1 March 2025, 10:00 UTC"
