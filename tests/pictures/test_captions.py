"""Captions: found wherever a source keeps them, one paragraph each, and nothing of them in old runs."""

import io
import json
import pickle
import tarfile
from dataclasses import replace

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainedon.errors import PictureError, UserError
from trainedon.pictures import Batch, inventory_digest, read_inventory, scan, take_inventory, write_inventory


@pytest.fixture
def files(encoded, rgb):
    """Twenty different PNG files, as bytes."""
    return [encoded("PNG", rgb // 2 + np.uint8(shade)) for shade in range(20)]


@pytest.fixture(params=["disk", "store"])
def place(request, tmp_path):
    """A function (name -> bytes) that stores files, and gives their folder."""

    def write(contents):
        folder = str(tmp_path) if request.param == "disk" else f"memory://captions-{tmp_path.name}"
        for name, data in contents.items():
            with fsspec.open(f"{folder}/{name}", "wb", auto_mkdir=True) as stream:
                stream.write(data)
        return folder

    yield write
    fsspec.filesystem("memory").store.clear()


def lines(*rows):
    return "\n".join(map(json.dumps, rows)).encode()


def told(entries):
    return {entry.name: pickle.loads(pickle.dumps(entry)).read().caption for entry in entries}  # noqa: S301


def test_a_folder_tells_by_files_of_text_and_by_metadata(place, files):
    names = ["a.b.png", "b.png", "c.png", "d/e.png", "d/f.png", "g.png", "h.png", "i.png"]
    above = [
        {"file_name": "b.png", "text": "not this"},
        {"file_name": "./c.png", "label": 3, "text": "of  the\ncolumn text"},
        {"file_name": "c.png", "caption": "a second one"},
        {"file_name": "d/e.png", "caption": "from afar"},
        {"file_name": "d/f.png", "text": "a lamp", "caption": "a chair"},
        {"file_name": "h.png", "caption": ["a list"]},
        {"file_name": "gone.png", "caption": "of no picture"},
    ]
    folder = place(
        dict(zip(names, files))
        | {"a.b.txt": "\ufeff  Zwei\tgrüne \n\nBälle\n".encode(), "b.txt": b"a bird", "g.txt": b" \n", "j.txt": b"none"}
        | {"metadata.jsonl": lines(*above), "d/metadata.jsonl": b"\n" + lines({"file_name": "e.png", "text": "near"})}
    )
    expected = dict(
        zip(names, ["Zwei grüne Bälle", "a bird", "of the column text", "near", "a chair", None, None, None])
    )
    assert told(scan(folder)) == expected
    assert told(scan(folder, 3)) == dict([*expected.items()][:3])
    assert [item.caption for item in take_inventory(scan(folder), "suspect")] == [*expected.values()]
    assert told(scan(f"{folder}/b.png")) == {"b.png": "a bird"} and told(scan(f"{folder}/i.png")) == {"i.png": None}


def test_a_caption_that_cannot_be_read_is_the_picture_s_fault(place, files):
    names = ["binary.png", "fine.png", "huge.png", "long.png"]
    texts = {
        "binary.txt": b"\xff\xfe",
        "fine.txt": b"x" * 10_000,
        "huge.txt": bytes(2**20 + 2),
        "long.txt": b"x" * 10_001,
    }
    items = take_inventory(scan(place(dict(zip(names, files)) | texts)), "suspect")
    reasons = [item.reason for item in items]
    assert reasons[:2] == ["caption: not UTF-8", None] and reasons[3] == "caption: more than 10000 characters"
    assert reasons[2] in (
        "caption: larger than 1 MiB",
        "caption: more than 10000 characters",
    )  # a store reads its start


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"file_name": "a.png", "text": "cut', "not an object with a file_name"),
        (b'["a.png"]', "not an object with a file_name"),
        (b'{"text": "of whom?"}', "not an object with a file_name"),
        (b'{"file_name": "\xff"}', "not an object with a file_name"),
        (b'{"file_name": "\\ud800.png", "text": "x"}', "not an object with a file_name"),
        (b"[" * 100_000, "not an object with a file_name"),
        (b'{"file_name": "a.png", "text": "' + b"x" * 10_001 + b'"}', "caption: more than 10000 characters"),
        (b'{"file_name": "a.png", "text": "\\ud800"}', "caption: no text that can be written"),
    ],
)
def test_damaged_metadata_is_named_by_its_line(place, files, line, why):
    folder = place({"a.png": files[0], "metadata.jsonl": lines({"file_name": "b.png"}) + b"\n\n" + line})
    with pytest.raises(UserError, match=rf"metadata\.jsonl, line 3: {why}"):
        scan(folder)


