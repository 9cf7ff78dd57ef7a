"""Parquet and npz: columns and arrays found or asked for, rows read lazily, damage named."""

import hashlib
import io
import itertools
import struct
import zipfile

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainedon.errors import PictureError, UserError
from trainedon.pictures import scan, take_inventory
from trainedon.pictures.containers import arrays


@pytest.fixture
def files(encoded, rgb):
    """Forty different PNG files, as bytes."""
    return [encoded("PNG", rgb // 2 + np.uint8(shade)) for shade in range(40)]


@pytest.fixture
def parquet(tmp_path):
    """A function (columns, row_group_size, name) -> path of a parquet file."""

    def write(columns: dict, rows: int = 7, name: str = "faces.parquet", **options):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.table(columns), path, row_group_size=rows, **options)
        return path

    return write


@pytest.fixture
def npz(tmp_path):
    """A function (compressed, name, arrays) -> path of an npz file."""

    def write(compressed: bool = False, name: str = "faces.npz", **arrays):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        (np.savez_compressed if compressed else np.savez)(path, **arrays)
        return path

    return write


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("column", ["image", "img", "picture", "anything"])
@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_parquet_of_bytes(parquet, files, column, kind):
    entries = scan(parquet({"id": list(range(40)), column: pa.array(files, kind)}))
    assert [entry.name for entry in entries] == [f"faces.parquet#{row}" for row in range(40)]
    assert [entry.read().sha256 for entry in entries] == [sha(data) for data in files]
    assert entries[0].label is None


def test_parquet_of_hugging_face_structs(parquet, files, rgb):
    images = [{"bytes": data, "path": f"dir/{row:03}.png"} for row, data in enumerate(files)]
    entries = scan(parquet({"image": images, "label": [row % 3 for row in range(40)], "thumb": files}))
    assert [entry.name for entry in entries] == [f"dir/{row:03}.png" for row in range(40)]
    assert [entry.label for entry in entries] == [row % 3 for row in range(40)]
    np.testing.assert_array_equal(entries[5].read().rgb, rgb // 2 + np.uint8(5))


def test_parquet_rows_may_be_read_in_any_order(parquet, files):
    path = parquet({"image": files}, rows=25)
    entries = scan(path)
    for row in (39, 0, 24, 3, 25, 25, 38, 17, 1):
        assert entries[row].read().sha256 == sha(files[row])


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["b", "a", "c"], ["b", "a", "c"]),
        (["same", "same", "c"], ["faces.parquet#0", "faces.parquet#1", "faces.parquet#2"]),
        (["a", None, "c"], ["faces.parquet#0", "faces.parquet#1", "faces.parquet#2"]),
    ],
)
def test_parquet_names_are_taken_when_every_row_has_its_own(parquet, files, names, expected):
    assert [entry.name for entry in scan(parquet({"file_name": names, "image": files[:3]}))] == expected


def test_parquet_rows_without_a_picture_are_refused_one_by_one(parquet, files, tmp_path):
    (tmp_path / "secret.png").write_bytes(files[1])
    path = str(tmp_path / "secret.png")  # a table may name files, but none but itself is opened
    images = [{"bytes": files[0], "path": "a"}, {"bytes": None, "path": path}, None, {"bytes": b"", "path": "d"}]
    items = take_inventory(scan(parquet({"image": images})), "suspect")
    assert [item.reason for item in items] == [
        None,
        "the row holds no picture, at most the path of one",
        "the row holds no picture, at most the path of one",
        "empty file",
    ]


@pytest.mark.parametrize("columns", [{"a": [b"x"], "b": [b"y"]}, {"image": ["path.png"]}, {"n": [1]}])
def test_parquet_without_a_clear_column_names_the_columns(parquet, columns):
    with pytest.raises(UserError, match="no clear picture column among: ") as error:
        scan(parquet(columns))
    assert all(f"{name} (" in str(error.value) for name in columns) and "\n" not in str(error.value)


def test_a_folder_of_parquet_shards(parquet, files, tmp_path):
    parquet({"image": files[:10], "label": list(range(10))}, name="shards/b.parquet")
    parquet({"image": files[10:]}, name="shards/a.parquet")
    entries = scan(tmp_path / "shards")
    assert [entry.name for entry in entries] == [f"a.parquet#{i}" for i in range(30)] + [
        f"b.parquet#{i}" for i in range(10)
    ]
    assert [entry.read().sha256 for entry in entries] == [sha(data) for data in files[10:] + files[:10]]
    assert entries[0].label is None and entries[-1].label == 9
    assert [entry.name for entry in scan(tmp_path / "shards", limit=31)][-1] == "b.parquet#0"


