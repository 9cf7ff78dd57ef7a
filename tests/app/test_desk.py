"""What lies on the desk: dropped pictures, a run that is stopped and gone on with, and what is removed."""

import io
import json
import os
import stat
import zipfile
from pathlib import Path

import pytest
from droppable import archive, bomb, png
from PIL import Image

from trainedon import UserError
from trainedon.app import phrases
from trainedon.app.desk import AuditQuestion, Desk
from trainedon.app.dropped import Dropped
from trainedon.app.models import EMBEDDED, Models

NAMES = ["..png", "a\x1b[31m.png", "<img src=x onerror=alert(1)>.png", "${7*7}{{7*7}}.png", "CON.png", "\u202egnp.png"]


def drop(desk: Desk, which: str, folder: Path, limit: int | None = None) -> list[str]:
    """As the browser does it: files come to lie among the uploads."""
    files = []
    for path in sorted(folder.iterdir())[:limit]:
        place = desk.uploads / f"{which}-{path.name}"
        place.mkdir()
        (place / path.name).write_bytes(path.read_bytes())
        files.append(place / path.name)
    return desk.add(which, files)


@pytest.mark.parametrize("name", NAMES)
def test_whatever_a_picture_is_called_it_stays_in_its_folder(name, tmp_path):
    dropped = Dropped(tmp_path / "kept")
    file = tmp_path / name
    file.write_bytes(png())
    assert dropped.take([file]) == []
    (kept,) = dropped.folder.iterdir()
    assert kept.read_bytes() == png() and kept.name[0] != "." and "\x1b" not in kept.name
    assert not file.exists()


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("pictures.zip", archive(), "not"),
        ("bomb.png", bomb(), "pixels"),
        ("empty.png", b"", "empty"),
        ("page.html", b"<script>alert(1)</script>", "not"),
        ("cut.png", png()[:60], ""),
        ("table.parquet", b"PAR1" + bytes(20) + b"PAR1", "not"),
        ("words.txt", b"\xff\xfe\xfa", "caption"),
        ("long.txt", b"a" * 100_000, "too long"),
    ],
)
def test_what_is_no_picture_ends_in_a_sentence(name, data, says, tmp_path):
    dropped = Dropped(tmp_path / "kept")
    (tmp_path / name).write_bytes(data)
    (sentence,) = dropped.take([tmp_path / name])
    assert sentence.startswith(f"{name}: ") and says in sentence and "\n" not in sentence
    assert not list(dropped.folder.iterdir())


def test_links_pipes_copies_and_too_many_are_refused(tmp_path):
    dropped = Dropped(tmp_path / "kept", most=2)
    (tmp_path / "real.png").write_bytes(png(0))
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    os.mkfifo(tmp_path / "pipe.png")
    said = dropped.take([tmp_path / "link.png", tmp_path / "pipe.png"])
    assert "is a link" in said[0] and "is a pipe" in said[1]
    for number, name in enumerate(("b.png", "c.png", "d.png")):
        (tmp_path / name).write_bytes(png(number))
    said = dropped.take([tmp_path / "real.png", *(tmp_path / name for name in ("b.png", "c.png", "d.png"))])
    assert len(dropped) == 2 and said == [
        "d.png: there are 2 pictures already; the command line takes more: trainedon audit",
        "real.png: there are 2 pictures already; the command line takes more: trainedon audit",
    ]
    dropped.clear()
    (tmp_path / "one.png").write_bytes(png())
    (tmp_path / "two").write_bytes(png())
    assert dropped.take([tmp_path / "one.png", tmp_path / "two"]) == ["two: it is the same file as one.png"]


def test_content_tells_what_a_picture_is_and_captions_lie_beside(tmp_path):
    dropped = Dropped(tmp_path / "kept")
    (tmp_path / "a.parquet").write_bytes(png())
    (tmp_path / "b.png").write_bytes(png(1))
    (tmp_path / "b.txt").write_text("a blue square")
    assert dropped.take([tmp_path / "a.parquet", tmp_path / "b.png", tmp_path / "b.txt"]) == []
    assert sorted(path.name for path in dropped.folder.iterdir()) == ["a.parquet.png", "b.png", "b.txt"]
    assert not dropped.strays and "No picture has" not in phrases.heap(dropped)
    (tmp_path / "notes.txt").write_text("of no picture")
    assert dropped.take([tmp_path / "notes.txt"]) == []  # the picture may come later
    assert "No picture has the name of notes.txt" in phrases.heap(dropped)


