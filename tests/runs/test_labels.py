"""Which class labels count: the same ones for all sets, whatever the folders look like."""

import json
import shutil
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainedon.attacks import parse_attacks
from trainedon.errors import UserError
from trainedon.files import file_digest, write_json
from trainedon.pictures import Inventory, scan, take_inventory
from trainedon.runs import Plan, conclude, run, verify
from trainedon.runs.labels import PART, settle_labels, with_inferred
from trainedon.targets import load_target


@pytest.fixture(scope="module")
def dit(target_folders):
    """A tiny random DiT of three classes."""
    return load_target(target_folders["dit"])


@pytest.fixture
def source(toy_pictures, tmp_path):
    """A function (set, name, place of a picture -> its folder) that copies the toy pictures of a set into folders."""

    def write(kind, name, place=lambda _: ".", n=24):
        for number in range(n):
            folder = tmp_path / name / place(number)
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(toy_pictures[kind] / f"{number:02d}.png", folder)
        return tmp_path / name

    return write


@pytest.fixture
def parquet(toy_pictures, tmp_path):
    """A function (set, name, labels) that writes as many toy pictures into a parquet file with a label column."""

    def write(kind, name, labels):
        data = [(toy_pictures[kind] / f"{number:02d}.png").read_bytes() for number in range(len(labels))]
        path = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table({"image": data, "label": pa.array(labels, pa.int64())}), path)
        return path

    return write


def listed(**sources):
    return sum((take_inventory(scan(path), name) for name, path in sources.items()), Inventory.of([]))


def labels_of(settled, set_name):
    return settled.items.of_set(set_name).column("label").to_pylist()


def audited(target, out, suspects, unseen, attacks="sima", **changes):
    sets = {"suspect": suspects, "unseen": unseen}
    document = run(target, Plan("audit", sets, parse_attacks(attacks), **changes), out, lambda *_: None)
    scores = {(row["set"], row["sha256"]): row["score"] for row in pq.read_table(out / "scores.parquet").to_pylist()}
    return document, scores, json.loads((out / "run.json").read_text())


def months(number):
    return f"2019/{number % 3:02d}" if number < 12 else f"2020/{number % 3:02d}"


@pytest.mark.slow
def test_folders_by_year_and_month_change_neither_scores_nor_claim(dit, source, tmp_path):
    suspects = source("members", "suspects")
    by_month, flat = source("unseen", "by-month", months), source("unseen", "flat")
    document, scores, record = audited(dit, tmp_path / "a", suspects, by_month)
    plain, expected, other = audited(dit, tmp_path / "b", suspects, flat)
    assert (
        scores == pytest.approx(expected, rel=1e-6) and len(set(scores.values())) == 48
    )  # batches differ, and kernels
    assert document.claim.sentence == plain.claim.sentence and document.claim.level <= 1
    ways = {"suspect": {"inferred": 24}, "unseen": {"inferred": 24}}
    assert record["model"]["asked"] == other["model"]["asked"] == document.asked.ways == ways
    assert not document.asked.differs and record["choices"]["labels"] == "auto"
    assert record["identity"]["pictures"]["suspect"] == other["identity"]["pictures"]["suspect"]
    (note,) = (note for note in record["notes"] if note.startswith("24 of 48 pictures came with a number"))
    assert "which was not taken for a class (" in note
    rows = pq.read_table(tmp_path / "a" / "pictures.parquet").to_pylist()
    assert {row["label_from"] for row in rows} == {"inferred"} and {row["label"] for row in rows} <= {0, 1, 2}
    assert "Is the model conditioned alike for both sets?" in (tmp_path / "a" / "report.html").read_text()
    assert all(check.ok is not False for check in verify(tmp_path / "a"))
    again, _, _ = audited(dit, tmp_path / "a", suspects, by_month)
    assert again == document