def test_a_parquet_file_that_is_none_or_empty_is_refused(tmp_path, parquet):
    (tmp_path / "text.parquet").write_text("PAR1 not really")
    with pytest.raises(UserError, match="not a readable parquet file"):
        scan(tmp_path / "text.parquet")
    with pytest.raises(UserError, match="holds no rows"):
        scan(parquet({"image": pa.array([], pa.binary())}))
    with pytest.raises(UserError, match="does not exist"):
        scan(tmp_path / "gone.parquet")


def test_a_damaged_page_spoils_its_rows_only(parquet, files):
    path = parquet({"image": files}, rows=20)
    data = bytearray(path.read_bytes())
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(0)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    data[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(bytes(data))
    items = take_inventory(scan(path), "suspect")
    assert {item.reason for item in items[:20]} == {"the parquet file is damaged here"}
    assert {item.reason for item in items[20:]} == {None}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", ["images", "arr_0", "x", "faces"])
def test_npz_rows(npz, rgb, compressed, name):
    pixels = np.stack([rgb // 2 + np.uint8(shade) for shade in range(30)])
    entries = scan(npz(compressed, **{name: pixels, "labels": np.arange(30) % 4, "other": np.zeros(5)}))
    for row in itertools.chain(range(30), (3, 29, 0)):
        picture = entries[row].read()
        assert picture.name == f"faces.npz#{row}" and picture.label == row % 4
        assert picture.sha256 == sha(pixels[row].tobytes())
        np.testing.assert_array_equal(picture.rgb, pixels[row])
    assert picture.facts == {"format": "NPZ", "mode": "RGB", "width": 16, "height": 12, "bytes": 576}


@pytest.mark.parametrize("shape", [(2, 4, 5), (2, 4, 5, 1)])
def test_npz_of_grey(npz, shape):
    pixels = np.arange(40, dtype=np.uint8).reshape(shape)
    picture = scan(npz(images=pixels))[1].read()
    np.testing.assert_array_equal(picture.rgb, np.repeat(pixels[1].reshape(4, 5, 1), 3, axis=2))
    assert picture.facts["mode"] == "L" and picture.label is None


def test_an_npz_whose_captions_are_more_than_can_be_held(npz, monkeypatch):
    path = npz(images=np.zeros((3, 4, 4, 3), np.uint8), captions=np.array(["a cat"] * 3))
    assert [entry.caption for entry in scan(path)] == ["a cat"] * 3
    monkeypatch.setattr(arrays, "_MOST_TEXT", 14)
    with pytest.raises(UserError, match="captions holds more than 14 characters"):
        scan(path)


def test_an_npz_of_very_many_arrays_beside_pictures_is_passed_over(npz, tmp_path, encoded):
    npz(**{f"latent {number:05d}": np.zeros(1) for number in range(20_000)})
    (tmp_path / "a.png").write_bytes(encoded("PNG"))
    found = scan(tmp_path)
    assert [entry.name for entry in found] == ["a.png"]
    assert found.passed.kinds["numpy arrays without pictures"] == 1


def test_an_npz_whose_shape_is_written_as_python_2_did(tmp_path):
    pixels = np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3)
    told = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1L, 4L, 4L, 3L), }\n"
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive:
        archive.writestr("images.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(told)) + told + pixels.tobytes())
    assert np.array_equal(scan(tmp_path / "t.npz")[0].data(), pixels[0])


def test_npz_alpha_is_flattened_on_white(npz):
    pixels = np.array([[[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 128]]]], dtype=np.uint8)
    np.testing.assert_array_equal(scan(npz(images=pixels))[0].read().rgb, [[[10, 20, 30], [255] * 3, [127] * 3]])


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((2, 4, 4, 3), np.float32), "float32, whose scale is not known"),
        (np.zeros((2, 4, 4, 3), np.int64), "int64, whose scale is not known"),
        (np.zeros((2, 3, 8, 8), np.uint8), "shape .* must be"),
        (np.zeros((2, 4, 4, 2), np.uint8), "shape .* must be"),
        (np.zeros((4, 4), np.uint8), "shape .* must be"),
        (np.zeros((0, 4, 4, 3), np.uint8), "holds no pictures"),
        (np.zeros((3, 0, 4, 3), np.uint8), "holds no pictures"),
        (np.asfortranarray(np.zeros((2, 4, 4, 3), np.uint8)), "Fortran order"),
        (np.array([{"code": "os.system"}] * 2, dtype=object), "object, whose scale is not known"),
    ],
)
def test_npz_arrays_that_cannot_be_used(npz, array, reason):
    with pytest.raises(UserError, match=reason) as error:
        scan(npz(images=array))
    assert "\n" not in str(error.value)