def test_only_what_was_dropped_is_taken(desk, tmp_path):
    other = tmp_path / "mine.png"
    other.write_bytes(png())
    for path in (other, desk.uploads / ".." / ".." / "mine.png"):
        with pytest.raises(UserError, match=r"mine\.png was not dropped here"):
            desk.add("suspects", [path])
    with pytest.raises(UserError, match="was not dropped here"):
        desk.look(EMBEDDED, other)
    assert other.read_bytes() == png() and not len(desk.suspects)


def test_folders_are_for_nobody_else(desk):
    folders = [desk.folder, *(path for path in desk.folder.rglob("*") if path.is_dir())]
    assert len(folders) == 5 and {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}


def test_own_code_runs_only_where_the_command_line_named_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("desk_code.py").write_text("open('ran', 'w').close()\ndef make():\n    return 1\n")
    with pytest.raises(UserError, match="trainedon app desk_code:make"):
        Models().opened("desk_code:make")
    assert not Path("ran").exists()
    with pytest.raises(UserError, match="returned a value of type int"):
        Models(("desk_code:make",)).opened("desk_code:make")
    assert Path("ran").exists()


@pytest.mark.parametrize("name", ["", "  ", None])
def test_no_model_is_a_sentence(name):
    with pytest.raises(UserError, match="choose a model"):
        Models().opened(name)


def test_what_is_missing_is_said_before_a_model_is_loaded(desk):
    for question in (AuditQuestion(EMBEDDED, "mirror"), AuditQuestion(EMBEDDED, "unseen")):
        for act in (desk.forecast, desk.start):
            with pytest.raises(UserError, match="drop the pictures in question first"):
                act(question)
    with pytest.raises(UserError, match="no run to go on with"):
        desk.go_on()
    with pytest.raises(UserError, match="no run that is done"):
        desk.zipped()


@pytest.mark.slow
def test_a_run_is_stopped_gone_on_with_and_removed(desk, overtrained, toy_pictures, tmp_path):
    """The scores are those of an audit in one go; its claim may not be, since the first run is one that it knows of."""
    import trainedon

    assert drop(desk, "suspects", toy_pictures["members"]) == drop(desk, "unseen", toy_pictures["unseen"]) == []
    question, stages, told = AuditQuestion(str(overtrained), "unseen"), [], desk.job._told
    forecast = desk.forecast(question)
    assert (forecast.suspects, forecast.unseen) == (24, 24) and forecast.estimate.wall_hours > 0

    def stop_once(what, done, total):
        stages.append(what)
        if what.startswith("drc") and stages.count(what) == 1:
            desk.job._stop.set()
        told(what, done, total)

    desk.job._told = stop_once
    desk.start(question)
    desk.job.stop(None) if desk.job.now.state == "stopped" else desk.job._thread.join()
    assert desk.job.now.state == "stopped" and desk.can_go_on and desk.result is None
    with pytest.raises(UserError, match="no run that is done"):
        desk.zipped()
    begun = desk.run
    desk.job._told = told
    desk.go_on()
    desk.job._thread.join()
    assert desk.job.now.state == "done" and desk.run == begun
    once = trainedon.audit(overtrained, toy_pictures["members"], unseen=toy_pictures["unseen"], out=tmp_path / "once")
    assert desk.result.pictures[0].score > desk.result.pictures[-1].score
    command = json.loads((desk.run / "run.json").read_text("utf-8"))["command"]
    assert command.startswith("trainedon app, which does as: trainedon audit ") and " PICTURES --" in command
    assert [(one.picture, one.score) for one in desk.result.pictures] == [(x.picture, x.score) for x in once.pictures]
    with zipfile.ZipFile(desk.zipped()) as made:
        assert "trainedon-run/report.html" in made.namelist() and not [n for n in made.namelist() if ".lock" in n]
    desk.reset()
    assert not [path for path in desk.folder.rglob("*") if path.is_file()] and desk.result is None


@pytest.mark.slow
def test_one_picture_is_shown_and_nothing_of_it_stays(desk, overtrained, toy_pictures):
    place = desk.uploads / "one.png"
    place.write_bytes((toy_pictures["members"] / "00.png").read_bytes())
    found = desk.look(str(overtrained), place)
    assert {"original", "degraded", "restored-1", "viewback", "guess", "viewguess"} <= found.pictures.keys()
    assert all(Image.open(io.BytesIO(one)).size == (16, 16) for one in found.pictures.values())
    assert not [path for path in desk.folder.rglob("*") if path.is_file()]
    place.write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"^one\.png: "):
        desk.look(str(overtrained), place)
