"""The lists are settled before scoring, and a run knows what earlier ones had scored of its suspects."""

import base64
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from slowly import slowly

import trainedon as to
from trainedon.formats import read_record
from trainedon.formats.run_record import RunIdentity
from trainedon.runs import own_record
from trainedon.runs.earlier_runs import key_of
from trainedon.runs.own_record import MOST_PICTURES, Remembered, Sketch, remember, remembered

CPU = to.Machine(device="cpu", batch_size=32)
MODEL = "a" * 64


@pytest.fixture
def pictures(toy_pictures, tmp_path):
    """pictures(name, *numbers): a folder, each call another, with those of the unseen toys that have these numbers."""

    def chosen(*numbers: int) -> Path:
        folder = tmp_path / "sets" / "-".join(map(str, numbers))
        folder.mkdir(parents=True, exist_ok=True)
        for number in numbers:
            shutil.copy(toy_pictures["unseen"] / f"{number:02d}.png", folder)
        return folder

    return chosen


@pytest.fixture
def asked(target_folders, toy_pictures, tmp_path):
    """asked(suspects, run, attacks): an audit of suspects that no model was trained on."""

    def ask(suspects: Path, run: str | None, attacks: str = "loss", model: str = "epsilon") -> to.AuditRun:
        out = None if run is None else tmp_path / run
        found = to.audit(
            target_folders[model], suspects, unseen=toy_pictures["members"], attacks=attacks, out=out, machine=CPU
        )
        assert found.listing is not None
        return found

    return ask


def codes(found: to.AuditRun) -> set[str]:
    return {flag.code for flag in found.flags} & {"chosen-after-scoring", "asked-before"}


def state() -> Path:
    return Path(os.environ["TRAINEDON_STATE"])


def test_the_lists_stand_in_the_record_before_anything_is_scored(asked, pictures, tmp_path):
    found = asked(pictures(0, 1, 2), "a/run")
    record = read_record(tmp_path / "a/run")
    assert record.listed is not None
    assert (record.listed.suspects, record.listed.unseen) == (
        record.identity.pictures["suspect"],
        record.identity.pictures["unseen"],
    )
    assert record.started <= record.listed.at <= record.finished
    assert found.listing.chosen is None and found.listing.asked == 0
    assert not codes(found)
    assert all(check.ok is not False for check in to.verify(tmp_path / "a/run"))


@pytest.mark.parametrize("where", ["beside", "recorded", *slowly("not kept")])
def test_suspects_that_are_some_of_those_scored_before_are_told(asked, pictures, where, monkeypatch, tmp_path):
    if where == "beside":
        monkeypatch.setenv("TRAINEDON_STATE", "off")
    first = None if where == "not kept" else "runs/first" if where == "beside" else "elsewhere/first"
    asked(pictures(0, 1, 2, 3, 4), first)
    found = asked(pictures(0, 1, 9), "runs/second")
    chosen = found.listing.chosen
    assert (chosen.kept, chosen.left_out, chosen.way) == (2, 3, "dropped") and found.listing.asked == 1
    assert codes(found) == {"chosen-after-scoring", "asked-before"}
    assert all(check.ok is not False for check in to.verify(tmp_path / "runs/second"))


@pytest.mark.parametrize(
    ("suspects", "attacks", "asked_before"),
    [((0, 1, 2, 5), "loss", 1), ((5, 6, 7), "loss", 0), *slowly(((0, 1, 2), "pia", 1), ((0, 1, 2), "loss", 0))],
    ids=["a superset", "fresh pictures", "another attack", "the same run elsewhere"],
)
def test_nobody_chose_who_asks_about_all_that_was_scored_or_nothing_of_it(
    asked, pictures, suspects, attacks, asked_before
):
    asked(pictures(0, 1, 2), "a/run")
    found = asked(pictures(*suspects), "b/run", attacks)
    assert found.listing.chosen is None and found.listing.asked == asked_before
    assert codes(found) == ({"asked-before"} if asked_before else set())


@pytest.mark.slow
def test_earlier_lists_count_together_and_those_without_a_picture_in_common_not_at_all(asked, pictures):
    asked(pictures(0, 1, 2), "a/run")
    asked(pictures(3, 4), "b/run")
    asked(pictures(7, 8), "c/run")
    chosen = asked(pictures(0, 1, 3), "d/run").listing.chosen
    assert (chosen.kept, chosen.left_out) == (3, 2), "0, 1 of the first and 3 of the second; 2 and 4 are left out"


