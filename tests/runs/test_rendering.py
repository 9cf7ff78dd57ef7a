"""Which pixels a model is asked about, where pictures can be read in several ways and nobody said which."""

import json
from dataclasses import asdict
from html import unescape
from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from trainedon.attacks import parse_attacks
from trainedon.errors import UserError
from trainedon.formats import RunRecord
from trainedon.pictures import Inventory, Listing, Rendering, load_pictures, read_inventory, scan, take_inventory
from trainedon.runs import Plan, run, verify
from trainedon.runs.rendering_choice import notes, settle_rendering
from trainedon.targets import Service, load_target

BEGUN = RunRecord(kind="audit", rendering=None)  # nothing is settled yet

(ATTACK,) = parse_attacks("symmetric(loss(draws=4))")
DEFAULT = Rendering()


def silent(what, done, total):
    pass


@pytest.fixture
def spoilt(toy_pictures, tmp_path):
    """spoilt(set, how): the toy pictures as files that show what training saw only when read in one way."""

    def make(name: str, how: str) -> Path:
        folder = tmp_path / f"{name}-{how}"
        folder.mkdir()
        y, x = np.mgrid[:16, :16]
        for number, entry in enumerate(scan(toy_pictures[name], 12)):
            rgb, path = entry.read().rgb, folder / f"{number:02d}.png"
            if how == "alpha":  # the background is transparent, and training left transparency out
                seen = (y - 9) ** 2 + (x - 7) ** 2 < 36
                Image.fromarray(np.dstack([rgb, np.where(seen, 255, 0)]).astype(np.uint8)).save(path)
            else:  # a tag that training did not heed
                exif = Image.Exif()
                exif[274] = 6
                Image.fromarray(rgb).save(path, exif=exif)
        return folder

    return make


@pytest.fixture
def target(overtrained):
    return load_target(overtrained)


@pytest.fixture
def evaluated(target, tmp_path):
    """evaluated(members, unseen, rendering): record, document and folder."""

    def go(members, unseen, rendering=DEFAULT, out="run", kind="evaluate", limit=None):
        sets = {"member" if kind == "evaluate" else "suspect": members, "unseen": unseen}
        plan = Plan(kind, sets, [ATTACK], rendering=rendering, limit=limit)
        document = run(target, plan, tmp_path / out, silent)
        return json.loads((tmp_path / out / "run.json").read_text()), document, tmp_path / out

    return go


@pytest.fixture
def settled(target, tmp_path):
    """settled(sets): what is found of these folders, without a run."""

    def go(sets, rendering=DEFAULT):
        listed = {name: scan(folder) for name, folder in sets.items()}
        items = sum((take_inventory(entries, name) for name, entries in listed.items()), Inventory.of([]))
        record, chosen, _ = settle_rendering(
            target, rendering, items, Listing(*listed.values()), BEGUN, tmp_path, silent
        )
        told = record.told()["rendering"]
        assert chosen == Rendering(**{name: told[name] for name in asdict(chosen)})
        return told

    return go


@pytest.mark.parametrize(
    ("how", "question", "right", "wrong"),
    [
        pytest.param("alpha", "alpha", "drop", "white", marks=pytest.mark.slow),
        ("exif", "orientation", "stored", "exif"),
    ],
)
def test_the_rendering_that_the_model_knows_is_found_and_used_for_all(
    spoilt, evaluated, target, how, question, right, wrong
):
    sets = {"member": spoilt("members", how), "unseen": spoilt("unseen", how)}
    record, document, out = evaluated(*sets.values())
    told = record["rendering"]
    assert told[question] == right and told["asked"][question]["p_value"] < 0.01
    assert set(told["asked"]) == {question} and "rendering" not in record["identity"]
    assert told["pictures"] == {name: {"usable": 12, "alpha": 0, "orientation": 0} | {question: 12} for name in sets}
    (note,) = record["notes"]
    assert "12 of 12 (member), 12 of 12 (unseen)" in note and "seems to know" in note
    assert note in unescape((out / "report.html").read_text())
    assert [flag.code for flag in document.flags if flag.code.startswith("pixels")] == ["pixels-chosen"]
    assert all(check.ok is not False for check in verify(out))
    scores, areas = {}, {}
    for answer in (right, wrong):
        rendering = Rendering(**{question: answer})
        batches = [load_pictures(folder, target, rendering=rendering) for folder in sets.values()]
        members, unseen = (ATTACK.score(target, batch) for batch in batches)
        scores[answer] = np.concatenate([members, unseen])
        areas[answer] = (members[:, None] > unseen).mean()
    assert areas[right] > 0.9 and areas[right] > areas[wrong]
    # the sets are scored so, and what the pictures look like is what the model was shown
    assert np.array_equal(pq.read_table(out / "scores.parquet")["score"].to_numpy(), scores[right])
    means = [entry.read(Rendering(**{question: right})).rgb[..., 0].mean() / 255 for entry in scan(sets["member"])]
    np.testing.assert_allclose([item.mean_r for item in read_inventory(out / "pictures.parquet")][:12], means)