def test_npz_without_a_clear_array_names_the_arrays(npz):
    four = np.zeros((1, 2, 2, 3), np.uint8)
    with pytest.raises(UserError, match=r"among: a uint8 \(1, 2, 2, 3\), b uint8 .*; name it 'images'"):
        scan(npz(a=four, b=four))


@pytest.mark.parametrize("labels", [np.arange(3), np.zeros(2), np.array(["a", "b"]), np.array([None, 1], object)])
def test_npz_labels_must_be_one_whole_number_a_picture(npz, labels):
    with pytest.raises(UserError, match="labels must be 2 whole numbers"):
        scan(npz(images=np.zeros((2, 4, 4, 3), np.uint8), labels=labels))


def test_npz_headers_that_lie_are_refused_before_anything_is_loaded(tmp_path):
    import zipfile

    def write(shape, body=b"\0" * 48):
        path = tmp_path / "bomb.npz"
        with zipfile.ZipFile(path, "w") as archive, archive.open("images.npy", "w") as stream:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(stream, header)
            stream.write(body)
        return path

    assert len(scan(write((1, 4, 4, 3)))) == 1
    for shape in ((10**12, 1, 1, 3), (1, 10**6, 10**6, 3)):
        with pytest.raises(UserError, match="too large"):
            scan(write(shape), limit=1)
    for shape in ((2, 4, 4, 3), (1, 4, 3, 3)):
        with pytest.raises(UserError, match="shorter or longer than it says"):
            scan(write(shape))


def test_npz_damage_is_named(npz, tmp_path):
    (tmp_path / "text.npz").write_text("not a zip")
    with pytest.raises(UserError, match=r"not a readable \.npz file"):
        scan(tmp_path / "text.npz")
    noise = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
    path = npz(True, images=noise)
    data = bytearray(path.read_bytes())
    data[60_000:60_040] = b"\0" * 40
    path.write_bytes(bytes(data))
    reasons = [item.reason for item in take_inventory(scan(path), "unseen")]
    assert reasons[0] is None and reasons[-1] == "the .npz file is damaged here"


def test_a_folder_of_npz_files_and_its_limit(npz, tmp_path):
    for name, count in (("b", 3), ("a", 2)):
        npz(name=f"arrays/{name}.npz", images=np.zeros((count, 4, 4, 3), np.uint8))
    assert [e.name for e in scan(tmp_path / "arrays")] == ["a.npz#0", "a.npz#1", "b.npz#0", "b.npz#1", "b.npz#2"]
    assert [e.name for e in scan(tmp_path / "arrays", limit=3)] == ["a.npz#0", "a.npz#1", "b.npz#0"]


def test_a_damaged_npz_row_can_raise_again_and_leaves_others_readable(npz):
    path = npz(images=np.zeros((2, 4, 4, 3), np.uint8))
    entries = scan(path)
    path.unlink()
    for _ in range(2):
        with pytest.raises(PictureError, match="damaged here"):
            entries[0].read()


def test_npz_that_are_shorter_than_they_say_are_refused(npz, tmp_path):
    import zipfile

    def write(name, shape, kind="|u1", body=b""):
        with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive, archive.open(f"{name}.npy", "w") as stream:
            np.lib.format.write_array_header_1_0(stream, {"descr": kind, "fortran_order": False, "shape": shape})
            stream.write(body)

    for name, kind, body in (("captions", "<U2", bytes(8)), ("labels", "<i8", bytes(8))):
        (tmp_path / "a.npz").unlink(missing_ok=True)
        write("images", (3, 4, 4, 3), body=bytes(144))
        write(name, (3,), kind, body)
        with pytest.raises(UserError, match=rf"a\.npz is damaged: {name} is shorter or longer"):
            scan(tmp_path / "a.npz")
    for name, kind, why in (("captions", "<U1", "not a readable"), ("labels", "<u8", "holds 18446744073709551615")):
        (tmp_path / "a.npz").unlink(missing_ok=True)
        write("images", (1, 4, 4, 3), body=bytes(48))
        write(name, (1,), kind, b"\xff" * np.dtype(kind).itemsize)
        with pytest.raises(UserError, match=rf"a\.npz.* {why}"):
            scan(tmp_path / "a.npz")
    (tmp_path / "a.npz").unlink()
    write("images", (-2, -4, 4, 3), body=bytes(96))
    with pytest.raises(UserError, match="is damaged: images says that its shape is"):
        scan(tmp_path / "a.npz")


