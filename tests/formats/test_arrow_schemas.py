"""The columns of a run's tables, and the list of pictures as strangers may have left it."""

from dataclasses import fields

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainedon.errors import UserError
from trainedon.formats.arrow_schemas import LATER, PICTURES, SCORES, SHARD_SCORES, TEXT, opened_pictures, written
from trainedon.pictures.inventory import Item


def test_a_row_of_pictures_is_an_item():
    assert PICTURES.names == [field.name for field in fields(Item)]
    assert {*LATER} < {*PICTURES.names} and "alpha" not in TEXT and "phash" in TEXT
    assert SHARD_SCORES.names[:-1] == SCORES.names


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "scores.parquet"
    row = {"picture": "a", "set": "unseen", "score": 0.5, "nfe": 3}
    with written(path, SCORES) as writer:
        writer.write_table(pa.Table.from_pylist([row], schema=SCORES))
    assert pq.read_schema(path).equals(SCORES) and pq.read_table(path)["nfe"].to_pylist() == [3]
    before = path.read_bytes()
    with pytest.raises(RuntimeError), written(path, SCORES):
        raise RuntimeError("interrupted")
    assert path.read_bytes() == before and [one.name for one in tmp_path.iterdir()] == [path.name]


def test_what_is_no_list_of_pictures_is_named(tmp_path):
    path = tmp_path / "pictures.parquet"
    with pytest.raises(UserError, match="does not exist"), opened_pictures(path):
        pass
    path.write_bytes(b"PAR1 nonsense")
    with pytest.raises(UserError, match="is not a list of pictures of this program"), opened_pictures(path):
        pass
    pq.write_table(pa.table([pa.array(["a"])] * 2, names=["picture", "picture"]), path)
    with pytest.raises(UserError, match="is not a list of pictures of this program"), opened_pictures(path):
        pass
    pq.write_table(pa.table({"picture": ["a"]}), path)
    with pytest.raises(UserError, match="is not a list of pictures"), opened_pictures(path) as file:
        file.table(PICTURES)
