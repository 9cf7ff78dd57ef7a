"""Files are written whole, and where they belong."""

import pytest

from trainedon.checks import check_lock, refuse_strangers
from trainedon.errors import UserError
from trainedon.files import write_text
from trainedon.runs.folder import locked


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
