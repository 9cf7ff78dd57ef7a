"""Whose work a picture is: told by its folder or by a table, kept in the inventory, and part of the list's digest."""

import shutil
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import trainedon as to
from trainedon.errors import UserError
from trainedon.formats import read_record
from trainedon.pictures import inventory_digest, read_inventory, scan, take_inventory, write_inventory
from trainedon.pictures.works import in_both, known_source, source_of


def test_the_first_folder_says_it_and_else_the_one_that_was_given(folder, tmp_path):
    path = folder("vera/1.png", "vera/early/2.png", "max/1.png", "3.png")
    items = take_inventory(scan(path), "suspect", source_of=source_of("folder", path))
    assert {item.picture: item.source for item in items} == {
        "vera/1.png": "vera",
        "vera/early/2.png": "vera",
        "max/1.png": "max",
        "3.png": path.name,
    }
    write_inventory(items, tmp_path / "pictures.parquet")
    assert read_inventory(tmp_path / "pictures.parquet") == items
    assert all(item.source is None for item in take_inventory(scan(path), "suspect"))


def test_a_folder_has_its_name_however_it_is_written(folder, monkeypatch):
    path = folder("vera/early/2.png", "3.png")
    monkeypatch.chdir(path / "vera")
    (entry,) = (entry for entry in scan(path) if entry.name == "3.png")
    assert [source_of("folder", where)(entry) for where in (".", "..", "early/..", "/")] == [
        "vera",
        path.name,
        "vera",
        "/",
    ]


@pytest.mark.slow
def test_sources_in_both_sets_are_told(target_folders, toy_pictures, tmp_path, caplog):
    roots = [tmp_path / who / "images" for who in ("alice", "bob")]
    for root, name in zip(roots, ("members", "unseen"), strict=True):
        shutil.copytree(toy_pictures[name], root)
    out, reading = tmp_path / "run", to.Reading(source_from="folder")
    to.audit(target_folders["epsilon"], roots[0], unseen=roots[1], attacks="loss", out=out, reading=reading)
    note = "sources in both sets, taken for the same: images; rename their folders if they are not"
    assert note in read_record(out).notes and note in caplog.text
    assert in_both(["a", None], ["b", None]) is None
    assert "0, 1, 2, 3, 4 and 2 others;" in str(in_both("0123456", "0123456"))


@pytest.mark.parametrize("name", ["source", "artist", "author"])
def test_a_column_of_a_table_says_it(folder, tmp_path, name):
    data = (folder("a.png") / "a.png").read_bytes()
    pictures = [data, data + b"0", data + b"1"]
    table = pa.table({"image": pictures, name: ["vera", " ", None], "title": ["x", "y", "z"]})
    pq.write_table(table, tmp_path / "works.parquet", row_group_size=2)
    entries = scan(tmp_path / "works.parquet")
    items = take_inventory(entries, "unseen", source_of=source_of("column", tmp_path))
    assert [item.source for item in items] == ["vera", None, None]
    assert [entry.source for entry in entries] == ["vera", " ", None]


def test_lists_that_differ_in_it_are_other_lists_and_without_it_are_what_they_were(folder):
    items = [*take_inventory(scan(folder("a.png", "b.png")), "suspect")]
    digest = inventory_digest(items)
    told = inventory_digest([items[0], replace(items[1], source="vera")])
    assert told != digest != inventory_digest([items[0], replace(items[1], source="max")]) != told
    assert inventory_digest([items[0], replace(items[1], caption="vera")]) not in (digest, told)


def test_another_word_is_refused_and_so_is_what_asks_for_no_source(folder, tmp_path):
    assert known_source("folder") == "folder"
    with pytest.raises(UserError, match=r"--source-from 'folders' is not known \(did you mean folder\?\)"):
        to.Reading(source_from="folders")
    told = to.Reading(source_from="folder")
    path = folder("a.png", "b.png")
    with pytest.raises(UserError, match="leave it out for an evaluation"):
        to.evaluate("model", path, path, reading=told)
    with pytest.raises(UserError, match="leave it out for a training"):
        to.train(path, tmp_path / "model", reading=told)
    with pytest.raises(UserError, match="give --sources N"):
        to.plan("model", 9, reading=told)


def test_an_audit_without_such_a_column_says_what_is_missing(target_folders, folder):
    path = folder("a.png")
    with pytest.raises(UserError, match="no table has a column source, artist or author"):
        to.audit(target_folders["epsilon"], path, attacks="loss", reading=to.Reading(source_from="column"))
