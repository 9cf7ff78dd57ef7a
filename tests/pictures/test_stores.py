"""Pictures that lie elsewhere: names, order and reasons as on the local disk, and errors that say what to do."""

import pickle
from importlib.util import find_spec

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainedon.errors import PictureError, UserError
from trainedon.pictures import scan, shown, take_inventory, worker_processes
from trainedon.pictures.places.disk import Disk
from trainedon.pictures.places.stores import File, Store, is_url, locate
from trainedon.pictures.worker_processes import WorkerProcesses


@pytest.fixture
def memory():
    """fsspec's store in memory, empty."""
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    yield files
    files.store.clear()


@pytest.fixture
def stored(memory, encoded, rgb):
    """A function (names...) that writes what `folder` writes, at memory://bucket/pictures."""

    def write(*names: str) -> str:
        for shade, name in enumerate(names):
            memory.pipe(f"/bucket/pictures/{name}", encoded("PNG", rgb // 2 + np.uint8(shade)))
        return "memory://bucket/pictures"

    return write


def told(entries):
    return [(entry.name, entry.label, entry.read().sha256) for entry in entries]


ODD = ("b.png", "a/z.png", "7/c.png", "B.png", ".hidden.png", ".git/x.png", "ünï #?%20 .png", "new\nline.jpg")


def test_a_folder_in_a_store_is_listed_as_on_the_disk(folder, stored):
    local, remote = scan(folder(*ODD)), scan(stored(*ODD))
    assert told(local) == told(remote) and len(remote) == 6
    assert told(scan(stored(), limit=2)) == told(local)[:2]
    assert told(scan(stored() + "/")) == told(local)


def test_file_urls_are_paths(folder):
    path = folder("3/a.png", "b.png")
    assert told(scan(f"file://{path}")) == told(scan(path)) == told(scan(str(path))) == told(scan(f"local://{path}"))
    assert scan(f"file://{path}")[0].place == Disk(str(path.resolve()))


def test_one_picture_and_tables_in_a_store(memory, stored, folder, tmp_path):
    source = stored("a.png", "b.png")
    assert told(scan(f"{source}/a.png"))[0][0] == "a.png"
    data = [memory.cat(f"/bucket/pictures/{name}.png") for name in "ab"]
    pq.write_table(pa.table({"image": data, "label": [3, 4]}), tmp_path / "t.parquet")
    np.savez(tmp_path / "t.npz", images=np.arange(96, dtype=np.uint8).reshape(2, 4, 4, 3))
    for name in ("t.parquet", "t.npz"):
        memory.put_file(str(tmp_path / name), f"/tables/{name}")
        entries = scan(f"memory://tables/{name}")
        assert told(entries) == told(scan(tmp_path / name))
        assert told(pickle.loads(pickle.dumps(list(entries)))) == told(entries)  # noqa: S301
    assert [entry.name for entry in scan("memory://tables")] == [
        f"t.{kind}#{i}" for kind in ("parquet", "npz") for i in (0, 1)
    ]


def test_a_store_whose_file_was_written_anew_is_read_anew(memory, encoded, rgb):
    for shade in (0, 9):
        data = encoded("PNG", rgb // 2 + np.uint8(shade))
        with memory.open("/t.parquet", "wb") as stream:
            pq.write_table(pa.table({"image": [data]}), stream)
        np.testing.assert_array_equal(scan("memory://t.parquet")[0].read().rgb, rgb // 2 + np.uint8(shade))


def test_faults_of_a_file_are_reasons_and_faults_of_the_store_end_the_run(memory, stored, monkeypatch):
    entries = scan(stored("a.png", "b.png", "c.png", "d.png"))
    memory.pipe("/bucket/pictures/b.png", b"")
    memory.rm("/bucket/pictures/c.png")
    monkeypatch.setattr("trainedon.pictures.pixels.decoding.MAX_BYTES", 70)
    reasons = [item.reason for item in take_inventory(entries, "suspect")]
    assert reasons == [
        "larger than 0 MiB",
        "empty file",
        "cannot be read (no such file or directory)",
        "larger than 0 MiB",
    ]

    def fail(error):
        def cat_file(*args, **options):
            raise error

        monkeypatch.setattr(memory, "cat_file", cat_file)

    fail(PermissionError("no"))
    with pytest.raises(PictureError, match=r"cannot be read \(permission denied\)"):
        entries[0].data()
    for error in (ConnectionResetError("reset by peer"), RuntimeError("Unable to\nlocate credentials")):
        fail(error)
        with pytest.raises(
            UserError, match=r"memory://bucket/pictures cannot be read now \(.*\): check address"
        ) as caught:
            entries[0].data()
        assert "\n" not in str(caught.value)


def test_no_more_than_the_ceiling_is_asked_for(stored):
    entry = scan(stored("a.png"))[0]
    assert len(entry.place.read(entry.path, 10)) == 11


def test_a_range_of_nothing_may_be_refused(memory, stored, monkeypatch):
    entry = scan(stored("a.png"))[0]
    memory.pipe("/bucket/pictures/a.png", b"")

    def cat_file(*args, **options):
        raise OSError("InvalidRange")

    monkeypatch.setattr(memory, "cat_file", cat_file)
    assert entry.data() == b""


def test_a_failure_while_a_table_is_read_is_not_its_damage(memory, encoded, monkeypatch):
    with memory.open("/t.parquet", "wb") as stream:
        pq.write_table(pa.table({"image": [encoded("PNG")]}), stream)
    entry = scan("memory://t.parquet")[0]
    real = memory.open

    class Broken:
        def __init__(self, *args, **options):
            self._real = real(*args)
            self.seek, self.tell, self.close = self._real.seek, self._real.tell, self._real.close

        def read(self, size):
            raise TimeoutError("too slow")

    monkeypatch.setattr(memory, "open", Broken)
    with pytest.raises(UserError, match="too slow"):
        entry.data()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("memory://nowhere", "memory://nowhere does not exist; check the spelling"),
        ("memory://nowhere/a.png", "does not exist"),
        ("nonsense://a/b", "is no address that can be read .*nonsense"),
        ("memory://notes.txt", r"is no picture, parquet, \.npz or \.tar file"),
        ("memory://empty", "holds no pictures; give a folder with JPEG"),
    ],
)
def test_what_cannot_be_listed_says_what_to_do(memory, url, said):
    memory.pipe("/notes.txt", b"x")
    memory.pipe("/empty/notes.txt", b"x")
    with pytest.raises(UserError, match=said):
        scan(url)


@pytest.mark.parametrize(
    ("url", "package"), [("s3://bucket/a", "s3fs"), ("gs://bucket/a", "gcsfs"), ("https://host/a.png", "aiohttp")]
)
def test_a_missing_package_is_named(url, package):
    if find_spec(package):
        pytest.skip(f"{package} is installed")
    with pytest.raises(UserError, match=f"pip install {package}$"):
        scan(url)


def test_a_file_name_that_looks_nearly_like_a_url_is_a_path(folder, monkeypatch):
    path = folder("s3:/a.png")
    monkeypatch.chdir(path)
    assert [entry.name for entry in scan("s3:/a.png")] == ["a.png"]
    assert not is_url("C://x") and not is_url("a/b://c") and is_url("simplecache::s3://b/c")
    assert locate("relative/path") == (Disk(), "relative/path")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a/b?c@d", "a/b?c@d"),
        ("s3://bucket/what?.png", "s3://bucket/what?.png"),
        ("https://host/a.parquet?X-Signature=secret", "https://host/a.parquet"),
        ("sftp://me:secret@host/a@b", "sftp://host/a@b"),
        ("simplecache::https://me:secret@host/a?b", "simplecache::https://host/a"),
    ],
)
def test_secrets_are_not_shown(source, expected):
    assert shown(source) == expected


