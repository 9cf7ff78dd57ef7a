"""Targets with known members: trained by recipe, and their pictures parted by what the manifest says."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import flow
from benchmarks.targets import MADE, Made, Stored, in_order, known, make, openmoji, split, stored
from trainedon.attacks import parse_attacks
from trainedon.errors import UserError
from trainedon.pictures import load_pictures, scan
from trainedon.targets import load_target
from trainedon.training import Recipe

TOY = Made("faces", 9, Recipe(size=16, widths=(8, 16), passes=3, batch_size=6), (2,))


def silent(what, done, total):
    pass


@pytest.fixture(scope="module")
def made(toy_pictures, tmp_path_factory):
    out = tmp_path_factory.mktemp("tuning")
    return out, make("toy", TOY, toy_pictures["members"], out, silent)


def digests(folder: Path) -> set[str]:
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.png")}


def test_a_target_and_its_snapshot_are_models_that_can_be_audited(made):
    out, specs = made
    assert [spec.partition("=")[0] for spec in specs] == ["toy", "toy@2"]
    first, second = (known(spec, out) for spec in specs)
    assert load_target(first.model).identity.digest != load_target(second.model).identity.digest


def test_the_same_command_trains_nothing_again(made, toy_pictures):
    out, specs = made
    weights = out / "toy" / "unet" / "diffusion_pytorch_model.safetensors"
    before = weights.stat().st_mtime_ns
    assert make("toy", TOY, toy_pictures["members"], out, silent) == specs
    assert weights.stat().st_mtime_ns == before


def test_a_target_without_its_snapshot_is_refused(made, toy_pictures):
    out, _ = made
    with pytest.raises(UserError, match="without its snapshot after 1 passes"):
        make("toy", Made(TOY.pictures, TOY.draw, TOY.recipe, (1,)), toy_pictures["members"], out, silent)


@pytest.mark.parametrize("number", [0, 1])
def test_pictures_are_parted_as_the_manifest_says(made, toy_pictures, tmp_path, number):
    out, specs = made
    one = known(specs[number], tmp_path)
    manifest = json.loads((out / "toy" / "manifest.json").read_text("utf-8"))
    members = {row["sha256"] for row in manifest["pictures"] if row["member"]}
    assert digests(one.members) == members and len(members) == 9
    assert digests(one.unseen) == digests(toy_pictures["members"]) - members
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert known(specs[number], tmp_path) == one
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_pictures_of_another_model_or_too_few_are_refused(made, toy_pictures, tmp_path):
    manifest = json.loads((made[0] / "toy" / "manifest.json").read_text("utf-8"))
    with pytest.raises(UserError, match="24 of 24 pictures of the manifest are missing"):
        split(manifest, stored(toy_pictures["unseen"]), tmp_path)
    split(manifest, stored(toy_pictures["members"]), tmp_path)
    with pytest.raises(UserError, match="pictures of another model"):
        split(manifest | {"seed": 5}, stored(toy_pictures["members"]), tmp_path)


def test_a_manifest_of_members_alone_is_refused(tmp_path):
    manifest = {"pictures": [{"sha256": hashlib.sha256(b"a").hexdigest(), "member": True}]}
    with pytest.raises(UserError, match="no unseen picture"):
        split(manifest, [Stored(b"a")], tmp_path)


def test_labels_and_captions_stay(tmp_path):
    rows = [{"sha256": hashlib.sha256(data).hexdigest(), "member": data == b"a"} for data in (b"a", b"b")]
    split({"pictures": rows}, [Stored(b"a", 3, "an a"), Stored(b"b")], tmp_path)
    assert [path.parent.name for path in tmp_path.glob("members/*/*/*.png")] == ["3"]
    assert [path.read_text() for path in tmp_path.rglob("*.txt")] == ["an a\n"]
    assert len(list(tmp_path.glob("unseen/*.png"))) == 1


def test_the_first_so_many_are_of_all_labels(tmp_path):
    every = [Stored(f"\x89PNG {n}".encode(), n // 20) for n in range(60)]
    rows = [{"sha256": hashlib.sha256(one.data).hexdigest(), "member": n % 2 == 0} for n, one in enumerate(every)]
    split({"pictures": rows}, every, tmp_path)
    first = [entry.label for entry in scan(tmp_path / "members", 12)]
    assert {*first} == {0, 1, 2} and first != sorted(first)


def test_arrays_have_no_files_to_copy(tmp_path):
    np.savez(tmp_path / "pictures.npz", images=np.zeros((2, 8, 8, 3), dtype=np.uint8))
    with pytest.raises(UserError, match="holds arrays"):
        list(stored(tmp_path / "pictures.npz"))


@pytest.mark.parametrize("text", ["model:a:b", "n=model", "n=model:a:b:c", "n=:a:b", "a/b=m:a:b", "pictures=m:a:b"])
def test_what_is_no_target_is_refused(text, tmp_path):
    with pytest.raises(UserError, match=r"is no target|cannot be called"):
        known(text, tmp_path)


def test_a_model_without_a_manifest_needs_both_sources(target_folders, toy_pictures, tmp_path):
    model = target_folders["epsilon"]
    with pytest.raises(UserError, match=r"no manifest.json"):
        known(f"toy={model}:{toy_pictures['members']}", tmp_path)
    one = known(f"toy={model}:{toy_pictures['members']}:{toy_pictures['unseen']}", tmp_path)
    assert (one.members, one.unseen) == (toy_pictures["members"], toy_pictures["unseen"])


def test_the_embedded_model_comes_with_its_pictures(tmp_path):
    one = openmoji(tmp_path)
    assert (len(digests(one.members)), len(digests(one.unseen))) == (256, 1062)


def test_every_recipe_has_a_network_and_a_seed_of_its_own():
    assert len({made.recipe.seed for made in MADE.values()}) == len(MADE)
    assert all(max(made.snapshots, default=0) < made.recipe.passes for made in MADE.values())


def test_what_a_target_needs_is_made_before_it():
    assert in_order(["moji-lora"]) == ["moji-kl", "moji-text", "moji-lora"]
    assert in_order(["moji-v", "faces-narrow"]) == ["faces-narrow", "moji-v"]
    assert in_order(MADE) == list(MADE)


def test_a_flow_model_is_made_and_opened(toy_pictures, tmp_path):
    recipe = flow.FlowRecipe(size=16, widths=(8, 16), passes=40, batch_size=3, learning_rate=2e-3, warmup=5, ema=0.9)
    made = make("flow", Made("faces", 3, recipe, (1,)), toy_pictures["members"], tmp_path, silent)
    late, early = (flow.opened(known(spec, tmp_path).model) for spec in made)
    members = load_pictures(known(made[0], tmp_path).members, late)
    loss, hide = parse_attacks("loss(t=300), drc-hide(steps=2, restorations=1)", ("gradients",))
    assert late.prediction == "flow" and late.shape == (3, 16, 16)
    assert loss.score(late, members).mean() > loss.score(early, members).mean() + 0.1
    assert np.isfinite(hide.score(late, members)).all()
    assert make("flow", Made("faces", 3, recipe, (1,)), toy_pictures["members"], tmp_path, silent) == made