def test_npz_of_any_compression_that_is_damaged_is_refused(tmp_path):
    import zipfile

    stream = io.BytesIO()
    np.save(stream, np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8))
    for method in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED):
        path = tmp_path / f"{method}.npz"
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("images.npy", stream.getvalue())
        data = bytearray(path.read_bytes())
        data[46:90] = b"\xff" * 44
        path.write_bytes(data)
        with pytest.raises(UserError, match=r"not a readable \.npz file"):
            scan(path)


def test_noise_in_tables_never_does_more_than_refuse(parquet, npz, files):
    rng = np.random.default_rng(0)
    pixels = np.zeros((3, 4, 4, 3), np.uint8)
    paths = [
        parquet({"image": files[:5], "name": [*"abcde"], "text": [*"fghij"], "label": [*range(5)]}),
        npz(images=pixels, captions=np.array([*"abc"]), labels=np.arange(3)),
        npz(compressed=True, name="packed.npz", images=pixels, captions=np.array([*"abc"])),
    ]
    for path in paths:
        whole = path.read_bytes()
        for round_ in range(60):
            data = bytearray(whole)
            start = len(whole) - 1500 if round_ % 2 else 0  # where layouts are told
            for place in rng.integers(max(start, 0), len(data), 4):
                data[place] = rng.integers(256)
            path.write_bytes(data)
            try:
                take_inventory(scan(path), "suspect")
            except UserError as error:
                assert "\n" not in str(error)


def test_parquet_that_nests_its_pictures_is_refused(parquet, files):
    nested = [{"bytes": {"bytes": data}} for data in files[:2]]
    with pytest.raises(UserError, match=r"no clear picture column among: image \(struct"):
        scan(parquet({"image": nested, "label": [[1], [2]]}))


@pytest.mark.parametrize("schema", [False, True])
@pytest.mark.parametrize("struct", [False, True])
def test_parquet_names_that_unfold_without_end_are_refused(parquet, struct, schema):
    n, pool, own = 2000, pa.proxy_memory_pool(pa.system_memory_pool()), pa.default_memory_pool()
    once = pa.DictionaryArray.from_arrays(pa.array([0] * n, pa.int32()), ["x" * 300_000])  # unfolded: 600 MB
    image = pa.array([b"x"] * n)
    if struct:
        image = pa.StructArray.from_arrays([image, once], ["bytes", "path"])
    path = parquet({"image": image} | ({} if struct else {"name": once}), rows=n, store_schema=schema)
    pa.set_memory_pool(pool)
    try:
        with pytest.raises(UserError, match=r"(name|image\.path) holds texts of more than 4096 bytes"):
            scan(path)
    finally:
        pa.set_memory_pool(own)
    assert 0 < pool.max_memory() < 2**25
    entry = scan(parquet({"image": [b"x"] * 9, "text": ["y" * 300_000] * 9}, name="captions.parquet"))[5]
    with pytest.raises(PictureError, match="more than 10000 characters"):
        entry.caption  # noqa: B018


def test_parquet_texts_may_be_categories(parquet, files):
    columns = {"name": pa.array([*"abc"]), "caption": pa.array(["a cat", None, "a cat"])}
    path = parquet({"image": files[:3]} | {name: column.dictionary_encode() for name, column in columns.items()})
    assert [(entry.name, entry.caption) for entry in scan(path)] == [("a", "a cat"), ("b", None), ("c", "a cat")]


@pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
@pytest.mark.parametrize("struct", [False, True])
def test_parquet_texts_may_be_written_as_differences(parquet, files, encoding, struct):
    names, words = [f"{row:03}.png" for row in range(40)], [f"a cat, {row}" for row in range(40)]
    pictures = [{"bytes": data, "path": name} for data, name in zip(files, names, strict=True)]
    columns = {"image": pictures} if struct else {"image": files, "name": names}
    told = dict.fromkeys(("image.bytes", "image.path") if struct else ("image", "name"), encoding)
    path = parquet(columns | {"caption": words}, use_dictionary=False, column_encoding=told | {"caption": encoding})
    entries = scan(path)
    assert [(entry.name, entry.caption) for entry in entries] == [*zip(names, words)]
    assert [entry.data() for entry in entries] == files


