"""Sets that differ by themselves stay at claim level 2, whatever the attack; short form of `benchmarks/shifts.py`."""

import json
from pathlib import Path

import numpy as np
import pytest
from slowly import slowly

from benchmarks.shifts import SHIFTS, audited, changed, pool, told_apart
from trainedon.attacks import parse_attacks
from trainedon.embedded import demo
from trainedon.embedded import emoji as designs
from trainedon.noise import generator
from trainedon.runs import Plan, run
from trainedon.targets import load_target


@pytest.fixture(scope="module")
def artworks(tmp_path_factory):
    """Eighty designs of the demo, drawn at random."""
    folder = tmp_path_factory.mktemp("designs")
    manifest = json.loads((demo.model_folder() / "manifest.json").read_text("utf-8"))
    drawn = generator(0, "shifts").permutation(len(manifest["pictures"]))[:80]
    paths = [folder / manifest["pictures"][i]["picture"] for i in drawn]
    for path in paths:
        path.write_bytes(designs.render(path.stem))
    return paths


@pytest.mark.parametrize("shift", ["contrast -10 %", *slowly("saved as JPEG", "once 3/4 of the size")])
def test_pictures_saved_in_another_way_never_get_above_level_two(artworks, shift):
    found = audited(artworks[:40], artworks[40:], SHIFTS[shift])
    assert found.set.effect == 1
    assert found.claim.level == 2


def test_the_same_pictures_saved_alike_reach_level_three(artworks):
    found = audited(artworks[:40], artworks[40:], SHIFTS["none"])
    assert found.claim.level == 3
    assert 0.6 < found.blind.detectable < 0.9


def test_a_cut_that_lies_a_pixel_off_is_seen(artworks, tmp_path):
    large = [tmp_path / path.name for path in artworks]
    for path in large:
        path.write_bytes(designs.render(path.stem, 64))
    there = pool(changed(large[:40], "none", 32), "suspect")
    off = pool(changed(large[40:], "cut 1 px off", 32), "unseen")
    assert told_apart(there, off, np.arange(40), np.arange(40))


def test_another_domain_never_gets_above_level_two(artworks, shared):
    faces = sorted((shared / "data" / "celeba32" / "unseen").glob("*.png"))[:60]
    assert audited(artworks[:20], faces, SHIFTS["none"]).claim.level == 2


@pytest.mark.slow
@pytest.mark.parametrize(("asked", "level"), [("members", 3), ("unseen", 1)])
def test_a_real_target_and_forty_pictures(shared, tmp_path, asked, level):
    data = shared / "data" / "celeba32"
    unseen = sorted((data / "unseen").glob("*.png"))
    suspects = sorted((data / asked).glob("*.png"))[:40]
    sets = {"suspect": linked(suspects, tmp_path / "suspects"), "unseen": linked(unseen[40:240], tmp_path / "unseen")}
    plan = Plan(kind="audit", sets=sets, attacks=parse_attacks("loss"), follow_links=True)
    found = run(load_target(shared / "targets" / "celeba32"), plan, tmp_path / "run", lambda *_: None)
    assert found.claim.level == level
    assert (found.set.p_value < 0.01) is (level == 3)


def linked(paths, folder: Path) -> Path:
    folder.mkdir()
    for path in paths:
        (folder / path.name).symlink_to(path)
    return folder
