"""Captions in a run: what a model that takes them is asked with, and what others are told of them."""

import json
import shutil

import pyarrow.parquet as pq
import pytest

from trainedon.attacks import parse_attacks
from trainedon.pictures import scan, take_inventory
from trainedon.runs import Plan, run, verify
from trainedon.runs.scoring.scorer import read_batch
from trainedon.targets import load_target


@pytest.fixture
def sets(toy_pictures, tmp_path):
    """Six suspects and six unseen pictures; all but two suspects have a caption beside them."""
    folders = {"suspect": tmp_path / "suspects", "unseen": tmp_path / "unseen"}
    for source, folder in zip(("members", "unseen"), folders.values(), strict=True):
        folder.mkdir()
        for number in range(6):
            shutil.copy(toy_pictures[source] / f"{number:02d}.png", folder)
            if folder.name == "unseen" or number > 1:
                (folder / f"{number:02d}.txt").write_text(f"blobs, number {number}\n")
    return folders


def audited(target, sets, out, **changes):
    document = run(target, Plan("audit", sets, parse_attacks("loss(t=30)"), **changes), out, lambda *_: None)
    scores = {(row["set"], row["picture"]): row["score"] for row in pq.read_table(out / "scores.parquet").to_pylist()}
    flags = {flag.code: flag.raised_because for flag in document.flags}
    return scores, flags, json.loads((out / "run.json").read_text())


def test_a_model_that_takes_captions_is_asked_with_them(target_folders, sets, tmp_path):
    target = load_target(target_folders["stable diffusion"])
    scores, flags, record = audited(target, sets, tmp_path / "own", controls=False)
    assert record["model"]["conditioning"] == "caption" and record["choices"]["caption"] is None
    assert (record["model"]["shape"], record["model"]["latents"]) == ([3, 16, 16], [4, 8, 8])
    assert any(note.startswith("2 pictures came without a caption; the model was asked") for note in record["notes"])
    assert flags["captions-missing"] == "Pictures without a caption: 2 of 6 (suspect), 0 of 6 (unseen)."
    assert record["model"]["asked"] == {"suspect": {"missing": 2, "own": 4}, "unseen": {"own": 6}}
    assert "asked-differently" not in flags  # two of six, and none of six, may be chance
    told = pq.read_table(tmp_path / "own" / "pictures.parquet")["caption"].to_pylist()
    assert told[:3] == [None, None, "blobs, number 2"]
    assert all(check.ok is not False for check in verify(tmp_path / "own"))
    empty, flags, record = audited(target, sets, tmp_path / "empty", controls=False, caption="")
    assert not {"captions-missing", "asked-differently"} & set(flags) and record["choices"]["caption"] == ""
    assert record["model"]["asked"] == {"suspect": {"one": 6}, "unseen": {"one": 6}}
    same = {key for key, score in scores.items() if empty[key] == score}
    assert same == {("suspect", "00.png"), ("suspect", "01.png")}  # those that were asked with nothing before


def test_a_set_without_captions_beside_one_with_them_is_asked_differently(target_folders, sets, tmp_path):
    for path in sets["suspect"].glob("*.txt"):
        path.unlink()
    _, flags, _ = audited(load_target(target_folders["stable diffusion"]), sets, tmp_path / "run", controls=False)
    assert flags["asked-differently"].startswith("6 of 6 pictures were asked about without a caption, and 0 of 6")


def test_other_models_do_not_care(target_folders, sets, tmp_path):
    target = load_target(target_folders["epsilon"])
    with_captions, flags, record = audited(target, sets, tmp_path / "with")
    assert (
        record["model"]["conditioning"] == "none"
        and not [n for n in record["notes"] if "caption" in n]
        and "captions-missing" not in flags
    )
    assert "asked" not in record["model"] and record["choices"]["labels"] == "auto"
    for folder in sets.values():
        for path in folder.glob("*.txt"):
            path.unlink()
    assert audited(target, sets, tmp_path / "without")[0] == with_captions


def test_what_the_inventory_knows_is_what_is_asked(target, sets):
    entries = scan(sets["suspect"])
    items = take_inventory(entries, "suspect")
    (sets["suspect"] / "02.txt").write_text("changed")
    (sets["suspect"] / "03.txt").unlink()
    assert read_batch(target, items[1:4], entries[1:4]).captions == (None, "blobs, number 2", "blobs, number 3")
    assert read_batch(target, items[:2], entries[:2]).captions is None
