"""Tars: every picture inside, its class, and nothing that a damaged or hostile one could do."""

import gzip
import io
import pickle
import tarfile

import fsspec
import numpy as np
import pytest

from trainedon.errors import PictureError, UserError
from trainedon.pictures import scan, take_inventory
from trainedon.pictures.containers.tars import TarEntry


@pytest.fixture
def files(encoded, rgb):
    """Thirty different PNG files, as bytes."""
    return [encoded("PNG", rgb // 2 + np.uint8(shade)) for shade in range(30)]


@pytest.fixture
def tar(tmp_path):
    """A function (members as (name, bytes), name, format) -> path of a plain tar."""

    def write(members, name="shard.tar", kind=tarfile.PAX_FORMAT):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        with tarfile.open(path, "w", format=kind) as archive:
            for member, data in members:
                info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return path

    return write


def told(entries):
    return [(entry.name, entry.label, entry.data()) for entry in entries]


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_picture_inside_as_it_is_stored(tar, files, kind):
    names = ["b.png", "a/z.png", "a.PNG", f"{'long/' * 19}{'x' * 90}.png", "ünï.png", "./c.png", "phone.heic"]
    entries = scan(tar([("notes.txt", b"x"), *zip(names, files), ("a.json", b"{}")], kind=kind))
    assert told(entries) == [(name.removeprefix("./"), None, data) for name, data in zip(names, files)]
    assert isinstance(entries[0], TarEntry) and [e.name for e in scan(entries[0].file.path, limit=3)] == names[:3]


def test_members_are_read_in_any_order_and_from_any_copy_of_the_entry(tar, files):
    entries = scan(tar([(f"{i}.png", data) for i, data in enumerate(files)]))
    for i in (29, 0, 17, 17, 3):
        assert pickle.loads(pickle.dumps(entries[i])).data() == files[i]  # noqa: S301


def test_labels_are_whole_numbers_of_neighbours(tar, files):
    members = [("0.cls", b"3"), ("0.png", files[0]), ("0.json", b"{}")]
    members += [("1.png", files[1]), ("1.seg.png", files[2]), ("1.cls", b" 12\n")]
    members += [("2.png", files[3]), ("2.cls", b"cat")]
    members += [("3.png", files[4]), ("3.cls", b"-1"), ("4.png", files[5]), ("4.cls", b"9" * 30)]
    members += [("5.png", files[6]), ("6.cls", b"8"), ("x/5.cls", b"7"), ("5.cls", b"6"), ("5.cls.png", files[7])]
    members += [("7/a.png", files[8]), ("a.b/c.png", files[9]), ("a.b/c.cls", b"2"), ("8.png", files[10])]
    members += [("8.cls", b"\x80\x04K\x01.")]  # a pickle is no number, and is not opened
    labels = {entry.name: entry.label for entry in scan(tar(members))}
    assert labels == {
        "0.png": 3,
        "1.png": 12,
        "1.seg.png": 12,
        "2.png": None,
        "3.png": None,
        "4.png": None,
        "5.png": None,
        "5.cls.png": 6,
        "7/a.png": None,
        "a.b/c.png": 2,
        "8.png": None,
    }
    assert [entry.label for entry in scan(tar(members), limit=2)] == [3, 12]  # though its class comes later


def test_several_tars_and_names_that_come_twice(tar, files, tmp_path):
    for name in ("b", "a"):
        tar([("1.png", files[0]), ("2.png", files[1])], f"shards/{name}.tar")
    tar([("1.png", files[2]), ("1.png", files[3])], "shards/c.tar")
    entries = scan(tmp_path / "shards")
    names = ["a.tar/1.png", "a.tar/2.png", "b.tar/1.png", "b.tar/2.png", "c.tar#0", "c.tar#1"]
    assert [entry.name for entry in entries] == names
    assert [entry.data() for entry in entries] == files[:2] * 2 + files[2:4]
    assert [entry.name for entry in scan(tmp_path / "shards", limit=3)] == names[:3]
    (tmp_path / "shards" / "p.png").write_bytes(files[9])  # picture files go first
    assert [entry.name for entry in scan(tmp_path / "shards")] == ["p.png", *names]


def test_hidden_members_folders_and_links(tar, files):
    def special(name, kind):
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "a.png"
        return info, b""

    members = [("a.png", files[0]), ("._a.png", b"x"), (".git/b.png", b"x"), special("folder.png", tarfile.DIRTYPE)]
    members += [special("link.png", tarfile.SYMTYPE), special("hard.png", tarfile.LNKTYPE)]
    members += [special("pipe.png", tarfile.FIFOTYPE), ("empty.png", b"")]
    items = take_inventory(scan(tar(members)), "suspect")
    assert {item.picture: item.reason for item in items} == {
        "a.png": None,
        "link.png": "not a regular file",
        "hard.png": "not a regular file",
        "pipe.png": "not a regular file",
        "empty.png": "empty file",
    }


def test_names_that_lead_elsewhere_are_only_names(tar, files, tmp_path):
    names = ["../../up.png", "/etc/root.png", "a/../b.png", "new\nline\x1b[0m.png"]
    before = sorted(tmp_path.rglob("*"))
    path = tar(zip(names, files))
    assert told(scan(path)) == [(name, None, data) for name, data in zip(names, files)]
    assert sorted(tmp_path.rglob("*")) == sorted([*before, path])


def test_a_tar_that_ends_early_is_refused(tar, files):
    path = tar([(f"{i}.png", data) for i, data in enumerate(files)])
    whole = path.read_bytes()
    end = scan(path)[-1].offset
    for cut in (0, 100, 512, 5 * 512 + 3, end - 600, end - 512, end + 10, end + 512, end + 600):
        path.write_bytes(whole[:cut])
        with pytest.raises(UserError, match="damaged or ends too early"):
            scan(path)
    path.write_bytes(whole[: end - 600])
    assert len(scan(path, limit=3)) == 3  # no more is looked at than was asked for


def test_damage_inside_is_found(tar, files):
    path = tar([(f"{i}.png", data) for i, data in enumerate(files)])
    header = scan(path)[12].offset - 512
    data = bytearray(path.read_bytes())
    data[header + 10] ^= 255  # the name, which the checksum covers
    path.write_bytes(data)
    with pytest.raises(UserError, match="damaged or ends too early"):
        scan(path)
    (path.parent / "text.tar").write_text("no tar at all" * 100)
    with pytest.raises(UserError, match="damaged or ends too early"):
        scan(path.parent / "text.tar")


def test_a_tar_without_pictures_says_so(tar):
    for members in ([("a.txt", b"x")], []):
        with pytest.raises(UserError, match="holds no picture files; give a tar"):
            scan(tar(members))


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.TAR.BZ2", "a.tar.xz", "a.tar.zst", "a.tar"])
def test_compressed_tars_are_refused(tar, files, name):
    path = tar([("a.png", files[0])], "plain.tar")
    packed = path.parent / "packed" / name
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(path.read_bytes()))
    for source in (packed, packed.parent):
        with pytest.raises(UserError, match=r"is compressed, .* unpack it, or store it as plain \.tar"):
            scan(source)


def header(name=b"a.png", size=b"%011o\0" % 10, kind=b"0"):
    """One block, its checksum right whatever it says."""
    block = bytearray(512)
    block[: len(name)], block[124 : 124 + len(size)], block[156:157] = name, size, kind
    block[257:265], block[148:156] = b"ustar\x0000", b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    "blocks",
    [
        header(size=b"\xff" * 12) + bytes(1024),  # a negative size leads back
        header() + bytes(512) + header(size=b"\xff" * 10 + b"\xf0\x00") + bytes(1024),
        header(size=b"\x80" + b"\xff" * 11) + bytes(1024),  # more than there are bytes in the world
        header(kind=b"x", size=b"%011o\0" % 2**30) + bytes(2048),  # a header of a gigabyte
        header(kind=b"L", size=b"%011o\0" % 2**30) + bytes(2048),
        header(kind=b"x", size=b"\xff" * 12) + bytes(2048),
        (header(kind=b"L", size=b"%011o\0" % 1) + b"x" + bytes(511)) * 3000 + bytes(1024),
        header(kind=b"x", size=b"%011o\0" % 12) + b"12 size=-512\n" + bytes(500) + header() + bytes(2048),
    ],
)
def test_headers_that_lie_are_refused_at_once(tmp_path, blocks):
    path = tmp_path / "lying.tar"
    path.write_bytes(blocks)
    with pytest.raises(UserError, match=r"damaged or ends too early|holds no picture files"):
        take_inventory(scan(path), "suspect")


