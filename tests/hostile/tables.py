"""Arrays, tars, lines and tables of scores that claim more than they hold, or never end."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hostile.cases import hostile
from PIL import Image

PIXELS = np.random.default_rng(0).integers(0, 255, (4, 8, 8, 3), dtype=np.uint8)


def _picture(number: int = 0) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS[number]).save(stream, "PNG")
    return stream.getvalue()


def _folder(place: Path) -> Path:
    folder = place / "pictures"
    folder.mkdir()
    for number, name in enumerate(("a.png", "b.png")):
        (folder / name).write_bytes(_picture(number))
    return folder


def _drawn(source: str = "pictures") -> list[str]:
    return [source, "--out", "drawn", "--secret", "s"]


def _lines(path: Path, parts: Iterable[bytes]) -> None:
    with path.open("wb") as stream:
        for part in parts:
            stream.write(part)


def _npy(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def _header(text: str, size: int = 0) -> bytes:
    """The beginning of an `.npy`, of `size` bytes."""
    told = text.encode().ljust(size)
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(told)) + told


def _shaped(shape: str, kind: str = "|u1") -> bytes:
    return _header(f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}}}\n")


def _npz(place: Path, packing: int = zipfile.ZIP_DEFLATED, **members: bytes) -> list[str]:
    with zipfile.ZipFile(place / "t.npz", "w", packing) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return _drawn("t.npz")


@hostile("holds thousands of arrays", command="draw")
def an_npz_of_a_million_members(place: Path) -> list[str]:
    data = _npy(PIXELS)
    told = (zlib.crc32(data), len(data), len(data), 10)
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 0, *told, 0) + b"images.npy" + data
    one = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 0, *told, 0, 0, 0, 0, 0, 0) + b"images.npy"
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 65535, 65535, 10**6 * len(one), len(local), 0)
    _lines(place / "t.npz", [local, *[one * 1000] * 1000, end])
    return _drawn("t.npz")


@hostile("is not a readable .npz file", command="draw")
def an_npz_whose_array_says_a_gigabyte_of_itself(place: Path) -> list[str]:
    with (
        zipfile.ZipFile(place / "t.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("x.npy", "w") as stream,
    ):
        stream.write(b"\x93NUMPY\x02\x00" + struct.pack("<I", 10**9))
        for _ in range(100):
            stream.write(bytes(10**7))
    return _drawn("t.npz")


@hostile("is not a readable .npz file", command="draw")
def an_npz_of_nested_parentheses(place: Path) -> list[str]:
    return _npz(place, images=_header("(" * 9000))


@hostile("is not a readable .npz file", command="draw")
def an_npz_of_more_digits_than_numbers_have(place: Path) -> list[str]:
    return _npz(place, images=_shaped(f"({'9' * 4000}, 1, 1, 1)"))


@hostile("its shape is (-1, -8, 8, 3)", command="draw")
def an_npz_of_fewer_pictures_than_none(place: Path) -> list[str]:
    return _npz(place, images=_shaped("(-1, -8, 8, 3)"))


@hostile("shorter or longer than it says", command="draw")
def an_npz_that_claims_terabytes(place: Path) -> list[str]:
    return _npz(place, images=_shaped("(1000000, 1000, 1000, 3)"))


@hostile("would unpack to far more than pictures do", command="draw")
def an_npz_of_a_terabyte_in_its_list(place: Path) -> list[str]:
    _npz(place, images=_npy(PIXELS))
    data = bytearray((place / "t.npz").read_bytes())
    at = data.index(b"PK\1\2")
    name_end = at + 46 + len("images.npy")
    data[at + 24 : at + 28] = b"\xff" * 4
    data[at + 30 : at + 32] = struct.pack("<H", 12)
    data[name_end:name_end] = struct.pack("<HHQ", 1, 8, 10**12)
    end = data.rindex(b"PK\5\6")
    data[end + 12 : end + 16] = struct.pack("<I", end - at)
    (place / "t.npz").write_bytes(data)
    return _drawn("t.npz")


@hostile("labels must be 4 whole numbers", command="draw")
def an_npz_with_a_pickle(place: Path) -> list[str]:
    stream = io.BytesIO()
    np.save(stream, np.array([{}] * 4, object), allow_pickle=True)
    return _npz(place, images=_npy(PIXELS), labels=stream.getvalue())


def _damaged(packing: int) -> Callable[[Path], list[str]]:
    def build(place: Path) -> list[str]:
        arguments = _npz(place, packing, images=_npy(PIXELS))
        data = bytearray((place / "t.npz").read_bytes())
        data[60:160:7] = b"\x5a" * len(data[60:160:7])
        (place / "t.npz").write_bytes(data)
        return arguments

    return build


@hostile("is not a readable .npz file", command="draw")
def an_npz_of_damaged_lzma(place: Path) -> list[str]:
    return _damaged(zipfile.ZIP_LZMA)(place)


@hostile("is not a readable .npz file", command="draw")
def an_npz_of_damaged_bzip2(place: Path) -> list[str]:
    return _damaged(zipfile.ZIP_BZIP2)(place)


def _member(name: str, data: bytes = b"", kind: bytes = b"0", size: int | None = None) -> bytes:
    """A member of a tar: its header, which may say another size than it has, and its data."""
    told = bytearray(tarfile.TarInfo(name).tobuf())
    size = len(data) if size is None else size
    told[156:157], told[124:136] = kind, b"\x80" + size.to_bytes(11, "big")
    told[148:156] = b" " * 8
    told[148:156] = b"%06o\0 " % sum(told)
    return bytes(told) + data + bytes(-len(data) % 512)


def _tar(place: Path, *members: bytes) -> list[str]:
    _lines(place / "t.tar", [*members, bytes(1024)])
    return _drawn("t.tar")


def _record(text: bytes) -> bytes:
    """A line of a pax header, which begins with its own length."""
    size = next(n for n in range(len(text), len(text) + 12) if n == len(b"%d %s\n" % (n, text)))
    return b"%d %s\n" % (size, text)


@hostile("is damaged or ends too early", command="draw")
def a_tar_whose_name_has_a_gigabyte(place: Path) -> list[str]:
    arguments = _tar(place, _member("a.png", _picture()), _member("x", b"a" * 512, b"L", 10**9))
    os.truncate(place / "t.tar", 2 * 10**9)
    return arguments


@hostile("is damaged or ends too early", command="draw")
def a_tar_whose_file_has_millions_of_holes(place: Path) -> list[str]:
    told = _record(b"GNU.sparse.major=1") + _record(b"GNU.sparse.minor=0")
    holes = b"5000000\n" + b"0\n1\n" * 5_000_000
    return _tar(place, _member("x", told, b"x"), _member("b.png", holes), _member("a.png", _picture()))


@hostile("is damaged or ends too early", command="draw")
def a_tar_of_headers_for_all_members(place: Path) -> list[str]:
    told = b"".join(_record(b"key%06d=1" % i) for i in range(50_000))
    return _tar(place, *[_member("x", told, b"g")] * 50, _member("a.png", _picture()))


@hostile("the names of its members", command="draw")
def a_tar_of_names_of_a_megabyte(place: Path) -> list[str]:
    name = _member("x", b"a" * 1_000_000 + b".png\0", b"L")
    return _tar(place, *[name, _member("a.png", _picture())] * 300)


@hostile("Set aside: 1", code=0, command="draw")
def a_tar_with_a_file_of_nothing_but_holes(place: Path) -> list[str]:
    told = b"".join(map(_record, (b"GNU.sparse.major=1", b"GNU.sparse.minor=0", b"GNU.sparse.realsize=%d" % 2**62)))
    return _tar(place, _member("x", told, b"x"), _member("b.png", b"1\n0\n%d\n" % 2**62), _member("a.png", _picture()))


@hostile("Set aside: 3", code=0, command="draw")
def a_tar_of_links_and_devices(place: Path) -> list[str]:
    others = [_member(f"{kind.decode()}.png", kind=kind) for kind in (b"2", b"3", b"6")]
    return _tar(place, _member("a.png", _picture()), *others)


@hostile("is damaged or ends too early", command="draw")
def a_tar_whose_size_is_below_zero(place: Path) -> list[str]:
    return _tar(place, _member("a.png", _picture()), _member("b.png", size=2**88 - 512))


@hostile("metadata.jsonl, line 1", command="draw")
def a_line_of_a_gigabyte(place: Path) -> list[str]:
    folder = _folder(place)
    (folder / "metadata.jsonl").touch()
    os.truncate(folder / "metadata.jsonl", 10**9)
    return _drawn()


@hostile("in which nothing stands", command="draw")
def lines_without_end(place: Path) -> list[str]:
    _lines(_folder(place) / "metadata.jsonl", [b"\n" * 10**6] * 2)
    return _drawn()


@hostile("metadata.csv, line 2", command="draw")
def a_field_of_a_gigabyte(place: Path) -> list[str]:
    _lines(_folder(place) / "metadata.csv", [b"file_name,text\na.png,", *[b"a" * 10**7] * 10])
    return _drawn()


@hostile("not an object with a file_name", command="draw")
def a_line_of_brackets(place: Path) -> list[str]:
    (_folder(place) / "metadata.jsonl").write_bytes(b'{"file_name":"a.png","n":' + b"[" * 100_000)
    return _drawn()


@hostile("6 link, pipe or device", code=0, command="draw")
def pipes_beside_pictures(place: Path) -> list[str]:
    folder = _folder(place)
    for name in ("x.npz", "x.tar", "x.parquet", "metadata.csv", "metadata.jsonl", "a.txt"):
        os.mkfifo(folder / name)
    return _drawn()


@hostile("x.npz is no regular file", command="draw")
def a_pipe_called_as_arrays(place: Path) -> list[str]:
    os.mkfifo(place / "x.npz")
    return _drawn("x.npz")


def _write_long(table: pa.Table, path: Path) -> None:
    """A table without the statistics of its values, which take seconds where these are long."""
    pq.write_table(table, path, compression="zstd", use_dictionary=False, write_statistics=False)


@hostile("text holds more than 512 MiB", command="draw")
def a_table_of_captions_without_end(place: Path) -> list[str]:
    table = pa.table({"file_name": ["a.png", "b.png"], "text": ["a" * 270_000_000] * 2})
    _write_long(table, _folder(place) / "t.parquet")
    return _drawn()


@hostile("name holds more than 512 MiB", command="draw")
def a_table_that_hides_its_pages_behind_many_columns(place: Path) -> list[str]:
    columns = {f"c{number}": pa.nulls(2, pa.int32()) for number in range(20_000)}
    table = pa.table({"image": [_picture()] * 2, "name": ["a" * 270_000_000] * 2, **columns})
    _write_long(table, place / "t.parquet")
    return _drawn("t.parquet")


def _scores(place: Path, *parts: bytes, name: str = "s.csv") -> list[str]:
    _lines(place / name, parts)
    return [name, "--out", "page"]


def _rows(score: Callable[[int], str]) -> bytes:
    lines = [f"p{i},{'suspect' if i % 2 else 'unseen'},{score(i)}" for i in range(40)]
    return "\n".join(["picture,set,score", *lines, ""]).encode()


@hostile("is a pipe and no regular file", command="report")
def scores_that_are_a_pipe(place: Path) -> list[str]:
    os.mkfifo(place / "s.csv")
    return ["s.csv", "--out", "page"]


@hostile("is a device and no regular file", command="report")
def scores_that_never_end(place: Path) -> list[str]:
    (place / "s.csv").symlink_to("/dev/zero")
    return ["s.csv", "--out", "page"]


@hostile("a line of more than 1048576 characters", command="report")
def scores_in_one_line(place: Path) -> list[str]:
    return _scores(place, b"picture,set,score\np,suspect,", *[b"1" * 10**7] * 10)


@hostile("lines without a row", command="report")
def scores_below_blank_lines_without_end(place: Path) -> list[str]:
    return _scores(place, *[b"\n" * 10**6] * 3, _rows(str))


@hostile("lines without a row", command="report")
def scores_below_comments_without_end(place: Path) -> list[str]:
    return _scores(place, *[b"#a\n" * 10**6] * 3, _rows(str))


@hostile("field larger than field limit", command="report")
def a_score_of_a_million_digits(place: Path) -> list[str]:
    return _scores(place, _rows(lambda i: "9" * 10**6 if i == 3 else str(i)))


@hostile("too large to be reckoned with", code=0, command="report")
def scores_whose_differences_are_infinite(place: Path) -> list[str]:
    return _scores(place, _rows(lambda i: "-1e308" if i == 3 else "1e308" if i == 4 else str(i)))


@hostile("is not UTF-16 text", command="report")
def scores_of_half_a_character(place: Path) -> list[str]:
    return _scores(place, b"\xff\xfe", _rows(str).decode().encode("utf-16-le"), b"\0")


@hostile("has more than 2000 attacks", command="report")
def scores_of_an_attack_for_each_picture(place: Path) -> list[str]:
    rows = (f"p{i},{'suspect' if i % 2 else 'unseen'},{i},a{i}\n".encode() for i in range(20_000))
    return _scores(place, b"picture,set,score,attack\n", *rows)


@hostile("is not a number", command="report")
def scores_that_are_lists(place: Path) -> list[str]:
    pq.write_table(pa.table({"picture": ["a"], "set": ["suspect"], "score": [[1.0]]}), place / "s.parquet")
    return ["s.parquet", "--out", "page"]


@hostile("cannot be read as a table of scores: date value out of range", command="report")
def scores_that_are_days_beyond_time(place: Path) -> list[str]:
    score = pa.array([2**62], pa.timestamp("us"))
    pq.write_table(pa.table({"picture": ["a"], "set": ["suspect"], "score": score}), place / "s.parquet")
    return ["s.parquet", "--out", "page"]