def test_classes_that_one_set_alone_is_full_of_carry_no_claim(dit, source, tmp_path):
    """Months as classes, for both sets, tell an untrained model's scores apart: every suspect has one class, and no
    unseen picture has it."""
    suspects = source("members", "suspects", lambda _: "2019/00")
    unseen = source("unseen", "unseen", lambda number: f"2019/{1 + number % 2:02d}")
    document, _, record = audited(dit, tmp_path / "run", suspects, unseen, labels="folders")
    assert record["model"]["asked"] == {"suspect": {"folders": 24}, "unseen": {"folders": 24}}
    assert document.asked.differs and document.claim.level <= 2
    assert "asked-differently" in {flag.code for flag in document.flags}
    assert {row["label"] for row in pq.read_table(tmp_path / "run" / "pictures.parquet").to_pylist()} == {0, 1, 2}
    assert not (tmp_path / "run" / "labels.json").exists()
    assert all(check.ok is not False for check in verify(tmp_path / "run"))


@pytest.mark.parametrize(
    ("place", "origin"),
    [
        (lambda i: str(i % 3), "folders"),
        (lambda i: ".", "inferred"),
        (lambda i: str(i % 3) if i else ".", "inferred"),  # one picture lies beside the folders
        (lambda i: str(i % 3) if i else "more", "inferred"),
        (lambda i: f"train/{i % 3}", "inferred"),
        (lambda i: f"{i % 3}/{i % 2}", "inferred"),
        (lambda i: str(i % 4), "inferred"),  # 3 is out of range
        (lambda i: f"{i % 3:05d}", "inferred"),  # shards
        (lambda i: f"0{i % 3}", "inferred"),
    ],
)
def test_numbers_of_folders_are_classes_where_they_can_be_nothing_else(dit, source, place, origin):
    items = listed(suspect=source("members", "a", lambda i: str(i % 3), 6), unseen=source("unseen", "b", place, 6))
    settled = settle_labels(dit, items)
    assert settled.origin == origin
    expected = [i % 3 for i in range(6)] if origin == "folders" else [None] * 6
    assert sorted(labels_of(settled, "suspect"), key=str) == sorted(expected, key=str)
    assert sorted(labels_of(settled, "unseen"), key=str) == sorted(expected, key=str)
    if origin == "folders":
        assert settled.items == items, "the list of pictures, and so its digest, is what it was"


def test_wide_numbers_are_classes_of_a_model_with_as_many(dit, source):
    def origin(classes, place):
        items = listed(suspect=source("members", f"{classes} {place(1)}", place, 3))
        return settle_labels(replace(dit, classes=classes), items).origin

    assert origin(100, lambda i: f"{i:02d}") == "folders"
    assert origin(100, lambda i: f"{i}") == "folders"
    assert origin(50, lambda i: f"{i:03d}") == "inferred"
    for place in (lambda i: f"{i:02d}", lambda i: f"{i:05d}"):  # months, and shards
        with pytest.raises(UserError, match=r"trained with 1000 classes.*need not be classes.*--labels folders"):
            origin(1000, place)


def test_labels_that_were_given_count_where_every_picture_has_one(dit, parquet):
    given, part = parquet("members", "a", [2, 1, 0, 2]), parquet("unseen", "b", [0, None, 1, 1])
    settled = settle_labels(dit, listed(suspect=given, unseen=given))
    assert settled.origin == "given" and labels_of(settled, "suspect") == [2, 1, 0, 2] and not settled.notes
    settled = settle_labels(dit, listed(suspect=given, unseen=part))
    assert settled.origin == "inferred" and labels_of(settled, "suspect") == [None] * 4
    assert "7 of 8 pictures came with a number" in settled.notes[0]
    assert settle_labels(dit, listed(suspect=given), "infer").origin == "inferred"


def test_labels_of_two_origins_are_inferred_for_all(dit, parquet, source):
    items = listed(suspect=parquet("members", "a", [2, 1, 0]), unseen=source("unseen", "b", str, 3))
    settled = settle_labels(dit, items)
    assert settled.origin == "inferred" and set(settled.items.values("label")) == {None}


