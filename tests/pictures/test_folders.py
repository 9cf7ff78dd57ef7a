"""Everything in a folder is accounted for: read, or passed over with what it is and what to do."""

import io
import json
import os
import tarfile

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainedon.errors import UserError
from trainedon.pictures import inventory_digest, passed_items, scan, take_inventory
from trainedon.pictures.folders import MOST_ASKED


@pytest.fixture
def files(encoded, rgb):
    """Thirty different PNG files, as bytes."""
    return [encoded("PNG", rgb // 2 + np.uint8(shade)) for shade in range(30)]


@pytest.fixture
def write(tmp_path):
    """A function (name -> bytes) that writes files below a new folder, and gives it."""

    def write(contents):
        for name, data in contents.items():
            path = tmp_path / "given" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return tmp_path / "given"

    return write


def tar(members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def table(columns):
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()


def arrays(**named):
    stream = io.BytesIO()
    np.savez(stream, **named)
    return stream.getvalue()


def names(listing):
    return [entry.name for entry in listing]


def told(listing):
    return {entry.name: entry.caption for entry in listing}


def reasons(listing):
    return {name: reason.removeprefix("passed over: ") for name, reason in listing.passed}


ODD = ("a.jpg_large", "b.jpg?width=640", "c", "d.jpg.1", "e.jpg~orig", "f.pjpeg", "g.mpo", "h.jpg large", "i.dat")
ODD += ("j.jpg%3Fw=640", "notes.txt", "k.json", "sub/l")


def test_pictures_are_known_by_their_content(write, encoded):
    folder = write({name: encoded("JPEG", quality=50 + i) for i, name in enumerate(ODD)})
    assert names(scan(folder)) == sorted(ODD) and not len(scan(folder).passed)
    assert all(item.reason is None for item in take_inventory(scan(folder), "suspect"))
    assert names(scan(folder / "c")) == ["c"] and names(scan(folder / "a.jpg_large")) == ["a.jpg_large"]


def test_what_is_no_picture_is_counted_and_named(write, files):
    raw = b"II*\0\x10\0\0\0CR\2\0" + bytes(99)
    folder = write(
        {"a.png": files[0], "1.cr2": raw, "2.CR2": raw, "x.psd": b"8BPS", "y.zip": b"PK\3\4" + bytes(30)}
        | {"page.pdf": b"%PDF-1.4", "film.mp4": b"\0\0\0\x14ftypisom\0\0\0\0isom", "README.txt": b"read me"}
        | {".DS_Store": b"x", "._a.png": b"x", ".git/config": b"x", "Thumbs.db": b"x", "__MACOSX/b.png": files[1]}
        | {"@eaDir/a.png/THUMB.png": files[2], "a.txt": b"a cat", "a.json": b"{}", "empty": b"", "odd.bin2": bytes(99)}
    )
    os.mkfifo(folder / "pipe")
    (folder / "gone").symlink_to(folder / "nowhere")
    listing = scan(folder)
    assert told(listing) == {"a.png": "a cat"}
    assert reasons(listing) == {
        "1.cr2": "camera raw (CR2): export it as JPEG or TIFF",
        "2.CR2": "camera raw (CR2): export it as JPEG or TIFF",
        "x.psd": "layered picture (PSD): export it as JPEG, PNG or TIFF",
        "y.zip": "archive (ZIP): unpack it",
        "page.pdf": "PDF: export its pictures as JPEG or PNG",
        "film.mp4": "video: save single frames as pictures if they are meant",
        "odd.bin2": "file of an unknown kind: export it as JPEG, PNG or TIFF if it is a picture",
        "gone": "broken link: put back what it leads to",
        "README.txt": "text file",
        "empty": "empty file",
        "pipe": "link, pipe or device",
        **dict.fromkeys((".DS_Store", "._a.png", "Thumbs.db"), "hidden or system file"),
        **dict.fromkeys((".git/", "__MACOSX/", "@eaDir/"), "hidden or system folder"),
    }
    first, *_ = listing.passed.groups()
    assert first == ("camera raw", 2, ["1.cr2", "2.CR2"]) and listing.passed.kinds["hidden or system file"] == 3
    assert +listing.passed.companions == {"captions, read": 1, "data files beside pictures, not read": 1}
    assert scan(folder, 1).passed.kinds == listing.passed.kinds


def test_what_was_passed_over_is_no_picture(write, files):
    items = take_inventory(scan(write({"a.png": files[0], "b.pdf": b"%PDF-"})), "suspect")
    both = items + passed_items(scan(write({})).passed, "suspect")
    assert [(item.picture, item.sha256, item.reason) for item in both][1:] == [
        ("b.pdf", None, "passed over: PDF: export its pictures as JPEG or PNG")
    ]
    assert both.pictures == items and inventory_digest(both) == inventory_digest(items)


def test_a_folder_without_pictures_says_what_it_holds(write):
    raw = b"FUJIFILMCCD-RAW " + bytes(99)
    folder = write({"1.raf": raw, "2.raf": raw, "a.pdf": b"%PDF-", "n.txt": b"x"})
    with pytest.raises(
        UserError, match=r"2 camera raw files, 1 PDF and no picture that can be opened; export it as JPEG"
    ):
        scan(folder)
    with pytest.raises(UserError, match=r"1\.raf is no picture, .*seems to be: camera raw \(RAF\): export it"):
        scan(folder / "1.raf")
    os.mkfifo(folder / "pipe")
    with pytest.raises(UserError, match=r"pipe is no picture, .*not a regular file"):
        scan(folder / "pipe")


def test_several_sources_are_all_read(write, files):
    pixels = np.arange(96, dtype=np.uint8).reshape(2, 4, 4, 3)
    folder = write(
        {
            "preview.png": files[0],
            "d/0.parquet": table({"image": files[1:3]}),
            "d/1.parquet": table({"image": files[3:5]}),
        }
        | {"e.npz": arrays(images=pixels), "f.tar": tar({"x.png": files[5], "y.jpg_large": files[6]})}
        | {"latents.npz": arrays(latents=np.zeros((4, 8, 8), np.float32)), "old.tar.gz": b"\x1f\x8b\x08"}
        | {"bare.parquet": table({"url": ["https://x"]}), "none.tar": tar({"a.txt": b"x"})}
    )
    listing = scan(folder)
    expected = ["preview.png", "d/0.parquet#0", "d/0.parquet#1", "d/1.parquet#0", "d/1.parquet#1", "e.npz#0", "e.npz#1"]
    expected += ["f.tar/x.png", "f.tar/y.jpg_large"]
    assert (
        names(listing) == expected and names(scan(folder, 8)) == expected[:8] and names(scan(folder, 1)) == expected[:1]
    )
    assert [entry.data() for entry in listing[1:5]] == files[1:5] and listing[-1].data() == files[6]
    assert reasons(listing) == {
        "bare.parquet": "table without pictures: to be read, it needs a column of picture files as bytes",
        "latents.npz": "numpy arrays without pictures",
        "old.tar.gz": "archive (tar.gz): unpack it, or store it as plain .tar",
        "none.tar/a.txt": "text file",
        "none.tar": "tar without pictures",
    }


def test_a_damaged_or_unclear_table_beside_pictures_is_refused(write, files):
    for name, data, why in (
        ("a.parquet", b"PAR1 not really", "not a readable parquet file"),
        ("b.parquet", table({"a": [b"x"], "b": [b"y"]}), "no clear picture column"),
        ("c.npz", arrays(images=np.zeros((1, 4, 4, 3), np.float32)), "float32, whose scale is not known"),
        ("d.tar", b"no tar", "damaged or ends too early"),
    ):
        folder = write({"p.png": files[0], name: data})
        with pytest.raises(UserError, match=why):
            scan(folder)
        (folder / name).unlink()


def test_names_that_clash_are_told_apart_before_anything_is_scored(write, files):
    folder = write({"a.tar": tar({"1.png": files[0]}), "a.parquet": table({"image": [files[0]], "name": ["1.png"]})})
    assert names(scan(folder)) == ["a.parquet#0", "a.tar/1.png"]
    write({"1.png": files[2]})
    assert names(scan(folder)) == ["1.png", "a.parquet#0", "a.tar/1.png"]
    write({"a.parquet#0": files[3]})
    with pytest.raises(UserError, match=r"two pictures are called 'a\.parquet#0': rename"):
        scan(folder)
    for name in (b"bad\xff.png", rb"bad\xff.png"):
        (folder / "twice").mkdir(exist_ok=True)
        (folder / "twice" / os.fsdecode(name)).write_bytes(files[0])
    with pytest.raises(UserError, match="two pictures are called"):
        scan(folder / "twice")


def test_blank_names_do_not_stand_for_pictures(write, files):
    folder = write({"t.parquet": table({"image": files[:3], "name": ["a", " ", "  "]}), "u.tar": tar({" ": files[3]})})
    assert names(scan(folder)) == ["t.parquet#0", "t.parquet#1", "t.parquet#2", "u.tar#0"]
    listing = scan(write({" ": files[4], "a.png": files[5]}))
    assert "a.png" in names(listing) and reasons(listing)[" "] == "file whose name is blank: rename it"


META = {"url": ["https://x"] * 3, "caption": ["a red cat", "a dog", None], "key": ["0000", "0001", "0002"]}


def test_img2dataset_as_webdataset(write, files):
    own = {"0000.jpg": files[0], "0000.txt": b"own words", "0000.json": b"{}", "0001.jpg": files[1], "0001.json": b"{}"}
    folder = write(
        {"00000.tar": tar({**own, "0002.jpg": files[2]}), "00000.parquet": table(META), "00000_stats.json": b"{}"}
    )
    listing = scan(folder)
    assert told(listing) == {"0000.jpg": "own words", "0001.jpg": "a dog", "0002.jpg": None}
    assert reasons(listing) == {"00000_stats.json": "JSON file"}
    assert +listing.passed.companions == {
        "captions, read": 1,
        "data files beside pictures, not read": 2,
        "files of metadata": 1,
    }


def test_img2dataset_as_files_and_as_parquet(write, files):
    folder = write(
        {f"00000/000{i}.jpg": files[i] for i in range(3)}
        | {"00000/0000.txt": b"own words", "00000/0000.json": b"{}", "00000.parquet": table(META)}
    )
    assert told(scan(folder)) == {"00000/0000.jpg": "own words", "00000/0001.jpg": "a dog", "00000/0002.jpg": None}
    assert not reasons(scan(folder))
    (folder / "00000.parquet").write_bytes(table({**META, "jpg": files[3:6]}))
    assert told(scan(folder / "00000.parquet")) == {"0000": "a red cat", "0001": "a dog", "0002": None}


@pytest.mark.parametrize("place", ["disk", "store"])
def test_captions_of_other_layouts(place, write, files, tmp_path):
    contents = {
        "a.png": files[0],
        "a.png.txt": b"full name",
        "b.png": files[1],
        "b.caption": b"of kohya",
        "c.png": files[2],
        "c.txt": b"stronger",
        "c.caption": b"weaker",
        "d/e.png": files[3],
        "d/f.png": files[4],
        "d/metadata.csv": '\ufefffile_name,text\ne.png,"one, two"\n'.encode(),
        "metadata.csv": b"file_name,caption\nd/f.png,from above\nd/e.png,not this\n",
        "g.png": files[5],
        "metadata.parquet": table({"file_name": ["g.png"], "text": ["of a table"]}),
        "h/metadata.csv": b"id,what\n1,2\n",
    }
    folder = write(contents)
    if place == "store":
        store = fsspec.filesystem("memory")
        store.put(f"{folder}/", "/layouts", recursive=True)
        folder = "memory://layouts"
    listing = scan(folder)
    assert told(listing) == {
        "a.png": "full name",
        "b.png": "of kohya",
        "c.png": "stronger",
        "d/e.png": "one, two",
        "d/f.png": "from above",
        "g.png": "of a table",
    }
    assert reasons(listing) == {
        "c.caption": "caption beside another one that is read",
        "h/metadata.csv": "CSV table (without columns file_name and caption)",
    }
    assert +listing.passed.companions == {"captions, read": 3, "files of metadata": 3}
    fsspec.filesystem("memory").store.clear()


def test_a_damaged_sheet_is_named_by_its_line(write, files):
    for row, why in (
        (b"a.png,x,y", "it has not as many cells"),
        (b"a.png", "it has not as many cells"),
        (b"a.png,\xff", "not UTF-8"),
        (b"a.png," + b"y" * 300_000, "field larger than field limit"),
        (b"a.png," + b"y" * 2**20, "it has more than"),
    ):
        for line in (2, 3, 2000):
            sheet = b"file_name,text\n" + b"a.png,x\n" * (line - 2) + row + b"\n" + b"a.png,x\n" * 9
            with pytest.raises(UserError, match=rf"metadata\.csv, line {line}: {why}"):
                scan(write({"a.png": files[0], "metadata.csv": sheet}))


def test_folder_names_of_kohya_are_named_as_not_read(write, files):
    folder = write({"10_sks dog/a.png": files[0], "10_sks dog/b.png": files[1], "5_cat/c.png": files[2]})
    (note,) = scan(folder).passed.notes
    assert "'10_sks dog' and 1 more were not read as captions" in note and "--caption 'sks dog'" in note
    write({f"{name}.txt": b"x" for name in ("10_sks dog/a", "10_sks dog/b", "5_cat/c")})
    assert scan(folder).passed.notes == []


def test_sidecars_of_json_are_not_taken_for_captions(write, files):
    listing = scan(write({"a.png": files[0], "a.json": json.dumps({"caption": "a cat"}).encode()}))
    assert told(listing) == {"a.png": None}
    assert +listing.passed.companions == {"data files beside pictures, not read": 1}


def test_members_of_a_tar_are_accounted_for(write, files):
    members = {
        "0.png": files[0],
        "0.txt": b"a cat",
        "0.cls": b"3",
        "1.jpg_large": files[1],
        "2.nef": b"MM\0*" + bytes(9),
    }
    members |= {"__MACOSX/3.png": files[2], "._0.png": b"x", "4.pdf": b"%PDF-", "5.txt": b"lonely", "6.txt": files[3]}
    listing = scan(write({"s.tar": tar(members)}) / "s.tar")
    assert names(listing) == ["0.png", "1.jpg_large", "6.txt"] and listing[0].label == 3
    assert [entry.data() for entry in listing] == [files[0], files[1], files[3]]
    assert reasons(listing) == {
        "s.tar/2.nef": "camera raw (NEF): export it as JPEG or TIFF",
        "s.tar/__MACOSX/3.png": "hidden or system file",
        "s.tar/._0.png": "hidden or system file",
        "s.tar/4.pdf": "PDF: export its pictures as JPEG or PNG",
        "s.tar/5.txt": "text file",
    }


def test_a_store_is_asked_about_few_files(files, monkeypatch):
    store = fsspec.filesystem("memory")
    try:
        store.pipe({"/s/a.png": files[0], "/s/b": files[1], "/s/c.pdf": files[2], "/s/d": files[3], "/s/n.txt": b"x"})
        listing = scan("memory://s")
        assert names(listing) == ["a.png", "b", "d"] and set(reasons(listing)) == {"c.pdf", "n.txt"}
        assert MOST_ASKED == 1000
        monkeypatch.setattr("trainedon.pictures.folders.MOST_ASKED", 1)
        assert names(scan("memory://s")) == ["a.png", "b"]
        assert reasons(scan("memory://s"))["d"].startswith("file of unknown suffix in a store: rename it")
    finally:
        store.store.clear()


def test_a_file_that_may_not_be_read_is_named(powerless, files):
    (powerless / "a.png").write_bytes(files[0])
    (powerless / "b").write_bytes(files[1])
    (powerless / "b").chmod(0)
    assert reasons(scan(powerless))["b"] == (
        "file that cannot be read (permission denied): give access to it, or take it away"
    )


def test_only_the_suffix_of_a_picture_is_left_out_of_its_name(write, files):
    given = ("2019.07.01", "2019.07.02", "a.jpg_large", "b.jpg?width=640", "c.jpg.1", "d.jpg~orig", "e.f.PNG", "g")
    texts = {"2019.07": b"no picture's", "2019.07.02": b"second", "a": b"A", "b": b"B", "c": b"C", "d": b"D"}
    texts |= {"e.f": b"E", "g": b"G"}
    folder = write(dict(zip(given, files)) | {f"{name}.txt": words for name, words in texts.items()})
    assert told(scan(folder)) == dict(zip(given, (None, "second", "A", "B", "C", "D", "E", "G")))
    assert reasons(scan(folder)) == {"2019.07.txt": "text file"}
    assert scan(folder / "2019.07.01")[0].caption is None and scan(folder / "c.jpg.1")[0].caption == "C"


def test_tables_that_differ_about_a_picture_are_refused(write, files):
    def shard(caption):
        return table({"key": ["000000000"], "caption": [caption]})

    folder = write({"000000000.jpg": files[0], "00000.parquet": shard("a cat"), "00001.parquet": shard("a dog")})
    with pytest.raises(UserError, match=r"00000\.parquet and .*00001\.parquet have different captions for '000000000'"):
        scan(folder)
    write({"00000/000000000.jpg": files[1], "00001.tar": tar({"000000000.jpg": files[2]})})
    expected = {"000000000.jpg": None, "00000/000000000.jpg": "a cat", "00001.tar/000000000.jpg": "a dog"}
    assert told(scan(folder)) == expected
    (folder / "00001.tar").unlink()
    assert told(scan(folder))["000000000.jpg"] == "a dog"
    write({"00002.parquet": shard("a fox"), "000000000.txt": b"own words"})
    assert told(scan(folder))["000000000.jpg"] == "own words"
    write({"00002.parquet": shard("a dog"), "000000000.txt": b""})
    (folder / "000000000.txt").unlink()
    assert told(scan(folder))["000000000.jpg"] == "a dog"


def test_one_table_may_name_a_picture_twice_and_tables_of_paths_may_not_differ(write, files):
    twice = table({"file_name": ["a.png", "a.png"], "text": ["first", "second"]})
    folder = write({"a.png": files[0], "m.parquet": twice})
    assert told(scan(folder)) == {"a.png": "first"}
    write({"n.parquet": table({"file_name": ["a.png"], "text": ["third"]})})
    with pytest.raises(UserError, match=r"m\.parquet and .*n\.parquet have different captions for 'a\.png'"):
        scan(folder)


def test_texts_of_a_tar_belong_to_pictures_by_their_names(write, files):
    members = {"0.jpg": files[0], "1.jpg_large": files[1], "d/2.png": files[2], "v1.0_a.jpg": files[3]}
    members |= {"v1.0_a.txt": b"A", "v1.0_b.jpg": files[4], "v1.0_b.txt": b"B", "1.json": b"{}"}
    members |= {"0.txt": b"zero", "1.txt": b"one", "d/2.txt": b"two", "2.txt": b"nobody's"}
    members |= {"3.png": files[5], "3.txt": b"three", "4.png": files[6], "x/3.txt": b"x", "./3.txt": b"again"}
    listing = scan(write({"s.tar": tar(members)}) / "s.tar")
    assert told(listing) == {
        **{"0.jpg": "zero", "1.jpg_large": "one", "d/2.png": "two", "v1.0_a.jpg": "A", "v1.0_b.jpg": "B"},
        **{"3.png": "three", "4.png": None},
    }
    nobodys = dict.fromkeys(("s.tar/2.txt", "s.tar/x/3.txt"), "text file")
    second = {"s.tar/3.txt": "caption beside another one that is read"}
    assert reasons(listing) == nobodys | second | {"s.tar/1.json": "JSON file"}
    assert listing.passed.companions["captions, read"] == 6


def test_a_table_beside_a_tar_names_keys_with_dots(write, files):
    keys = {"key": ["v1.0_a", "v1.0_b", "2"], "caption": ["A", "B", "two"]}
    members = {"v1.0_a.jpg": files[0], "v1.0_b.jpg": files[1], "2.seg.png": files[2]}
    folder = write({"s.tar": tar(members), "s.parquet": table(keys)})
    assert told(scan(folder)) == {"v1.0_a.jpg": "A", "v1.0_b.jpg": "B", "2.seg.png": "two"}


def test_blank_captions_are_counted(write, files):
    members = {"d.png": files[3], "d.txt": b"\n", "e.png": files[4]}
    folder = write(
        {"a.png": files[0], "a.txt": b"", "a.caption": b"not this", "b.png": files[1], "b.txt": b" \n"}
        | {"c.png": files[2], "c.txt": b"a cat", "s.tar": tar(members), "f.png": files[5]}
        | {"metadata.jsonl": json.dumps({"file_name": "a.png", "text": "nor this"}).encode()}
    )
    listing = scan(folder)
    items = take_inventory(listing, "suspect")
    assert [item.caption for item in items] == [None, None, "a cat", None, None, None]
    assert listing.passed.companions["captions, blank"] == 3 and listing.passed.companions["captions, read"] == 4
    listing = scan(folder)
    take_inventory(listing, "suspect", caption="one for all")
    assert "captions, blank" not in +listing.passed.companions


@pytest.mark.parametrize("mark", [b";", b"\t"])
def test_a_sheet_with_other_separators_says_what_to_do(write, files, mark):
    listing = scan(write({"a.png": files[0], "metadata.csv": b"file_name%stext\na.png%sa cat\n" % (mark, mark)}))
    assert told(listing) == {"a.png": None}
    assert reasons(listing) == {
        "metadata.csv": "captions not separated by commas: separate it by commas, with columns file_name and text"
    }