def test_a_place_is_told_apart_by_what_it_is(memory):
    memory.pipe("/a.tar", b"x")
    first = File.at(Store("memory://a.tar"), "/a.tar")
    assert first == File.at(Store("memory://a.tar"), "/a.tar") and str(first) == "memory:///a.tar"
    memory.pipe("/a.tar", b"xy")
    assert first != File.at(Store("memory://a.tar"), "/a.tar")


@pytest.mark.filterwarnings("ignore")
def test_an_object_store(s3, folder, tmp_path, monkeypatch):
    path = folder(*(name for name in ODD if "\n" not in name))  # the server takes no such key
    (path / "empty.png").write_bytes(b"")
    s3.put(f"{path}/", "bucket/pictures/", recursive=True)
    s3.touch("bucket/pictures/marker/")
    local, remote = take_inventory(scan(path), "member"), take_inventory(scan("s3://bucket/pictures"), "member")
    assert remote == local and "empty file" in [item.reason for item in remote]
    monkeypatch.setattr(worker_processes, "PATIENCE", 0.0)
    monkeypatch.setattr("trainedon.pictures.taking_inventory.CHUNK", 2)
    several = WorkerProcesses(2)
    assert take_inventory(scan("s3://bucket/pictures"), "member", examiners=several) == local
    data = [entry.data() for entry in scan(path, 1)]
    pq.write_table(pa.table({"image": data}), tmp_path / "t.parquet")
    s3.put_file(str(tmp_path / "t.parquet"), "bucket/t.parquet")
    assert told(scan("s3://bucket/t.parquet")) == told(scan(tmp_path / "t.parquet"))
    for url in ("s3://bucket/nothing", "s3://nowhere/a"):
        with pytest.raises(UserError, match="does not exist"):
            scan(url)


def test_what_this_program_wrote_is_left_out_of_a_store(memory, stored):
    source = stored("a.png", "run/evidence/b.png", "theirs/c.png")
    memory.pipe("/bucket/pictures/run/run.json", b'{"schema_version": 1, "status": "complete", "kind": "audit", ...')
    memory.pipe("/bucket/pictures/theirs/run.json", b"{}")
    listed = scan(source)
    assert [entry.name for entry in listed] == ["a.png", "theirs/c.png"]
    assert (
        "run/",
        "passed over: run of trainedon: give the folder that its pictures came from",
    ) in list(listed.passed)
