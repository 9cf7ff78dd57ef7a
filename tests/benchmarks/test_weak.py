"""What a set gathers: scores are those of the attacks, and weights learn nothing from members."""

import numpy as np
import pytest

from benchmarks import weak
from trainedon.attacks import parse_attacks
from trainedon.evidence import auc
from trainedon.pictures import load_pictures


@pytest.fixture
def drawn():
    """200 members and 300 unseen pictures whose errors at one level are louder than at the others."""
    rng = np.random.default_rng(0)
    member = np.arange(500) < 200
    noise = np.array([1.0, 1.0, 1.0, 6.0])[:, None]
    errors = rng.normal(0, noise, (500, 3, 4, 6)) + 3 * rng.normal(size=(500, 1, 1, 1))
    errors[member, 0] -= 0.5
    return weak.Looked(errors, rng.normal(size=(500, 4)) + 0.1 * member[:, None], member)


def test_what_is_measured_are_the_scores_of_drc_and_the_peers(target_folders, toy_pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(weak, "DRAWS", 2)
    spec = ("toy", target_folders["epsilon"], toy_pictures["members"], toy_pictures["unseen"])
    one = weak.looked(spec, tmp_path, 6)
    assert one.errors.shape == (12, 3, 4, 2) and one.member.sum() == 6
    target = weak.opened(target_folders["epsilon"])
    pictures = load_pictures(toy_pictures["members"], target, 6)
    levels = "+".join(f"diffuse:{level}" for level in weak.LEVELS)
    drc, loss = parse_attacks(f"drc(degradation={levels}, restorations=2), loss(t=150)")
    np.testing.assert_allclose(one.gains[:6].mean((1, 2, 3)), drc.score(target, pictures), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(one.peers[:6, 0], loss.score(target, pictures), rtol=1e-6)
    again = weak.looked(("toy", "nothing", "nothing", "nothing"), tmp_path, 6)
    np.testing.assert_array_equal(one.errors, again.errors)


def test_weights_turn_from_what_is_loud(drawn):
    found = {
        name: auc(scores[drawn.member], scores[~drawn.member]).value
        for name, (_, scores, _) in weak.ways(drawn).items()
    }
    assert found["levels and views by inverse covariance"] > found["both views at four levels"] + 0.05
    assert found["`drc(restorations=6)`"] > found["`drc@2`"] > 0.6


def test_what_an_audit_may_use_learns_nothing_from_members(drawn):
    moved = weak.Looked(drawn.errors.copy(), drawn.peers.copy(), drawn.member)
    moved.errors[100:200, 0, 3] -= 50
    moved.peers[100:200] += 50
    for (name, (_, before, usable)), (_, after, _) in zip(
        weak.ways(drawn).items(), weak.ways(moved).values(), strict=True
    ):
        assert np.array_equal(before[:100], after[:100]) is usable, name


def test_the_test_finds_what_is_there_and_nothing_else(drawn):
    scores = np.random.default_rng(1).normal(size=500)
    assert weak.power(scores, drawn.member, 80) < 0.1
    assert weak.power(scores + 2 * drawn.member, drawn.member, 40) == 1
    assert weak.power(scores, drawn.member, 200) is None


def test_tests_of_several_columns_find_what_stands_in_one_of_them(drawn, monkeypatch):
    monkeypatch.setattr(weak, "TIMES", 5)
    monkeypatch.setattr(weak, "CDI_DEALS", 499)
    rng = np.random.default_rng(2)
    x = rng.normal(size=(500, 2))
    x[:, 1] += 1.2 * drawn.member
    for p_value in (weak.cdi_p, weak.corrected_p, weak.holm_p, weak.most_striking_p):
        test = weak.Columns(36, x, p_value)
        assert weak.found_by(test, drawn.member, 40) >= 0.9, p_value
        assert weak.found_by(test, drawn.member, 40, null=True) <= 0.2, p_value
        assert weak.found_by(test, drawn.member, 200) is None is weak.found_by(test, drawn.member, 290, null=True)


def test_the_table_stands_between_its_marks(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(weak, "SUSPECTS", (40,))
    monkeypatch.setattr(weak, "TIMES", 2)
    monkeypatch.setattr(weak, "CDI_DEALS", 99)
    for kind, rows in (("members", drawn.member), ("unseen", ~drawn.member)):
        np.savez(tmp_path / f"toy-{kind}.npz", errors=drawn.errors[rows], peers=drawn.peers[rows])
    page = tmp_path / "page.md"
    page.write_text(f"{weak.BEGIN}\n{weak.END}\n")
    weak.main(["--target", "toy", "a", "b", "c", "--out", str(tmp_path), "--page", str(page)])
    text = page.read_text()
    assert (
        "`toy`, 200 members, 300 unseen pictures:" in text and "| `logistic` of `drc` and the peers | 42 | 0." in text
    )
    assert "| `pia(t=50)` | 2 |" in text and "| `cdi` of" in text
    assert "| `drc-set`: `cdi` of both views | 36 | - |" in text