def test_noise_never_does_more_than_refuse(tar, files, tmp_path):
    rng = np.random.default_rng(0)
    whole = tar([(f"{i}.png", data) for i, data in enumerate(files)], kind=tarfile.GNU_FORMAT).read_bytes()
    path = tmp_path / "noise.tar"
    for _ in range(150):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), 6):
            data[place] = rng.integers(256)
        path.write_bytes(data[: rng.integers(1, len(data) + 1)] if rng.random() < 0.3 else data)
        try:
            take_inventory(scan(path), "suspect")
        except UserError as error:
            assert "damaged or ends too early" in str(error)


def test_an_oversized_member_is_not_even_read(tar, files, monkeypatch):
    path = tar([("a.png", files[0]), ("b.png", files[1])])
    monkeypatch.setattr("trainedon.pictures.containers.tars.MAX_BYTES", len(files[0]) - 1)
    with pytest.raises(PictureError, match="larger than"):
        scan(path)[0].data()


def test_a_tar_that_shrinks_or_goes_spoils_its_pictures_only(tar, files):
    path = tar([("a.png", files[0]), ("b.png", files[1])])
    entries = scan(path)
    path.write_bytes(path.read_bytes()[: entries[1].offset + 5])
    assert entries[0].data() == files[0]
    for _ in range(2):
        with pytest.raises(PictureError, match="truncated: the tar file ends too early"):
            entries[1].data()
    other = tar([("a.png", files[0])], "other.tar")
    entry = scan(other)[0]
    other.unlink()
    with pytest.raises(PictureError, match="cannot be read here"):
        entry.data()


def test_a_tar_in_a_store(tar, files):
    path = tar([("0.png", files[0]), ("0.cls", b"5"), ("1.png", files[1])])
    memory = fsspec.filesystem("memory")
    memory.put_file(str(path), "/tars/shard.tar")
    try:
        for url in ("memory://tars/shard.tar", "memory://tars"):
            assert told(scan(url)) == told(scan(path))
        assert pickle.loads(pickle.dumps(scan(url)[1])).data() == files[1]  # noqa: S301
    finally:
        memory.rm("/tars", recursive=True)
