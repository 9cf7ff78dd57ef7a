"""What was passed over in a run: told everywhere, counted nowhere."""

import json
import shutil

import pyarrow.parquet as pq
import pytest

from trainedon import evidence
from trainedon.attacks import parse_attacks
from trainedon.cli import printing as tables
from trainedon.pictures import read_inventory, write_inventory
from trainedon.runs import Plan, conclude, run, verify
from trainedon.targets import load_target


@pytest.fixture
def sets(toy_pictures, tmp_path):
    """Four suspects and four unseen pictures."""
    folders = {"suspect": tmp_path / "suspects", "unseen": tmp_path / "unseen"}
    for source, folder in zip(("members", "unseen"), folders.values(), strict=True):
        folder.mkdir()
        for number in range(4):
            shutil.copy(toy_pictures[source] / f"{number:02d}.png", folder)
    return folders


def audited(target, sets, out):
    document = run(target, Plan("audit", sets, parse_attacks("loss(t=30)")), out, lambda *_: None)
    return document, json.loads((out / "run.json").read_text())


def wrong(out):
    return {check.name: check.detail for check in verify(out) if check.ok is False}


def test_it_is_told_and_enters_no_number(target_folders, sets, tmp_path, capsys):
    target = load_target(target_folders["epsilon"])
    plain, record = audited(target, sets, tmp_path / "plain")
    assert "passed_over" not in record["inputs"]["unseen"] and "passed over" not in page(tmp_path / "plain")
    for name in ("IMG_1.CR2", "IMG_2.CR2"):
        (sets["unseen"] / name).write_bytes(b"II*\0\x10\0\0\0CR\2\0" + bytes(99))
    (sets["unseen"] / "a <b>.pdf").write_bytes(b"%PDF-1.4")
    (sets["suspect"] / ".DS_Store").write_bytes(b"x")
    (sets["suspect"] / "README.txt").write_bytes(b"read me")
    found, told = audited(target, sets, tmp_path / "run")
    assert told["identity"] == record["identity"]
    assert told["inputs"]["unseen"] == record["inputs"]["unseen"] | {"passed_over": {"camera raw": 2, "PDF": 1}}
    assert told["inputs"]["suspect"]["passed_over"] == {"hidden or system file": 1, "text file": 1}
    (flag,) = [flag for flag in found.flags if flag.code == "passed-over"]
    assert flag.raised_because == (
        "Files that may hold pictures were passed over. Unseen: 2 camera raw (export it as JPEG or TIFF), "
        "1 PDF (export its pictures as JPEG or PNG)."
    )
    assert found.model_copy(update={"flags": plain.flags, "attacks": plain.attacks}) == plain  # but for seconds
    assert [attack.n_not_scored for attack in found.attacks] == [0]
    scores = [pq.read_table(tmp_path / name / "scores.parquet").drop_columns(["seconds"]) for name in ("plain", "run")]
    assert scores[0].equals(scores[1])
    assert "a &lt;b&gt;.pdf" in page(tmp_path / "run") and "5 other files passed over" in page(tmp_path / "run")
    tables.print_passed(evidence.passed_over(tmp_path / "run" / "pictures.parquet"))
    assert capsys.readouterr().out.splitlines() == [
        "suspect: 2 files passed over: 1 hidden or system file (.DS_Store), 1 text file (README.txt)",
        "unseen: 3 files passed over: 2 camera raw (IMG_1.CR2, IMG_2.CR2), 1 PDF (a <b>.pdf)",
    ]
    assert not wrong(tmp_path / "run") and conclude(tmp_path / "run") == found
    assert audited(target, sets, tmp_path / "plain")[0] == plain  # the same run: what lies beside is no part of it
    assert not wrong(tmp_path / "plain")


def page(out):
    return (out / "report.html").read_text("utf-8")


def test_a_picture_cannot_be_made_one_that_was_passed_over(target_folders, sets, tmp_path):
    (sets["unseen"] / "a.pdf").write_bytes(b"%PDF-1.4")
    audited(load_target(target_folders["epsilon"]), sets, tmp_path / "run")
    path = tmp_path / "run" / "pictures.parquet"
    items = read_inventory(path)
    over = [place for place, item in enumerate(items) if item.picture == "a.pdf"]
    for changed in (items.replaced("reason", {0: "passed over: PDF"}), items[: len(items) - 1]):
        write_inventory(changed, path)
        assert "pictures are those that the run records" in wrong(tmp_path / "run")
    write_inventory(items.replaced("sha256", {over[0]: "0" * 64}), path)
    assert "what was passed over of unseen" in wrong(tmp_path / "run")["pictures are those that the run records"]
