"""Which pixels a model is asked about, where pictures can be read in several ways and nobody said which."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainedon.attacks import parse_attacks
from trainedon.errors import UserError
from trainedon.pictures import Rendering, read_inventory, scan
from trainedon.runs import Plan, run, verify
from trainedon.targets import load_target

AS_USUAL = Rendering()


def silent(what, done, total):
    pass


@pytest.fixture
def spoilt(toy_pictures, tmp_path):
    """spoilt(set, how): the toy pictures as files that show what training saw only when read in one way."""

    def make(name: str, how: str) -> Path:
        folder = tmp_path / f"{name}-{how}"
        folder.mkdir()
        y, x = np.mgrid[:16, :16]
        for number, entry in enumerate(scan(toy_pictures[name])):
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
def evaluated(overtrained, tmp_path):
    """evaluated(members, unseen, rendering): record and AUC of pia."""

    def go(members, unseen, rendering=AS_USUAL, out="run", kind="evaluate"):
        sets = {"member" if kind == "evaluate" else "suspect": members, "unseen": unseen}
        plan = Plan(kind, sets, parse_attacks("pia"), rendering=rendering)
        document = run(load_target(overtrained), plan, tmp_path / out, silent)
        return json.loads((tmp_path / out / "run.json").read_text()), document, tmp_path / out

    return go


@pytest.mark.parametrize(
    ("how", "question", "right", "wrong"),
    [("alpha", "alpha", "drop", "white"), ("exif", "orientation", "stored", "exif")],
)
def test_the_rendering_that_the_model_knows_is_found_and_used_for_all(spoilt, evaluated, how, question, right, wrong):
    members, unseen = spoilt("members", how), spoilt("unseen", how)
    record, found, out = evaluated(members, unseen)
    told = record["rendering"]
    assert told[question] == right and told["asked"][question]["p_value"] < 0.01
    assert set(told["asked"]) == {question} and "rendering" not in record["identity"]
    assert told["pictures"] == {
        name: {"usable": 24, "alpha": 0, "orientation": 0} | {question: 24} for name in ("member", "unseen")
    }
    assert any("24 of 24 (member), 24 of 24 (unseen)" in note and "seems to know" in note for note in record["notes"])
    assert "pixels-chosen" in {flag.code for flag in found.flags}
    _, asked, _ = evaluated(members, unseen, Rendering(**{question: right}), "right")
    _, misled, _ = evaluated(members, unseen, Rendering(**{question: wrong}), "wrong")
    assert found.attacks[0].auc == asked.attacks[0].auc > 0.95
    assert misled.attacks[0].auc < found.attacks[0].auc - 0.1
    assert not any(flag.code.startswith("pixels") for flag in (*asked.flags, *misled.flags))
    chosen, said = (read_inventory(folder / "pictures.parquet") for folder in (out, out.parent / "right"))
    assert chosen == said  # what the pictures look like is what the model was shown
    assert all(check.ok is not False for check in verify(out))
    assert "seems to know" in (out / "report.html").read_text()


@pytest.mark.parametrize("how", ["alpha", "exif"])
def test_of_pictures_that_the_model_never_saw_it_says_nothing(spoilt, evaluated, toy_pictures, how):
    unseen = spoilt("unseen", how)
    half = unseen.parent / "half"
    half.mkdir()
    for path in sorted(unseen.iterdir())[:12]:
        path.rename(half / path.name)
    record, document, _ = evaluated(half, unseen, kind="audit")
    (answer,) = record["rendering"]["asked"].values()
    assert answer["chosen"] is None and answer["p_value"] >= 0.01 and answer["pictures"] == 24
    assert (record["rendering"]["alpha"], record["rendering"]["orientation"]) == ("white", "exif")
    assert "pixels-uncertain" in {flag.code for flag in document.flags}
    assert any("could not be told" in note for note in record["notes"])


def test_which_set_a_picture_is_in_has_no_part_in_the_choice(spoilt, evaluated):
    members, unseen = spoilt("members", "alpha"), spoilt("unseen", "alpha")
    one, *_ = evaluated(members, unseen)
    other, *_ = evaluated(unseen, members, out="exchanged")
    assert one["rendering"]["asked"] == other["rendering"]["asked"]


def test_a_choice_belongs_to_the_run_and_is_made_once(spoilt, evaluated, monkeypatch):
    members, unseen = spoilt("members", "alpha"), spoilt("unseen", "alpha")
    monkeypatch.setattr("trainedon.runs.run.score_all", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        evaluated(members, unseen)
    monkeypatch.undo()
    monkeypatch.setattr("trainedon.runs.rendering._ask", None)
    record, *_ = evaluated(members, unseen)
    assert record["rendering"]["alpha"] == "drop" and record["status"] == "complete"
    with pytest.raises(UserError, match=r"rendering\.alpha was None, is 'drop'"):
        evaluated(members, unseen, Rendering(alpha="drop"))


def test_a_run_that_began_before_there_was_a_choice_goes_on_as_it_was(spoilt, evaluated, monkeypatch):
    members, unseen = spoilt("members", "alpha"), spoilt("unseen", "alpha")
    monkeypatch.setattr("trainedon.runs.run.score_all", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        evaluated(members, unseen)
    monkeypatch.undo()
    path = members.parent / "run" / "run.json"
    record = json.loads(path.read_text())
    del record["rendering"]
    path.write_text(json.dumps(record | {"notes": []}))
    record, document, _ = evaluated(members, unseen)
    _, white, _ = evaluated(members, unseen, Rendering(alpha="white"), "white")
    assert "rendering" not in record and record["notes"] == []
    assert document.attacks[0].auc == white.attacks[0].auc
    assert not any(flag.code.startswith("pixels") for flag in document.flags)


def test_plain_pictures_are_asked_nothing(toy_pictures, evaluated):
    record, document, _ = evaluated(toy_pictures["members"], toy_pictures["unseen"])
    assert record["rendering"]["asked"] == {} and not any("transparency" in note for note in record["notes"])
    assert record["choices"]["pictures"] == "shorter side to 16 x 16 pixels by Lanczos, centre cut out"
    squashed, *_ = evaluated(*toy_pictures.values(), Rendering(alpha="black", fit="squash", resample="box"), "other")
    assert squashed["identity"]["rendering"] == {"alpha": "black", "fit": "squash", "resample": "box"}
    assert squashed["choices"]["pictures"].startswith("both sides to 16 x 16 pixels by box")
    assert not any(flag.code.startswith("pixels") for flag in document.flags)
