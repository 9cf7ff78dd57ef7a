"""The blind baseline finds sets that differ by themselves, finds nothing otherwise, and says when it cannot run."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from trainedon.evidence import FeatureTable
from trainedon.evidence.protocol import blind
from trainedon.evidence.protocol.rules import STANDARD_1


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


def test_numbers_that_are_not_finite_are_no_difference_that_was_not_found():
    listed = pictures("suspect", 30, 1) + pictures("unseen", 30, 2)
    listed[3]["detail"] = float("inf")
    found = blind.run(listed, "suspect").blind
    assert found.separates is found.p_value is None
    assert found.reason == "not all numbers of 'files and colours' are finite"


def test_unusable_pictures_and_other_sets_have_no_part():
    good = pictures("suspect", 12, 1) + pictures("unseen", 12, 2)
    bad = pictures("suspect", 12, 3, reason="truncated") + pictures("unseen", 5, 4, mean_r=float("nan"))
    assert blind.run(good + bad + pictures("member", 12, 5), "suspect") == blind.run(good, "suspect")


def features(listed, shift=0.0, d=64, seed=0):
    rng = np.random.default_rng(seed)
    shifted = {p["set"]: rng.normal(size=d) * shift * (p["set"] != "unseen") for p in listed}
    return FeatureTable(
        "any", {(p["set"], p["picture"]): (rng.normal(size=d) + shifted[p["set"]]).astype("f4") for p in listed}
    )


def test_what_pictures_show_separates_where_files_and_colours_do_not():
    listed = pictures("suspect", 40, 1) + pictures("unseen", 200, 2)
    same = blind.run(listed, "suspect", features(listed)).blind
    other = blind.run(listed, "suspect", features(listed, shift=0.5)).blind
    assert [view.name for view in same.views] == ["files and colours", "what they show"]
    assert (same.separates, other.separates) == (False, True)
    assert other.auc == other.views[1].auc > 0.9
    assert other.views[0] == same.views[0], "one view changed another"
    assert other.p_value <= 2 * other.views[1].p_value


def looks(listed, seed=0):
    """How pictures look, at random, but that the suspects' grain differs."""
    rng = np.random.default_rng(seed)
    sizes = {"layout": 224, "thumbnail": 1024, "grain": 33, "levels": 42, "borders": 10}
    keys = [(p["set"], p["picture"]) for p in listed]
    found = {name: {key: rng.normal(128, 30, size).clip(0, 255) for key in keys} for name, size in sizes.items()}
    found["thumbnail"] = {key: row.astype(np.uint8) for key, row in found["thumbnail"].items()}
    for key in keys:
        found["grain"][key][3] += 150 * (key[0] == "suspect")
    return found


def test_how_pictures_look_is_compared_beside_an_encoder_but_not_by_standard_1():
    listed = pictures("suspect", 30, 1) + pictures("unseen", 60, 2)
    table = replace(features(listed), looks=looks(listed))
    found = blind.run(listed, "suspect", table).blind
    views = {view.name: view for view in found.views}
    assert [*views][2:] == ["composition", "place", "position", "jitter", "grain", "levels", "borders"]
    assert found.separates and min(views, key=lambda name: views[name].p_value) == "grain"
    assert 0.7 < found.detectable < 0.9
    earlier = blind.run(listed, "suspect", table, rules=STANDARD_1).blind
    assert [view.name for view in earlier.views] == ["files and colours", "what they show"]
    assert earlier.separates is False and "detectable" not in earlier.model_dump()


def test_pictures_that_the_encoder_did_not_see_are_left_out():
    listed = pictures("suspect", 20, 1) + pictures("unseen", 40, 2)
    seen = features([p for p in listed if p["picture"] != "unseen/7.png"])
    assert blind.run(listed, "suspect", seen).blind.n_unseen == 39


def test_near_duplicates_count_once():
    listed = pictures("suspect", 20, 1) + pictures("unseen", 40, 2)
    rng = np.random.default_rng(3)
    for p in listed:
        p["phash"] = f"{int(rng.integers(2**63)):016x}"
    for p in listed[:5]:
        p |= {"phash": "00000000ffffffff", "mean_r": 0.5, "mean_g": 0.5, "mean_b": 0.5}
    assert blind.run(listed, "suspect").blind.n_pictures == 16


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