def test_runs_on_another_model_and_runs_that_found_something_say_nothing(asked, pictures):
    asked(pictures(0, 1, 2, 3), "a/run", model="grey")
    found = asked(pictures(0, 1), "b/run")
    assert found.listing.chosen is None and found.listing.asked == 0
    record = next(state().glob("*.json"))
    for path in state().glob("*.json"):
        told = json.loads(path.read_text())
        path.write_text(json.dumps(told | {"found": True}))
    assert record.exists()
    later = asked(pictures(0), "c/run")
    assert later.listing.chosen is None, "who found something with two may ask about one of them"
    assert later.listing.asked == 1


def test_a_run_that_was_interrupted_counts_once_it_has_scores(asked, pictures, tmp_path, monkeypatch):
    asked(pictures(0, 1, 2, 3), "a/run")
    (tmp_path / "a/run/audit.json").unlink()
    (tmp_path / "a/run/scores.parquet").rename(tmp_path / "scores")
    for path in state().glob("*.json"):
        path.unlink()
    assert asked(pictures(0, 1), "a/second").listing.chosen is None, "nothing was scored"
    (tmp_path / "a/run/shards/00-loss").mkdir(parents=True)
    (tmp_path / "a/run/shards/00-loss/one.parquet").touch()
    assert asked(pictures(0, 2), "a/third").listing.chosen.left_out >= 2


def test_what_the_record_says_stays_when_the_command_is_given_again(asked, pictures):
    first = asked(pictures(0, 1, 2), "a/run")
    asked(pictures(0, 1, 2, 3), "b/run")
    assert asked(pictures(0, 1, 2), "a/run").listing == first.listing


def test_a_changed_list_is_found_out(asked, pictures, tmp_path):
    asked(pictures(0, 1, 2), "a/run")
    path = tmp_path / "a/run/run.json"
    record = json.loads(path.read_text())
    record["listed"]["suspects"] = "0" * 64
    path.write_text(json.dumps(record))
    failed = [check for check in to.verify(tmp_path / "a/run") if check.ok is False]
    assert any("the list of suspects" in check.detail for check in failed)
    record["listed"]["suspects"] = record["identity"]["pictures"]["suspect"]
    record["listed"]["at"] = "2100-01-01T00:00:00+00:00"
    path.write_text(json.dumps(record))
    failed = [check for check in to.verify(tmp_path / "a/run") if check.ok is False]
    assert any("when the lists were settled" in check.detail for check in failed)


def test_the_users_record_holds_digests_alone_and_can_be_switched_off(asked, pictures, monkeypatch, tmp_path):
    asked(pictures(0, 1, 2), "a/run")
    (path,) = state().glob("*")
    told = json.loads(path.read_text())
    assert {*told} == {"version", "model", "found", "pictures", "prefixes"} and told["pictures"] == 3
    assert not any(name in path.read_text() for name in (str(tmp_path), "00.png", "run"))
    for off in ("off", ""):
        monkeypatch.setenv("TRAINEDON_STATE", off)
        assert own_record.folder() is None
    remember(MODEL, Remembered("0" * 32, Sketch.of([]), found=False))
    monkeypatch.delenv("TRAINEDON_STATE")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert own_record.folder() == tmp_path / "state" / "trainedon" / "runs"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert own_record.folder() == tmp_path / ".local" / "state" / "trainedon" / "runs"


DISORDER = json.dumps({"prefixes": base64.b64encode(bytes([2] * 8 + [1] * 8)).decode()}).encode()


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"model": 1}', b"\xff", b'{"prefixes": "!"}', b'{"prefixes": ""}', DISORDER]
)
def test_a_damaged_entry_is_passed_over(damage):
    remember(MODEL, Remembered("0" * 32, Sketch.of(["1" * 64]), found=False))
    (path,) = state().glob("*.json")
    whole = json.loads(path.read_text())
    path.write_bytes(damage if not damage.startswith(b'{"p') else json.dumps(whole | json.loads(damage)).encode())
    assert remembered(MODEL) == ([], 1)


