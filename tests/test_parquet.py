"""What a parquet file claims is looked at before it is unpacked, and honest files are read as they are."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainedon.errors import UserError
from trainedon.parquet import opened

ROWS = 6000  # more than are read at once
HONEST = pa.table(
    {
        "picture": [f"folder/{i:06d}.png" for i in range(ROWS)],
        "set": ["unseen"] * ROWS,
        "score": np.random.default_rng(0).normal(size=ROWS),
        "features": [[float(i), 1.0] for i in range(ROWS)],
        "reason": [None] * (ROWS - 1) + ["too small"],
    }
)


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_honest_files_are_read_as_they_are(tmp_path, compression, version, dictionary):
    path = tmp_path / "honest.parquet"
    how = {"compression": compression, "data_page_version": version, "use_dictionary": dictionary}
    pq.write_table(HONEST, path, row_group_size=2500, **how)
    with opened(path) as file:
        assert pa.Table.from_batches([*file.batches(file.names)]).equals(HONEST)
        assert file.table(HONEST.select(["picture", "score"]).schema).equals(HONEST.select(["picture", "score"]))


def test_other_encodings(tmp_path):
    path = tmp_path / "delta.parquet"
    encodings = {"picture": "DELTA_BYTE_ARRAY", "set": "DELTA_LENGTH_BYTE_ARRAY", "score": "BYTE_STREAM_SPLIT"}
    pq.write_table(HONEST, path, use_dictionary=False, column_encoding=encodings)
    with opened(path) as file:
        assert pa.Table.from_batches([*file.batches(file.names)]).equals(HONEST)


def refused(path, table, **how):
    pq.write_table(table, path, **({"compression": "zstd"} | how))
    assert path.stat().st_size < 2**20
    with pytest.raises(pa.ArrowException) as caught, opened(path) as file:
        for _ in file.batches(file.names):
            pass
    return str(caught.value)


def test_a_text_that_stands_for_every_row(tmp_path):
    long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(ROWS, np.int32)), ["x" * 2**20])
    assert "texts are longer" in refused(tmp_path / "one.parquet", pa.table({"picture": long}))


def test_many_texts_that_stand_for_many_rows(tmp_path):
    texts = [f"{number:02}" + "x" * 2**14 for number in range(20)]  # of equal ones, Arrow writes unset memory
    long = pa.DictionaryArray.from_arrays(pa.array(np.arange(40_000, dtype=np.int32) % 20), texts)
    assert "texts are longer" in refused(tmp_path / "some.parquet", pa.table({"picture": long}))


def test_a_page_that_is_nearly_nothing_in_the_file(tmp_path):
    table = pa.table({"picture": ["x" * (2**26 + 1), "y"]})
    assert "claims more" in refused(tmp_path / "page.parquet", table, use_dictionary=False, write_statistics=False)


def test_lists_and_rows_without_end(tmp_path):
    lists = pa.ListArray.from_arrays(pa.array([0, 2**26 + 1], pa.int32()), pa.array(np.zeros(2**26 + 1, bool)))
    assert "lists are longer" in refused(tmp_path / "lists.parquet", pa.table({"features": lists}))
    rows = pa.table({"set": pa.DictionaryArray.from_arrays(pa.array(np.zeros(3 * 2**20, np.int8)), ["unseen"])})
    assert "more rows" in refused(tmp_path / "rows.parquet", rows)


@pytest.mark.slow
def test_a_text_that_grows_by_sharing_its_beginning(tmp_path):
    """Each row is the one before and a letter: read a few at a time, so that they are never all in memory."""
    path = tmp_path / "prefix.parquet"
    table = pa.table({"picture": ["x" * 200_000] * 4000})
    pq.write_table(table, path, use_dictionary=False, column_encoding={"picture": "DELTA_BYTE_ARRAY"})
    with opened(path) as file:
        assert max(len(batch) for batch, _ in zip(file.batches(["picture"]), range(2))) * 200_000 <= 2**29


def test_damage_is_an_error_of_arrow_or_the_system(tmp_path):
    path = tmp_path / "honest.parquet"
    pq.write_table(HONEST, path, row_group_size=2500)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for number in range(200):
        data = bytearray(whole[: rng.integers(len(whole))] if number % 4 == 0 else whole)
        for place in rng.integers(max(1, len(data)), size=4):
            data[place : place + 1] = bytes([rng.integers(256)])
        path.write_bytes(data)
        try:
            with opened(path) as file:
                for _ in file.batches(file.names):
                    pass
        except (pa.ArrowException, OSError, ValueError):
            pass


def test_what_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.parquet")
    with pytest.raises(UserError, match="is a pipe"):
        opened(tmp_path / "pipe.parquet")


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_a_file_without_rows(tmp_path, compression):
    table = pa.table({"a": pa.array([], pa.string()), "b": pa.array([], pa.float64())})
    pq.write_table(table, tmp_path / "t.parquet", compression=compression)
    with opened(tmp_path / "t.parquet") as file:
        assert file.table(table.schema).equals(table)
