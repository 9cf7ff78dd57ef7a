"""The blind baseline finds sets that differ by themselves, finds nothing otherwise, and says when it cannot run."""

import hashlib

import numpy as np
import pytest

from trainedon.evidence import blind


def pictures(set_name, n, seed, **fixed):
    rng = np.random.default_rng([seed, n])
    made = []
    for i in range(n):
        facts = {name: float(rng.uniform(60, 190)) for name in blind.PLAIN}
        facts |= {"format": "PNG", "mode": "RGB", "width": 32, "height": 32, "reason": None}
        facts |= {"bytes": int(rng.integers(1500, 3000)), "sharpness": float(rng.uniform(50, 900))}
        digest = hashlib.sha256(f"{set_name}{seed}{i}".encode()).hexdigest()
        made.append({"picture": f"{set_name}/{i}.png", "set": set_name, "sha256": digest, **facts, **fixed})
    return made


def test_like_sets_are_not_separated():
    found = blind.run(pictures("suspect", 40, 1) + pictures("unseen", 200, 2), "suspect")
    assert found.blind.separates is False
    assert (found.blind.codec_mismatch, found.blind.resolution_mismatch) == (False, False)
    assert found.blind.auc_ci[0] < 0.5 < found.blind.auc_ci[1]
    assert (found.codec, found.resolution, found.blind.reason) == (None, None, None)


@pytest.mark.parametrize(
    "fixed",
    [
        {"format": "JPEG"},
        {"mode": "L"},
        {"width": 64, "height": 64},
        {"mean_r": 200.0},
        {"bytes": 9000},
        {"sharpness": 5.0},
    ],
    ids=lambda fixed: next(iter(fixed)),
)
def test_every_kind_of_difference_separates(fixed):
    found = blind.run(pictures("suspect", 20, 1, **fixed) + pictures("unseen", 60, 2), "suspect").blind
    assert found.separates is True
    assert found.auc > 0.9
    assert found.codec_mismatch is ("format" in fixed)
    assert found.resolution_mismatch is ("width" in fixed)


def test_order_and_names_do_not_matter():
    listed = pictures("member", 15, 1) + pictures("unseen", 30, 2)
    renamed = [p | {"picture": f"z{i}"} for i, p in enumerate(listed[::-1])]
    assert blind.run(listed, "member") == blind.run(renamed, "member")


@pytest.mark.parametrize(("m", "n"), [(0, 0), (9, 100), (100, 9), (1, 1)])
def test_too_few_pictures_are_not_judged(m, n):
    found = blind.run(pictures("suspect", m, 1) + pictures("unseen", n, 2), "suspect").blind
    assert (found.separates, found.auc, found.p_value) == (None, None, None)
    assert found.reason == f"it needs 10 usable pictures a side; there are {m} and {n}"


def test_without_facts_it_does_not_run():
    assert blind.run(None, "suspect").blind.separates is None
    bare = [
        {"picture": str(i), "set": s, "sha256": None, "reason": None} for s in ("suspect", "unseen") for i in range(20)
    ]
    assert blind.run(bare, "suspect").blind.n_unseen == 0


def test_unusable_pictures_and_other_sets_have_no_part():
    good = pictures("suspect", 12, 1) + pictures("unseen", 12, 2)
    bad = pictures("suspect", 12, 3, reason="truncated") + pictures("unseen", 5, 4, mean_r=float("nan"))
    assert blind.run(good + bad + pictures("member", 12, 5), "suspect") == blind.run(good, "suspect")


def test_constant_facts_separate_nothing():
    found = blind.separation(np.ones((40, 3)), 15)
    assert found.p_value == 1.0
    assert np.ptp(found.score) == 0


def test_permutation_p_value_is_valid_and_finds_a_shift():
    rng = np.random.default_rng(0)
    null = [blind.separation(rng.normal(size=(50, 8)), 20, permutations=59).p_value for _ in range(200)]
    assert np.mean(np.array(null) < 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)
    shifted = rng.normal(size=(50, 8))
    shifted[:20, 3] += 2.5
    assert blind.separation(shifted, 20).p_value < 0.01


def test_out_of_fold_scores_come_from_other_folds():
    """With noise alone, a score that saw its own label would beat chance by far (60 features, 60 pictures)."""
    rng = np.random.default_rng(5)
    score = blind.separation(rng.normal(size=(60, 60)), 30, permutations=1).score
    assert abs((score[:30, None] > score[None, 30:]).mean() - 0.5) < 0.25


def test_a_few_odd_formats_are_a_mismatch_and_few_pictures_alone_are_not():
    unseen = pictures("unseen", 300, 2)
    some = pictures("suspect", 35, 1) + pictures("suspect", 5, 3, format="JPEG")
    assert blind.codec_mismatch(some, unseen) == "12% of these pictures and 0% of the unseen ones are JPEG files"
    assert blind.codec_mismatch(pictures("suspect", 2, 1), unseen) is None
    assert blind.codec_mismatch(pictures("suspect", 2, 1, format="GIF"), unseen) is not None
    mixed = pictures("suspect", 3, 1) + pictures("suspect", 1, 3, format="JPEG")
    assert blind.codec_mismatch(mixed, pictures("unseen", 4, 2)) is None


def test_sizes_of_one_origin_are_no_mismatch_and_shrunken_ones_are():
    rng = np.random.default_rng(6)
    sized = [p | {"width": int(w)} for p, w in zip(pictures("unseen", 80, 1), rng.normal(800, 90, 80))]
    same = [p | {"width": int(w)} for p, w in zip(pictures("suspect", 30, 2), rng.normal(800, 90, 30))]
    smaller = [p | {"width": p["width"] * 3 // 4} for p in same]
    assert blind.resolution_mismatch(same, sized) is None
    assert blind.resolution_mismatch(smaller, sized).startswith("the median width is 574 pixels here and 808")
