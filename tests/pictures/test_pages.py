"""Parquet files that claim more than they hold are refused before anything of it is unpacked."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainedon import pages
from trainedon.errors import UserError
from trainedon.pages import chunks, dictionary_size, largest_page
from trainedon.pictures import scan
from trainedon.pictures.listing import cells


def same(value, rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([value]))


def test_pages_and_dictionaries_are_as_large_as_their_headers_say(tmp_path):
    path = tmp_path / "t.parquet"
    values = {"image": [b"a" * 10_000] * 30, "s": [{"bytes": b"b" * 500}] * 30}
    pq.write_table(pa.table(values), path, row_group_size=20, use_dictionary=["image"], compression="zstd")
    with path.open("rb") as stream:
        groups = chunks(stream, path)
        assert [sorted(group) for group in groups] == [["image", "s.bytes"]] * 2
        assert [group["image"].rows for group in groups] == [20, 10]
        assert dictionary_size(stream, groups[0]["image"]) == 10_004
        assert dictionary_size(stream, groups[0]["s.bytes"]) == 0
        assert 10_000 < largest_page(stream, groups[0]["s.bytes"]) < 11_000  # 20 rows of 500 bytes


def test_a_few_values_that_stand_for_many_rows_are_refused(tmp_path, encoded, monkeypatch):
    monkeypatch.setattr(cells, "SMALL", 1)
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"image": same(encoded("PNG") + bytes(2**21), 50_000)}), path, store_schema=False)
    with pytest.raises(UserError, match="a few values of image stand for 50000 rows"):
        scan(path)[0].data()


def test_pages_that_are_too_large_are_refused(tmp_path, encoded, monkeypatch):
    monkeypatch.setattr(cells, "MOST_PAGE", 1000)
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"image": [encoded("PNG") + bytes(2000)]}), path, use_dictionary=False)
    with pytest.raises(UserError, match="image is in pages of more than"):
        scan(path)[0].data()


def test_a_list_of_more_columns_than_such_a_file_has_is_refused(tmp_path, encoded, monkeypatch):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"image": [encoded("PNG")] * 30, "label": range(30)}), path, row_group_size=1)
    with path.open("rb") as stream:
        assert len(chunks(stream, path)) == 30
    monkeypatch.setattr(pages, "MOST_VALUES", 500)
    cells._chunks.cache_clear()
    with pytest.raises(UserError, match="too many groups and columns for its size"):
        scan(path)


def test_captions_beside_pictures_of_a_table_are_bounded(tmp_path, encoded, monkeypatch):
    monkeypatch.setattr(cells, "MOST_NAMES", 1000)
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"image": [encoded("PNG")] * 2, "text": ["a" * 9000] * 2}), path, use_dictionary=False)
    with pytest.raises(UserError, match="text holds more than"):
        scan(path)[0].data()