def test_parquet_of_a_store_may_have_texts_written_as_differences(parquet, files):
    told = dict.fromkeys(("name", "caption"), "DELTA_BYTE_ARRAY") | {"image": "PLAIN"}
    columns = {"image": files[:3], "name": [*"abc"], "caption": ["a cat", "a cat", "a dog"]}
    data = parquet(columns, use_dictionary=False, column_encoding=told).read_bytes()
    store = fsspec.filesystem("memory")
    try:
        store.pipe("/differences/faces.parquet", data)
        entries = scan("memory://differences/faces.parquet")
        assert [(entry.name, entry.caption) for entry in entries] == [("a", "a cat"), ("b", "a cat"), ("c", "a dog")]
        assert [entry.data() for entry in entries] == files[:3]
    finally:
        store.rm("/differences", recursive=True)


def test_captions_beside_pictures_may_be_written_as_differences(parquet, files, tmp_path):
    told = {"use_dictionary": False, "column_encoding": {"file_name": "DELTA_BYTE_ARRAY", "text": "DELTA_BYTE_ARRAY"}}
    parquet({"file_name": ["a.png", "b.png"], "text": ["a cat", "a dog"]}, name="all/captions.parquet", **told)
    for name, data in zip("ab", files):
        (tmp_path / "all" / f"{name}.png").write_bytes(data)
    assert [entry.caption for entry in scan(tmp_path / "all")] == ["a cat", "a dog"]


def test_parquet_names_written_as_differences_are_bounded(parquet):
    told = {"use_dictionary": False, "column_encoding": {"image": "PLAIN", "name": "DELTA_BYTE_ARRAY"}}
    names = ["x" * 300_000] * 1000  # 300 MB, of which a page holds one
    path = parquet({"image": [b"x"] * 1000, "name": names}, rows=1000, **told)
    assert path.stat().st_size < 2**21
    pool, own = pa.proxy_memory_pool(pa.system_memory_pool()), pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        with pytest.raises(UserError, match="name holds texts of more than 4096 bytes"):
            scan(path)
    finally:
        pa.set_memory_pool(own)
    assert 0 < pool.max_memory() < 2**28


def test_parquet_of_views_is_read_as_texts_and_bytes(parquet, files):
    image, words = pa.array(files[:2], pa.binary_view()), pa.array(["a cat", None], pa.string_view())
    for pictures in (image, pa.StructArray.from_arrays([image], ["bytes"])):
        names = pa.array(["a", "b"], pa.string_view())
        try:
            path = parquet({"image": pictures, "caption": words, "name": names})
        except pa.ArrowNotImplementedError:
            pytest.skip("this pyarrow writes no views")
        entries = scan(path)
        assert [(entry.name, entry.caption) for entry in entries] == [("a", "a cat"), ("b", None)]
        assert [entry.data() for entry in entries] == files[:2]


def test_parquet_labels_beyond_all_classes_are_named(parquet, files):
    labels = pa.array([1, None, 2**63 - 1], pa.uint64())
    assert [entry.label for entry in scan(parquet({"image": files[:3], "label": labels}))] == [1, None, 2**63 - 1]
    with pytest.raises(UserError, match=f"label holds {2**64 - 1}, which is no class"):
        scan(parquet({"image": files[:2], "label": pa.array([2**64 - 1, 0], pa.uint64())}))


def test_parquet_names_as_a_whole_have_a_bound(parquet, files, monkeypatch):
    monkeypatch.setattr("trainedon.pictures.listing.cells.MOST_NAMES", 2**20)
    with pytest.raises(UserError, match="name holds more than 1 MiB; split the file"):
        scan(parquet({"image": [b"x"] * 3000, "name": [f"{'x' * 400}{i}" for i in range(3000)]}, rows=3000))


def test_parquet_of_webdataset_has_keys_for_names(parquet, files):
    for column, key in (("jpg", "__key__"), ("png", "key"), ("webp", "key")):
        entries = scan(parquet({column: files[:2], key: ["a", "b"], "thumb": [b"x", b"y"], "txt": ["c", "d"]}))
        assert [entry.name for entry in entries] == ["a", "b"] and entries[1].data() == files[1]
    assert scan(parquet({"image": files[:2], "key": ["a", "b"]}))[0].name == "faces.parquet#0"  # as ever


@pytest.mark.parametrize(
    "header",
    [
        b"\x01\0\x10\0{'descr':[[[[[[[",
        b"\x01\0\xff\xff" + b"(" * 65535,
        b"\x09\0\x10\0",
        b"\x02\0\xff\xff\xff\x7f" + b" " * 99,
    ],
)
def test_npz_headers_that_are_none_are_refused(tmp_path, header):
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", b"\x93NUMPY" + header)
    with pytest.raises(UserError, match=r"not a readable \.npz file"):
        scan(tmp_path / "a.npz")
