"""Long lists of entries: a sequence like any other, small in memory and small when sent to another process."""

import io
import pickle
import tarfile
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainedon.pictures import Listing, scan

ROWS = 20_000


def test_parts_are_joined_and_cut():
    whole = Listing("abc", "", "de", Listing("f"))
    assert list(whole) == list("abcdef") and len(whole) == 6 and whole[-1] == "f" and whole[3] == "d"
    assert isinstance(whole[1:4], Listing) and list(whole[1:4]) == list("bcd") and list(whole[::-2]) == list("fdb")
    assert list(Listing(whole[1:4], whole[5:])) == list("bcdf") and not Listing() and list(Listing()) == []
    with pytest.raises(IndexError):
        whole[6]


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Kind of source -> a long one of its kind, without any picture in it."""
    root = tmp_path_factory.mktemp("long")
    (root / "folder").mkdir()
    for i in range(2000):
        (root / "folder" / f"{i:05}.png").touch()
    names = [f"{i:06}.png" for i in range(ROWS)]
    columns = {"image": [b"x"] * ROWS, "name": names, "label": list(range(ROWS))}
    pq.write_table(pa.table(columns), root / "t.parquet", row_group_size=1000)
    np.savez(root / "t.npz", images=np.zeros((ROWS, 1, 1, 3), np.uint8), labels=np.arange(ROWS))
    with tarfile.open(root / "t.tar", "w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 1
            archive.addfile(info, io.BytesIO(b"x"))
    return {"folder": root / "folder", **{kind: root / f"t.{kind}" for kind in ("parquet", "npz", "tar")}}


@pytest.mark.parametrize("kind", ["folder", "parquet", "npz", "tar"])
def test_entries_are_the_same_in_another_process_and_small_on_the_way(sources, kind):
    entries = scan(sources[kind])
    shard = tuple(entries[i] for i in range(len(entries) - 64, len(entries)))
    sent = pickle.dumps(shard)
    assert len(sent) < 64 * 150
    again = pickle.loads(sent)  # noqa: S301
    assert again == shard and not hasattr(again[0], "__dict__")
    assert all(np.array_equal(one.data(), other.data()) for one, other in zip(again, shard))


@pytest.mark.parametrize(("kind", "most"), [("folder", 150), ("parquet", 40), ("npz", 20), ("tar", 60)])
def test_a_listing_holds_little_more_than_the_names(sources, kind, most):
    scan(sources[kind], 3)
    tracemalloc.start()
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    entries = scan(sources[kind])
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held + pool.bytes_allocated() - before < most * len(entries) + 200_000
