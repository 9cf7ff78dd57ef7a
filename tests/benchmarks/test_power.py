"""How many pictures a finding takes: what is reckoned is what the test does."""

import pytest

from benchmarks import power
from trainedon.evidence.protocol.power import pictures_needed
from trainedon.evidence.statistics.pvalues import Deals


def test_so_many_pictures_are_enough_in_four_cases_of_five_and_half_of_them_are_not(monkeypatch):
    monkeypatch.setattr(power, "DEALT", Deals(1_999))  # enough for p-values near .01
    needed = pictures_needed(0.6, 300, power.LEVEL).suspects
    assert 0.7 < power.reached(0.6, needed, 300, 300) < 0.9
    assert power.reached(0.6, needed // 2, 300, 300) < 0.65
    assert power.reached(0.5, needed, 300, 300) < 0.04


def test_the_smallest_effect_is_the_one_that_needs_so_many():
    effect = power.smallest(40, 1_000)
    assert pictures_needed(effect + 0.001, 1_000, power.LEVEL).suspects <= 40
    assert pictures_needed(effect - 0.005, 1_000, power.LEVEL).suspects > 40


def test_the_tables_stand_between_their_marks(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{power.BEGIN}\n{power.END}\nafter\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(power, "EFFECTS", (0.9,))
        patch.setattr(power, "UNSEEN", (100,))
        power.main(["--times", "5", "--page", str(page)])
    text = page.read_text()
    assert text.startswith(f"before\n{power.BEGIN}\n") and text.endswith(f"{power.END}\nafter\n")
    assert "| 0.9 | 6 (" in text and capsys.readouterr().out.strip() in text