def test_labels_that_the_model_does_not_know_are_refused_by_name(dit, parquet, source):
    wrong = listed(suspect=parquet("members", "a", [2, 3]))
    with pytest.raises(UserError, match=r"a.parquet#1 has class label 3: the model knows 0 to 2"):
        settle_labels(dit, wrong)
    without = settle_labels(
        dit, listed(suspect=parquet("members", "a", [-1, 2]))
    )  # as data sets write that there is none
    assert without.origin == "inferred" and "a.parquet#0 (suspect) has -1, which is none" in without.notes[0]
    assert settle_labels(dit, wrong, "infer").origin == "inferred"
    with pytest.raises(UserError, match=r"3/03.png has class label 3, by its folder"):
        settle_labels(dit, listed(suspect=source("members", "b", str, 4)), "folders")
    with pytest.raises(UserError, match=r"^00.png lies in no folder named by a class number"):
        settle_labels(dit, listed(suspect=source("members", "c", n=2)), "folders")


def test_folders_at_any_depth_count_when_they_are_asked_for(dit, source):
    items = listed(suspect=source("members", "a", lambda i: f"2019/{i:02d}", 3), unseen=source("unseen", "b", str, 3))
    settled = settle_labels(dit, items, "folders")
    assert labels_of(settled, "suspect") == labels_of(settled, "unseen") == [0, 1, 2]
    assert set(settled.items.values("label_from")) == {"folders"}


def test_too_many_classes_to_try_ask_for_labels(dit, source):
    many = replace(dit, classes=1000)
    with pytest.raises(UserError, match=r"1000 classes.*00.png has no class label: .*--labels folders") as error:
        settle_labels(many, listed(suspect=source("members", "a", n=2)))
    assert "\n" not in str(error.value)
    settled = settle_labels(many, listed(suspect=source("members", "b", lambda i: f"{i}/7", 2)), "folders")
    assert labels_of(settled, "suspect") == [7, 7]


def test_a_model_that_knows_no_classes_does_not_care(target, source):
    items = listed(suspect=source("members", "a", months, 3))
    assert settle_labels(target, items).items == items and settle_labels(target, items).notes == ()
    assert "changes nothing" in settle_labels(target, items, "infer").notes[0]


def test_there_are_three_choices():
    with pytest.raises(UserError, match="--labels 'guess': choose from auto, folders, infer"):
        Plan("audit", {}, [], labels="guess")


def test_runs_from_before_this_control_stay_what_they_were(dit, source, tmp_path):
    suspects, unseen, out = source("members", "a", n=12), source("unseen", "b", n=12), tmp_path / "run"
    audited(dit, out, suspects, unseen)
    table = pq.read_table(out / "pictures.parquet").drop_columns(["label_from"])
    pq.write_table(table, out / "pictures.parquet")
    record = json.loads((out / "run.json").read_text())
    del record["model"]["asked"], record["choices"]["labels"]
    record["files"]["pictures.parquet"] = file_digest(out / "pictures.parquet")
    write_json(out / "run.json", record)
    conclude(out)
    assert "asked" not in json.loads((out / "audit.json").read_text())
    assert "conditioned alike" not in (out / "report.html").read_text()
    assert all(check.ok is not False for check in verify(out))
    document, _, record = audited(dit, out, suspects, unseen)
    assert document.asked is None and "asked" not in record["model"]


def test_classes_that_were_inferred_before_an_interruption_are_not_inferred_again(dit, source, tmp_path):
    flat = source("unseen", "flat")
    settled, entries = settle_labels(dit, listed(unseen=flat)), scan(flat)
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    with dit.counted() as due:
        whole = with_inferred(dit, settled.items, entries, tmp_path / "whole", lambda *_: None, interval=0)

    def interrupt(what, done, total):
        if done == 8:
            raise KeyboardInterrupt

    with dit.counted() as spent:
        with pytest.raises(KeyboardInterrupt):
            with_inferred(dit, settled.items, entries, tmp_path / "cut", interrupt, interval=0)
        assert len(json.loads((tmp_path / "cut" / PART).read_text())) == 8
        again = with_inferred(dit, settled.items, entries, tmp_path / "cut", lambda *_: None, interval=0)
    assert again == whole and spent.forward == due.forward == 24 * 4 * 3
    assert [path.name for path in (tmp_path / "cut").iterdir()] == ["labels.json"]