def test_a_run_tells_of_damaged_entries(asked, pictures, tmp_path):
    asked(pictures(0, 1, 2), "a/run")
    (path,) = state().glob("*.json")
    path.write_bytes(b"{")
    found = asked(pictures(0, 1), "b/run")
    assert found.listing.chosen is None
    notes = read_record(tmp_path / "b/run").notes
    assert any("1 of the runs in the user's own record could not be read" in note for note in notes)


def test_an_entry_that_is_a_link_to_nothing_is_told(tmp_path):
    remember(MODEL, Remembered("0" * 32, Sketch.of(["1" * 64]), found=False))
    (state() / f"{MODEL[:16]}-{'1' * 32}.json").symlink_to(tmp_path / "gone")
    kept, damaged = remembered(MODEL)
    assert len(kept) == damaged == 1


@pytest.mark.parametrize("kind", ["file", "device", *slowly("below a file", "loop", "link to nothing", "too long")])
def test_a_record_that_cannot_be_kept_is_told_and_ends_no_run(asked, pictures, kind, monkeypatch, tmp_path, caplog):
    place = tmp_path / "state-of-mine"
    if kind.endswith("file"):
        place.touch()
    elif kind == "loop":
        place.symlink_to(place)
    elif kind == "link to nothing":
        place.symlink_to(tmp_path / "gone")
    elif kind == "device":
        place.symlink_to("/dev/null")
    tail = {"below a file": "/runs", "too long": "x" * 5000}.get(kind, "")
    monkeypatch.setenv("TRAINEDON_STATE", f"{place}{tail}")
    assert asked(pictures(0, 1, 2), "a/run").listing is not None
    assert caplog.text.count("the record of earlier runs cannot be written") == 1
    (note,) = (note for note in read_record(tmp_path / "a/run").notes if "earlier runs" in note)
    assert note.startswith("no record of earlier runs could be read or kept (") and str(tmp_path) not in note


def test_a_damaged_folder_beside_ends_no_run(asked, pictures, tmp_path):
    asked(pictures(0, 1, 2), "a/run")
    (tmp_path / "a/run/audit.json").unlink()
    (tmp_path / "a/run/evaluation.json").write_text('{"auc_ci": [--]}')
    assert asked(pictures(0, 1), "a/second").listing is not None


def test_the_record_is_bounded_and_what_is_not_its_own_stays(monkeypatch):
    monkeypatch.setattr(own_record, "MOST_RUNS", 3)
    state().mkdir(parents=True)
    (state() / "mine.json").touch()
    for number in range(5):
        remember(MODEL, Remembered(f"{number:032x}", Sketch.of([f"{number:064x}"]), found=False))
        os.utime(state() / f"{MODEL[:16]}-{number:032x}.json", (number, number))
    kept, damaged = remembered(MODEL)
    assert [run.key[-1] for run in kept] == ["2", "3", "4"] and not damaged
    assert (state() / "mine.json").exists()


def test_of_a_large_list_a_sample_is_kept_from_which_shares_are_told():
    rng = np.random.default_rng(0)
    digests = [row.tobytes().hex() for row in rng.integers(0, 256, (3 * MOST_PICTURES, 32), dtype=np.uint8)]
    sketch = Sketch.of(digests)
    assert len(sketch.prefixes) == MOST_PICTURES and sketch.total == len(digests)
    remember(MODEL, Remembered("0" * 32, sketch, found=False))
    ((run,), _) = remembered(MODEL)
    assert (run.suspects.prefixes == sketch.prefixes).all() and run.suspects.last == sketch.last < 2**63
    from trainedon.runs.earlier_runs import _overlap

    told = _overlap(Sketch.of(digests[: MOST_PICTURES // 2]), [run])
    assert told["asked"] == 1
    assert told["kept"] == pytest.approx(MOST_PICTURES / 2, rel=0.02)
    assert told["left_out"] == pytest.approx(2.5 * MOST_PICTURES, rel=0.02)


def test_a_run_is_known_by_what_it_is_made_of():
    identity = RunIdentity(kind="audit", model=MODEL, attacks=["Loss()"])
    assert key_of(identity) == key_of(RunIdentity(attacks=["Loss()"], model=MODEL, kind="audit"))
    assert key_of(identity) != key_of(identity.but(attacks=["PIA()"]))