@pytest.mark.parametrize("struct", [False, True])
def test_a_table_tells_by_a_column_of_text(tmp_path, files, struct):
    captions = [None if i == 4 else f"picture  {i} " for i in range(20)]
    images = [{"bytes": data, "path": None} for data in files] if struct else files
    columns = {"text": captions, "image": images, "caption": list(range(20))}  # numbers are no captions
    pq.write_table(pa.table(columns), tmp_path / "t.parquet", row_group_size=7)
    entries = scan(tmp_path / "t.parquet")
    expected = {f"t.parquet#{i}": None if i == 4 else f"picture {i}" for i in range(20)}
    assert told(entries) == expected
    assert entries[13].caption == "picture 13" and entries[2].data() == files[2] and entries[2].caption == "picture 2"
    pq.write_table(pa.table({"image": files[:2], "caption": ["x" * 10_001, "fine"]}), tmp_path / "long.parquet")
    found = take_inventory(scan(tmp_path / "long.parquet"), "suspect")
    assert [item.reason for item in found] == ["caption: more than 10000 characters", None]


def test_a_tar_tells_by_neighbours_of_the_same_key(tmp_path, files):
    members = [("0.png", files[0]), ("0.txt", b" a cat\n"), ("0.cls", b"3"), ("1.txt", b"a dog"), ("1.png", files[1])]
    members += [("2.png", files[2]), ("3.seg.txt", b"not this"), ("3.png", files[3]), ("x/2.txt", b"nor this")]
    members += [("4.png", files[4]), ("4.txt", b"\xff"), ("5.jpg.png", files[5]), ("5.txt", bytes(2**20 + 1))]
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    entries = scan(tmp_path / "s.tar")
    assert told(entries[:4]) == {"0.png": "a cat", "1.png": "a dog", "2.png": None, "3.png": None}
    assert entries[0].label == 3
    for entry, why in zip(entries[4:], ["not UTF-8", "larger than 1 MiB"], strict=True):
        with pytest.raises(PictureError, match=f"^caption: {why}"):
            entry.read()


def test_arrays_bring_an_array_of_texts(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (1500, 4, 4, 3), dtype=np.uint8)
    captions = np.array([f"pixels {i}" if i else " " for i in range(1500)])
    np.savez_compressed(tmp_path / "a.npz", images=pixels, captions=captions, labels=np.arange(1500))
    entries = scan(tmp_path / "a.npz")
    assert [entry.caption for entry in entries] == [None, *(f"pixels {i}" for i in range(1, 1500))]
    assert entries[7].read().caption == "pixels 7" and entries[7].label == 7
    for wrong in (captions[:9], captions.astype(object), np.full(1500, "\ud800"), np.full(1500, "x" * 10_001)):
        np.savez(tmp_path / "b.npz", images=pixels, captions=wrong)
        with pytest.raises(UserError, match=r"b\.npz: .*(captions|caption:)"):
            scan(tmp_path / "b.npz")


def test_one_caption_for_all_is_stronger_than_what_files_say(folder):
    path = folder("a.png", "b.png")
    (path / "a.txt").write_bytes(b"\xff")
    items = take_inventory(scan(path), "suspect", caption=" one for\nall ")
    assert [(item.reason, item.caption) for item in items] == [(None, "one for all")] * 2
    assert [item.caption for item in take_inventory(scan(path), "suspect", caption="")] == ["", ""]  # the empty prompt
    with pytest.raises(PictureError, match="more than 10000 characters"):
        take_inventory(scan(path), "suspect", caption="x" * 10_001)


def test_the_digest_knows_captions_and_lists_without_them_have_the_one_that_they_had(folder, tmp_path):
    items = take_inventory(scan(folder("a.png", "b.png")), "suspect", caption="a cat")
    bare = items.replaced("caption", {0: None, 1: None})
    rows = [json.dumps([item.set, item.picture, item.sha256, item.label]) for item in items]
    one = items.replaced("caption", {0: None})
    digests = {inventory_digest(listed) for listed in (items, bare, one, items.replaced("caption", {0: "a dog"}))}
    assert len(digests) == 4 and inventory_digest(reversed(one)) == inventory_digest(one)
    assert json.dumps([*json.loads(rows[0]), "a cat"]) < rows[1]  # so that the lines are sorted as they stand
    write_inventory(one, tmp_path / "pictures.parquet")
    assert read_inventory(tmp_path / "pictures.parquet") == one
    pq.write_table(pq.read_table(tmp_path / "pictures.parquet").drop_columns(["caption"]), tmp_path / "old.parquet")
    assert read_inventory(tmp_path / "old.parquet") == bare


def test_a_batch_keeps_captions_in_the_order_of_its_pictures(folder):
    path = folder("a.png", "b.png", "c.png")
    (path / "b.txt").write_text("a cat")
    pictures = [entry.read() for entry in scan(path)]
    batch = Batch.from_pictures(pictures, (8, 8), 3)
    assert batch.captions == (None, "a cat", None) and batch.take([1, 0]).captions == ("a cat", None)
    assert batch[2:].captions == (None,)
    assert Batch.from_pictures([replace(picture, caption=None) for picture in pictures], (8, 8), 3).captions is None
    with pytest.raises(ValueError, match="3 pictures but 2 captions"):
        replace(batch, captions=("a", "b"))
