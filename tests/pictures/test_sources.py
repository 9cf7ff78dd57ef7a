"""Folders, links, names, limits: what is listed, in which order, under which name."""

import json
import os
import subprocess

import numpy as np
import pytest
from PIL import Image

from trainedon.errors import PictureError, UserError
from trainedon.pictures import scan


def names(entries):
    return [entry.name for entry in entries]


def test_a_folder_is_walked_through_in_sorted_order(folder):
    path = folder("b.png", "a/z.png", "a/b/c.png", "B.png", "a.png", "10.png", "9.png")
    assert names(scan(path)) == ["10.png", "9.png", "B.png", "a.png", "a/b/c.png", "a/z.png", "b.png"]


def test_the_limit_takes_the_first_in_sorted_order(folder):
    path = folder("c.png", "a.png", "b.png")
    assert names(scan(path, limit=2)) == ["a.png", "b.png"]
    assert names(scan(path, limit=9)) == ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_leaves_nothing_is_refused(folder, limit):
    with pytest.raises(UserError, match="1 or more"):
        scan(folder("a.png"), limit=limit)


def test_an_entry_reads_name_digest_pixels_facts(folder, rgb):
    import hashlib

    path = folder("a.png")
    picture = scan(path)[0].read()
    data = (path / "a.png").read_bytes()
    assert picture.name == "a.png" and picture.sha256 == hashlib.sha256(data).hexdigest()
    np.testing.assert_array_equal(picture.rgb, rgb // 2)
    assert picture.facts == {"format": "PNG", "mode": "RGB", "width": 16, "height": 12, "bytes": len(data)}
    assert picture.label is None


def test_hidden_files_and_sidecars_are_passed_over(folder):
    path = folder("a.png", ".b.png", ".hidden/c.png")
    for sidecar in ("a.txt", "a.json", "labels.csv", "README.md", "Makefile"):
        (path / sidecar).write_text("{}")
    assert names(scan(path)) == ["a.png"]


def test_pictures_of_other_formats_are_named_not_passed_over(folder):
    path = folder("a.png")
    (path / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    entries = scan(path)
    assert names(entries) == ["a.png", "phone.HEIC"]
    with pytest.raises(PictureError, match="not a JPEG"):
        entries[1].read()


def test_upper_case_extensions_count(folder):
    assert names(scan(folder("A.PNG", "b.JpEg"))) == ["A.PNG", "b.JpEg"]


def test_links_to_files_and_folders_are_followed_and_loops_are_not(folder, tmp_path):
    path = folder("a.png", "sub/b.png")
    outside = tmp_path / "outside"
    outside.mkdir()
    (path / "a.png").rename(outside / "real.png")
    (path / "link.png").symlink_to(outside / "real.png")
    (path / "more").symlink_to(outside, target_is_directory=True)
    (path / "sub" / "loop").symlink_to(path, target_is_directory=True)
    (path / "itself.png").symlink_to(path / "itself.png")
    (path / "again").symlink_to(path / "sub", target_is_directory=True)  # sorted before it, yet the real one is used
    assert names(scan(path)) == ["itself.png", "sub/b.png"]
    entries = scan(path, follow_links=True)
    assert names(entries) == ["itself.png", "link.png", "more/real.png", "sub/b.png"]
    with pytest.raises(PictureError, match="cannot be read"):
        entries[0].read()
    assert entries[1].read().sha256 == entries[2].read().sha256


def test_links_out_of_a_folder_are_passed_over_and_said(folder, tmp_path):
    path, outside = folder("a.png", "b.png"), tmp_path / "outside"
    (outside / "more").mkdir(parents=True)
    (path / "b.png").rename(outside / "b.png")
    (outside / "secret").write_text("root:x:0")
    (path / "b.png").symlink_to(outside / "b.png")
    (path / "a.txt").symlink_to(outside / "secret")
    (path / "more").symlink_to(outside / "more", target_is_directory=True)
    (path / "within.png").symlink_to("a.png")
    listed = scan(path)
    assert names(listed) == ["a.png", "within.png"] and listed[0].caption is None
    assert listed[0].read().sha256 == listed[1].read().sha256
    reason = "passed over: link out of the folder: add --follow-links if what it leads to is meant"
    assert list(listed.passed) == [("a.txt", reason), ("b.png", reason), ("more/", reason)]
    assert scan(path, follow_links=True)[0].caption == "root:x:0"


def test_a_link_given_as_the_source_is_what_it_leads_to(folder, tmp_path):
    path = folder("a.png", "sub/b.png")
    (tmp_path / "link").symlink_to(path)
    (path / "sub" / "c.png").symlink_to(path / "a.png")
    assert names(scan(tmp_path / "link")) == ["a.png", "sub/b.png", "sub/c.png"]
    assert scan(tmp_path / "link")[2].read().sha256 == scan(path)[0].read().sha256


def test_a_folder_of_nothing_but_links_says_how_they_are_followed(folder, tmp_path):
    path, links = folder("a.png"), tmp_path / "links"
    links.mkdir()
    (links / "a.png").symlink_to(path / "a.png")
    with pytest.raises(
        UserError, match=r"links holds no picture of its own; 1 link leads out of it: add --follow-links"
    ):
        scan(links)
    assert names(scan(links, follow_links=True)) == ["a.png"]


def test_the_caption_of_one_picture_is_no_link_out_of_its_folder(folder, tmp_path):
    path = folder("a.png")
    (tmp_path / "secret").write_text("secret")
    (path / "a.txt").symlink_to(tmp_path / "secret")
    listed = scan(path / "a.png")
    assert listed[0].caption is None and [name for name, _ in listed.passed] == ["a.txt"]
    assert scan(path / "a.png", follow_links=True)[0].caption == "secret"


def test_what_became_a_link_or_a_pipe_since_it_was_listed_is_not_opened(folder, tmp_path):
    path = folder("a.png", "b.png", "c.png")
    (tmp_path / "secret.png").write_bytes((path / "a.png").read_bytes())
    entries = scan(path)
    for name in "abc":
        (path / f"{name}.png").unlink()
    (path / "a.png").symlink_to(tmp_path / "secret.png")
    os.mkfifo(path / "b.png")
    (path / "c.png").symlink_to("/proc/self/mem")
    for entry in entries:
        with pytest.raises(PictureError, match="not a regular file"):
            entry.read()


def test_folders_nested_deeper_than_paths_can_be(folder):
    path = folder("a.png")
    here = os.open(path, os.O_RDONLY)
    for _ in range(25):
        os.mkdir("f" * 200, dir_fd=here)
        inner = os.open("f" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    listed = scan(path)
    assert names(listed) == ["a.png"]
    assert [kind for kind, _, _ in listed.passed.groups()] == ["folder nested too deeply"]


def test_folders_nested_deeper_than_functions_can_call_each_other(folder):
    path = folder("a.png")
    deepest = path / "/".join("f" * 1100)
    subprocess.run(["mkdir", "-p", str(deepest)], check=True)  # which Python's own would neither make
    (deepest / "b.png").write_bytes((path / "a.png").read_bytes())
    try:
        first, second = scan(path)
        assert first.read().sha256 == second.read().sha256
    finally:
        subprocess.run(["rm", "-rf", str(path / "f")], check=True)  # nor remove


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("run.json", '{"schema_version": 1, "status": "running", "kind": "audit"', "run of trainedon"),
        ("draw.json", f'{{"schema_version": 1, "secret": "s", "commitment": "{"0" * 64}"', "draw of trainedon"),
        ("manifest.json", '{"seed": 0, "members": 1, "pictures": [{"picture":', "model that trainedon trained"),
        ("shadows.json", '{"models": ["000", "001"]', "set of shadow models of trainedon"),
    ],
)
def test_what_this_program_wrote_is_left_out_of_a_source(folder, name, head, kind):
    path = folder("a.png", "sub/ours/evidence/b.png", "sub/theirs/c.png", "other/d.png")
    (path / "sub" / "ours" / name).write_text(head)
    (path / "sub" / "theirs" / name).write_text('{"schema_version": 1, "trainer": "somebody else"}')
    listed = scan(path)
    assert names(listed) == ["a.png", "other/d.png", "sub/theirs/c.png"]
    assert {kind: told for kind, _, told in listed.passed.groups()}[kind] == ["sub/ours/"]
    assert names(scan(path / "sub" / "ours" / "evidence")) == ["b.png"]


@pytest.mark.parametrize("name", ["run.json", "draw.json"])
def test_a_run_or_a_draw_is_no_source_by_itself(folder, name):
    path = folder("evidence/a.png", "restored/0123/a.png")
    run, draw = {"status": "running", "kind": "evaluate"}, {"secret": "", "commitment": "0" * 64}
    (path / name).write_text(json.dumps({"schema_version": 1} | (run if name == "run.json" else draw)))
    with pytest.raises(UserError, match=r"pictures is a (run|draw) of trainedon: give "):
        scan(path)
    if name == "draw.json":
        assert names(scan(path / "restored")) == ["0123/a.png"], "somebody's folder of that name"
        return
    for evidence in (path / "restored", path / "restored" / "0123"):
        with pytest.raises(UserError, match="lies in a run of trainedon: give the folder that its pictures came from"):
            scan(evidence)


def test_a_dangling_link_and_a_pipe_are_refused_without_waiting(folder):
    path = folder("a.png")
    (path / "gone.png").symlink_to(path / "nowhere.png")
    os.mkfifo(path / "pipe.png")
    reasons = {}
    for entry in scan(path)[1:]:
        with pytest.raises(PictureError) as error:
            entry.read()
        reasons[entry.name] = str(error.value)
    assert reasons == {"gone.png": "cannot be read (no such file or directory)", "pipe.png": "not a regular file"}


def test_a_file_beyond_the_byte_ceiling_is_not_even_read(folder):
    path = folder("a.png")
    with (path / "sparse.png").open("wb") as stream:
        stream.truncate(300 * 2**20)
    with pytest.raises(PictureError, match="larger than 256 MiB"):
        scan(path)[1].read()


def test_odd_names_are_kept_as_text(folder):
    path = folder("new\nline\x1b[31m.png", "ünï.png", " .png")
    (path / "ünï.png").rename(path / os.fsdecode(b"bad\xff.png"))
    found = names(scan(path))
    assert found == [" .png", "bad\\xff.png", "new\nline\x1b[31m.png"]
    assert all(entry.read().rgb.shape == (12, 16, 3) for entry in scan(path))


def test_numeric_folders_are_labels(folder):
    path = folder("7/a.png", "007/b.png", "x/3/c.png", "3/x/d.png", "e.png", "²/f.png", "20240101123456/g.png")
    labels = {entry.name: entry.label for entry in scan(path)}
    assert labels == {
        "7/a.png": 7,
        "007/b.png": 7,
        "x/3/c.png": 3,
        "3/x/d.png": None,
        "e.png": None,
        "²/f.png": None,
        "20240101123456/g.png": None,
    }
    assert scan(path / "7")[0].label is None  # the folder that was asked for is no class


def test_one_picture_file_is_a_source(folder):
    path = folder("a.png")
    assert names(scan(path / "a.png")) == ["a.png"]


def test_missing_empty_and_foreign_paths_say_what_to_do(tmp_path, folder):
    with pytest.raises(UserError, match="does not exist; check the spelling"):
        scan(tmp_path / "nowhere")
    with pytest.raises(UserError, match="does not exist"):
        scan(tmp_path / "nowhere.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("nothing to see")
    with pytest.raises(UserError, match="holds no pictures; give a folder with JPEG"):
        scan(tmp_path / "empty")
    with pytest.raises(UserError, match=r"is no picture, parquet, \.npz or \.tar file"):
        scan(tmp_path / "empty" / "notes.txt")


def test_no_permission(powerless):
    Image.new("RGB", (2, 2)).save(powerless / "a.png")
    Image.new("RGB", (2, 2)).save(powerless / "secret.png")
    (powerless / "secret.png").chmod(0)
    entries = scan(powerless)
    assert entries[0].read().rgb.shape == (2, 2, 3)
    with pytest.raises(PictureError, match=r"cannot be read \(permission denied\)"):
        entries[1].read()
    closed = powerless / "closed"
    closed.mkdir(mode=0)
    for path in (powerless, closed):
        with pytest.raises(UserError, match=r"no permission to read .*closed; ask its owner"):
            scan(path)


def test_entries_hold_no_pixels(folder):
    path = folder("a.png")
    entry = scan(path)[0]
    first = entry.read()
    (path / "a.png").write_bytes(b"")
    with pytest.raises(PictureError, match="empty file"):
        entry.read()
    assert first.rgb.any()
