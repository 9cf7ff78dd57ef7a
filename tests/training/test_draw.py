"""Coins that decide what a model is given, and the audit that knows them."""

import json
import shutil

import pytest
from PIL import Image

from trainedon.attacks import parse_attacks
from trainedon.errors import UserError
from trainedon.evidence import coin, commitment, read_draw
from trainedon.pictures import scan, take_inventory
from trainedon.runs import Plan, run, verify
from trainedon.targets import load_target
from trainedon.training import draw_pictures


@pytest.fixture
def pictures(toy_pictures, tmp_path):
    folder = tmp_path / "pictures"
    shutil.copytree(toy_pictures["members"], folder / "a")
    shutil.copytree(toy_pictures["unseen"], folder / "b")
    return folder


def names(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}


def test_every_picture_goes_where_its_coin_says(pictures, tmp_path):
    draw = draw_pictures(pictures, tmp_path / "draw")
    assert draw == read_draw(tmp_path / "draw" / "draw.json")
    included, held_out = names(tmp_path / "draw" / "included"), names(tmp_path / "draw" / "held-out")
    assert included == {one.picture for one in draw.pictures if one.included}
    assert included | held_out | {one.picture for one in draw.set_aside} == names(pictures)
    assert not included & held_out
    assert all(one.included == coin(draw.secret, one.sha256) for one in draw.pictures)
    assert len(draw.secret) == 32
    assert draw_pictures(pictures, tmp_path / "again").secret != draw.secret


def test_captions_go_with_their_pictures(pictures, tmp_path):
    (pictures / "a" / "03.txt").write_text("a blue blob")
    (pictures / "metadata.jsonl").write_text(json.dumps({"file_name": "b/05.png", "text": "two blobs"}))
    draw_pictures(pictures, tmp_path / "draw")
    said = {
        item.picture: item.caption
        for folder in ("included", "held-out")
        for item in take_inventory(scan(tmp_path / "draw" / folder), "member")
        if item.caption
    }
    assert said == {"a/03.png": "a blue blob", "b/05.png": "two blobs"}


def test_copies_and_broken_pictures_are_set_aside(pictures, tmp_path):
    original = pictures / "a" / "00.png"
    shutil.copy(original, pictures / "copy.png")
    (pictures / "broken.png").write_bytes(original.read_bytes()[:60])
    image = Image.open(original)
    image.resize((64, 64), Image.Resampling.LANCZOS).save(pictures / "larger.png")
    draw = draw_pictures(pictures, tmp_path / "draw", secret="s")
    aside = {one.picture: one.reason for one in draw.set_aside}
    assert {"copy.png", "broken.png"} <= set(aside)
    assert ("larger.png" in aside) != ("a/00.png" in aside), "two that look alike"
    assert aside["copy.png"] == "exact duplicate of a/00.png"


def test_what_cannot_be_drawn_is_refused(pictures, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(UserError, match="is not empty"):
        draw_pictures(pictures, tmp_path / "full")
    import numpy as np

    np.savez(tmp_path / "p.npz", np.random.default_rng(0).integers(0, 255, (4, 16, 16, 3), dtype=np.uint8))
    with pytest.raises(UserError, match="arrays cannot be drawn"):
        draw_pictures(tmp_path / "p.npz", tmp_path / "new")


def test_a_secret_that_digests_could_be_the_end_of_is_refused(pictures, tmp_path):
    draw = draw_pictures(pictures, tmp_path / "draw", secret="s")
    first, *others = sorted(draw.pictures, key=lambda one: one.sha256)
    secret = f"s\x1f{first.sha256}"
    assert commitment(secret, [one.sha256 for one in others]) == draw.commitment
    tossed = tuple(one.model_copy(update={"included": coin(secret, one.sha256)}) for one in others)
    other = draw.model_copy(update={"secret": secret, "pictures": tossed})
    (tmp_path / "draw.json").write_text(other.model_dump_json())
    with pytest.raises(UserError, match="draw again with another secret"):
        read_draw(tmp_path / "draw.json")
    with pytest.raises(UserError, match="draw again with another secret"):
        draw_pictures(pictures, tmp_path / "again", secret=secret)
    assert not (tmp_path / "again").exists()


def test_a_run_knows_its_coins_and_holds_to_them(pictures, target_folders, tmp_path):
    draw = tmp_path / "draw"
    drawn = draw_pictures(pictures, draw, secret="s")
    target = load_target(target_folders["epsilon"])

    def plan(kind, asked, **changes):
        sets = {asked: draw / "included", "unseen": draw / "held-out"}
        given = {"kind": kind, "sets": sets, "attacks": parse_attacks("loss"), "draw": draw / "draw.json"}
        return Plan(**given | changes)

    def quiet(what, done, total):
        pass

    found = run(target, plan("audit", "suspect"), tmp_path / "audit", quiet)
    assert found.randomised.commitment == drawn.commitment
    assert found.claim.level <= 1  # the model has seen none of them
    bound = run(target, plan("evaluate", "member"), tmp_path / "evaluate", quiet).attacks[0].one_run
    assert bound.n_included == found.randomised.n_included
    assert "coins" in (tmp_path / "evaluate" / "report.html").read_text()
    for out in ("audit", "evaluate"):
        assert not [check for check in verify(tmp_path / out) if check.ok is False]
    with pytest.raises(UserError, match="holds a run with other choices"):
        run(target, plan("audit", "suspect", draw=None), tmp_path / "audit", quiet)
    with pytest.raises(UserError, match="missing"):
        run(target, plan("audit", "suspect", limit=5), tmp_path / "some", quiet)
    assert json.loads((tmp_path / "audit" / "draw.json").read_text())["secret"] == "s"


def test_every_picture_that_is_included_or_held_out_is_there_under_a_name_that_trainers_find(pictures, tmp_path):
    import tarfile

    names_ = ["plain.png", ".hidden.png", "no-suffix", "a/../b.png", "UP.png", "up.png", "con.png", "q?.png"]
    with tarfile.open(tmp_path / "odd.tar", "w") as tar:
        for name, path in zip(names_, sorted(pictures.rglob("*.png"))):
            tar.add(path, name)
    drawn = draw_pictures(tmp_path / "odd.tar", tmp_path / "draw", secret="s")
    listed = {one.sha256 for one in drawn.pictures}
    found = {
        item.sha256
        for folder in ("included", "held-out")
        if (tmp_path / "draw" / folder).exists()
        for item in take_inventory(scan(tmp_path / "draw" / folder), "member")
    }
    assert found == listed and len(listed) >= 5
    assert not [path for path in tmp_path.rglob("b.png") if tmp_path / "draw" not in path.parents]
    renamed = {one.picture: one.file for one in drawn.pictures if one.file}
    assert "plain.png" not in renamed and all(name not in renamed.values() for name in renamed)
    assert read_draw(tmp_path / "draw" / "draw.json") == drawn