@pytest.mark.slow
def test_of_pictures_that_the_model_never_saw_it_says_nothing(spoilt, evaluated, settled):
    turned = settled({"unseen": spoilt("unseen", "exif")})
    assert turned["orientation"] == "exif" and turned["asked"]["orientation"]["chosen"] is None
    unseen = spoilt("unseen", "alpha")
    half = unseen.parent / "half"
    half.mkdir()
    for path in sorted(unseen.iterdir())[:6]:
        path.rename(half / path.name)
    record, document, _ = evaluated(half, unseen, kind="audit")
    (answer,) = record["rendering"]["asked"].values()
    assert answer["chosen"] is None and answer["p_value"] >= 0.01 and answer["pictures"] == 12
    assert record["rendering"]["alpha"] == "white"
    assert [flag.code for flag in document.flags if flag.code.startswith("pixels")] == ["pixels-uncertain"]
    (note,) = (note for note in record["notes"] if "--alpha" in note)
    assert "6 of 6 (suspect), 6 of 6 (unseen)" in note and "could not be told" in note and "--alpha white or" in note


@pytest.mark.slow
def test_which_set_a_picture_is_in_has_no_part_in_the_choice(spoilt, settled):
    members, unseen = spoilt("members", "alpha"), spoilt("unseen", "alpha")
    found = settled({"member": members, "unseen": unseen})["asked"]
    other = settled({"member": unseen, "unseen": members})["asked"]
    assert found["alpha"]["chosen"] == other["alpha"]["chosen"] == "drop"
    np.testing.assert_allclose([*found["alpha"]["scores"].values()], [*other["alpha"]["scores"].values()], rtol=1e-6)


def test_nobody_is_asked_where_it_was_said(spoilt, settled):
    told = settled({"member": spoilt("members", "alpha")}, Rendering(alpha="black"))
    assert told["alpha"] == "black" and told["asked"] == {} and told["pictures"]["member"]["alpha"] == 12


def test_a_service_cannot_be_asked_and_a_note_says_so(spoilt, target, tmp_path):
    service = Service.of(lambda pixels, *rest: pixels, (3, 16, 16))
    entries = scan(spoilt("unseen", "alpha"))
    record, chosen, _ = settle_rendering(
        service, Rendering(), take_inventory(entries, "unseen"), entries, BEGUN, tmp_path, silent
    )
    assert chosen == Rendering().settled
    (note,) = notes(record)
    assert "could not be told" in note and "service" in note


@pytest.fixture
def interrupted(evaluated, spoilt, monkeypatch):
    """A run that ended before anything was scored: (how it goes on, where its record is)."""
    sets = spoilt("members", "alpha"), spoilt("unseen", "alpha")
    module = import_module("trainedon.runs.run")

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(module, "score_all", interrupt)
        evaluated(*sets, limit=4)
    return lambda rendering=DEFAULT, out="run": evaluated(*sets, rendering, out, limit=4), sets[0].parent / "run"


def test_a_choice_is_made_once_and_belongs_to_the_run(interrupted, monkeypatch):
    go_on, folder = interrupted
    record = json.loads((folder / "run.json").read_text())
    record["rendering"]["alpha"] = "black"  # as if it had been found
    (folder / "run.json").write_text(json.dumps(record))
    record, *_ = go_on()
    assert record["rendering"]["alpha"] == "black" and record["status"] == "complete"
    _, _, black = go_on(Rendering(alpha="black"), "black")
    one, other = (pq.read_table(out / "scores.parquet")["score"] for out in (folder, black))
    assert one == other
    with pytest.raises(UserError, match="alpha was None, is 'drop'"):
        go_on(Rendering(alpha="drop"))


def test_a_run_that_began_before_there_was_a_choice_goes_on_as_it_was(interrupted):
    go_on, folder = interrupted
    record = json.loads((folder / "run.json").read_text())
    del record["rendering"]
    (folder / "run.json").write_text(json.dumps(record | {"notes": []}))
    record, document, _ = go_on()
    assert "rendering" not in record and record["notes"] == [] and record["status"] == "complete"
    assert not any(flag.code.startswith("pixels") for flag in document.flags)


def test_plain_pictures_are_asked_nothing_and_other_choices_are_the_runs_own(toy_pictures, evaluated):
    record, *_ = evaluated(*toy_pictures.values(), limit=4)
    assert record["rendering"]["asked"] == {} and record["notes"] == []
    assert record["choices"]["pictures"] == "shorter side to 16 x 16 pixels by Lanczos, centre cut out"
    assert "rendering" not in record["identity"]
    other = Rendering(alpha="black", fit="squash", resample="box")
    squashed, *_ = evaluated(*toy_pictures.values(), other, "other", limit=4)
    assert squashed["identity"]["rendering"] == {"alpha": "black", "fit": "squash", "resample": "box"}
    assert squashed["choices"]["pictures"].startswith("both sides to 16 x 16 pixels by box")
