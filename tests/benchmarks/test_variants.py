"""Settings that are put together of what was measured once are those of the attack."""

import numpy as np
import pytest

from benchmarks import variants
from trainedon.attacks import parse_attacks
from trainedon.pictures import load_pictures


def test_what_is_put_together_is_what_the_attack_scores(target_folders, toy_pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(variants, "DRAWS", 1)
    spec = ("toy", target_folders["epsilon"], toy_pictures["members"], toy_pictures["unseen"])
    one = variants.seen(spec, tmp_path, 3)
    assert one.gains.shape == (6, 3, 6, 1) and one.member.sum() == 3
    levels = "+".join(f"diffuse:{level}" for level in variants.LEVELS)
    (attack,) = parse_attacks(f"drc@2(degradation={levels}, restorations=1)", seed=0)
    target = variants.opened(target_folders["epsilon"])
    expected = attack.score(target, load_pictures(toy_pictures["members"], target, 3))
    np.testing.assert_allclose(variants.settings()["six levels once"][1](one)[:3], expected, rtol=1e-5, atol=1e-7)


def test_a_view_that_leaves_a_picture_as_it_is_has_no_say():
    gains = np.zeros((3, 3, 6, 4))
    gains[:, 1] = 1.0
    one = variants.Seen(gains, np.array([[0.5, 0.5, 0.5], [0.01, 0.5, 0.5], [0.01, 0.02, 0.5]]), np.array([True] * 3))
    hard, soft = (score(one) for name, (_, score) in variants.settings().items() if name.startswith("views"))
    assert hard.tolist() == [0.5, 1.0, 0.5] and soft[0] == pytest.approx(0.5) and 0.5 < soft[2] < soft[1] < 1


def test_looks_in_turn_leave_no_view_out():
    gains = np.zeros((2, 3, 6, 4))
    gains[:, 0], gains[:, 1] = 1.0, 3.0
    one = variants.Seen(gains, np.array([[0.5, 0.5, 0.5], [0.01, 0.5, 0.5]]), np.array([True, False]))
    assert one.in_turn(variants.LEVELS, 2).tolist() == [2.0, 2.0]
    assert one.in_turn(variants.LEVELS, 2, nearest=0.02).tolist() == [2.0, 3.0]


def test_a_difference_has_the_error_that_many_draws_of_it_show():
    rng, member, found = np.random.default_rng(0), np.arange(140) < 60, []
    for _ in range(300):
        same = rng.normal(member, 1)
        scores, others = same + rng.normal(0, 0.3, 140), same + rng.normal(0, 1, 140)
        found.append(variants.compared(scores, others, member))
    _, differences, errors = np.array(found).T
    assert np.mean(errors) == pytest.approx(np.std(differences), rel=0.15)


def test_the_table_stands_between_its_marks(tmp_path):
    rng = np.random.default_rng(0)
    for kind in ("members", "unseen"):
        np.savez(tmp_path / f"toy-{kind}.npz", gains=rng.normal(size=(30, 3, 6, 4)), apart=rng.random((30, 3)))
    page = tmp_path / "page.md"
    page.write_text(f"{variants.BEGIN}\n{variants.END}\n")
    variants.main(["--target", "toy", "a", "b", "c", "--out", str(tmp_path), "--page", str(page)])
    assert "| setting | passes | `toy` (30 + 30) |" in page.read_text() and "| `drc@2` | 24 | 0." in page.read_text()
