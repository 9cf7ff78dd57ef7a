"""Files are written whole, and where they belong."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainedon.checks import check_lock, refuse_strangers
from trainedon.errors import UserError
from trainedon.files import write_text
from trainedon.runs.folder import locked
from trainedon.runs.scoring.unfinished import load
from trainedon.targets import Journal, Pace


def test_a_link_in_the_place_of_a_file_or_its_beginning_is_replaced(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    for name in ("page.html", ".page.html.tmp"):
        (tmp_path / name).symlink_to(tmp_path / "mine.txt")
    write_text(tmp_path / "page.html", "new")
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert not (tmp_path / "page.html").is_symlink() and (tmp_path / "page.html").read_text() == "new"
    assert not (tmp_path / ".page.html.tmp").exists()


def test_what_a_killed_process_left_is_replaced(tmp_path):
    (tmp_path / ".page.html.tmp").write_text("half of")
    write_text(tmp_path / "page.html", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.parametrize("kind", ["text", "link", "folder"])
def test_a_lock_that_is_none_is_left_as_it_is(tmp_path, kind):
    (tmp_path / "mine.txt").write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    lock = out / ".lock"
    {"text": lambda: lock.write_text("mine"), "link": lambda: lock.symlink_to(tmp_path / "mine.txt")}.get(
        kind, lock.mkdir
    )()
    for refuse in (check_lock, refuse_strangers):
        with pytest.raises(UserError, match=r"\.lock is not an empty file"):
            refuse(out)
    with pytest.raises(UserError, match=r"\.lock is not an empty file"), locked(out):
        pass
    assert (tmp_path / "mine.txt").read_text() == "mine" and lock.exists()


def test_a_lock_of_ours_is_taken_again(tmp_path):
    for _ in range(2):
        with locked(tmp_path):
            assert (tmp_path / ".lock").stat().st_size == 0


@pytest.mark.parametrize("name", ["shards", "restored", "restored/0123456789abcdef"])
def test_a_folder_of_a_run_that_leads_elsewhere(tmp_path, name):
    out = tmp_path / "out"
    (out / name).parent.mkdir(parents=True)
    (out / "run.json").write_text("{}")
    (out / name).symlink_to(tmp_path)
    with pytest.raises(UserError, match="is a link, and a run folder holds none"):
        refuse_strangers(out)


def test_a_journal_that_leads_to_somebodys_file(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    path = tmp_path / "shard.answers"
    path.symlink_to(tmp_path / "mine.txt")
    assert not [*Journal(path, Pace(0.0)).read()]
    assert (tmp_path / "mine.txt").read_text() == "mine" and not path.is_symlink()


def test_parts_that_are_none(tmp_path):
    for number, rows in enumerate(([[0, 0]], [[-1]], [[9]], [[None]])):
        table = pa.table({"place": pa.array(rows[0], pa.int64()), "answer": [[0.5]] * len(rows[0])})
        facts = {"forward": "1", "seconds": "1.0", "shape": "1"}
        pq.write_table(table.replace_schema_metadata(facts), tmp_path / f"shard.{number:02d}.part")
    os.mkfifo(tmp_path / "shard.08.part")
    (tmp_path / "shard.09.part").mkdir()
    assert load(tmp_path, "shard", 8) == ()
    assert [path.name for path in tmp_path.iterdir()] == ["shard.09.part"]
