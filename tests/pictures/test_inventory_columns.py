"""The list of all pictures as columns, its digest and its file."""

import hashlib
import json
import random
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainedon.errors import UserError
from trainedon.pictures import (
    Inventory,
    Item,
    inventory_digest,
    read_inventory,
    scan,
    take_inventory,
    write_inventory,
)

COLUMNS = ["picture", "sha256", "set", "label", "reason", "format", "mode", "width", "height", "bytes"]
COLUMNS += ["mean_r", "mean_g", "mean_b", "std_r", "std_g", "std_b", "sharpness"]
LATER = ["phash", "jpeg_trace", "detail", "caption", "label_from", "alpha", "orientation", "source"]
COLUMNS += LATER


def test_the_digest_speaks_of_set_name_bytes_and_label_alone(folder):
    items = take_inventory(scan(folder("a.png", "b.png")), "suspect")
    digest = inventory_digest(items)
    rows = [json.dumps([item.set, item.picture, item.sha256, item.label]) for item in items]
    assert digest == hashlib.sha256("\n".join(rows).encode()).hexdigest()
    assert inventory_digest(reversed(items)) == digest
    assert inventory_digest([replace(item, reason="x", width=1) for item in items]) == digest
    for change in ({"picture": "c.png"}, {"set": "unseen"}, {"sha256": "0"}, {"sha256": None}, {"label": 3}):
        assert inventory_digest([items[0], replace(items[1], **change)]) != digest


def test_the_file_gives_back_the_list(folder, tmp_path):
    path = folder("7/a.png", "new\nline.png", "bad.png")
    (path / "bad.png").write_bytes(b"")
    items = [*take_inventory(scan(path), "suspect"), Item("ü\x1b[0m", None, "unseen", None, "cannot be read")]
    file = tmp_path / "pictures.parquet"
    write_inventory(items, file)
    write_inventory(items, file)  # over an older one
    assert read_inventory(file) == items
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["pictures.parquet"]
    schema = pq.read_schema(file)
    assert schema.names == COLUMNS
    assert schema.field("label").type == pa.int64() and schema.field("mean_r").type == pa.float64()
    write_inventory([], file)
    assert read_inventory(file) == [] and pq.read_schema(file).names == COLUMNS


def test_a_file_of_before_these_columns_is_read(folder, tmp_path):
    items = take_inventory(scan(folder("a.png", "b.png")), "suspect")
    file = tmp_path / "pictures.parquet"
    write_inventory(items, file)
    pq.write_table(pq.read_table(file).drop_columns(LATER), file)
    assert read_inventory(file) == [replace(item, **dict.fromkeys(LATER)) for item in items]
    pq.write_table(pq.read_table(file).drop_columns(["sharpness"]), file)
    with pytest.raises(UserError, match="not a list of pictures"):
        read_inventory(file)


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    file = tmp_path / "pictures.parquet"
    good = [Item("a", "1", "suspect", None)]
    write_inventory(good, file)
    with pytest.raises((pa.ArrowException, TypeError)):
        write_inventory([Item(5, "1", "suspect", "seven")], file)
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(OSError):
        write_inventory(good, tmp_path / "folder.parquet")
    assert read_inventory(file) == good
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.parquet", "pictures.parquet"]


def test_a_list_that_is_missing_or_foreign_is_refused(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_inventory(tmp_path / "gone.parquet")
    (tmp_path / "text.parquet").write_text("hello")
    pq.write_table(pa.table({"picture": ["a"]}), tmp_path / "other.parquet")
    for name in ("text.parquet", "other.parquet"):
        with pytest.raises(UserError, match="not a list of pictures"):
            read_inventory(tmp_path / name)


def told(n=3000):
    """Items of two sets, some unusable, some without a label or a hash."""
    for i in range(n):
        facts = {"format": "PNG", "mode": "RGB", "width": 8, "height": 9, "bytes": 70 + i % 7, "mean_r": i / n}
        yield Item(
            picture=f"{i % 7}/{i}.png",
            sha256=hashlib.sha256(str(i % 900).encode()).hexdigest(),
            set="member" if i < n // 2 else "unseen",
            label=None if i % 5 == 0 else i % 7,
            reason="empty file" if i % 11 == 0 else None,
            phash=f"{i:016x}" if i % 3 else None,
            **facts,
        )


def test_an_inventory_is_a_sequence_of_its_items():
    expected = list(told())
    items = Inventory.of(iter(expected))
    assert len(items) == len(expected) and items == expected and list(items) == expected
    assert items[0] == expected[0] and items[-1] == expected[-1] and items[1700] == expected[1700]
    assert items[1000:2100] == expected[1000:2100] and items[::-7] == expected[::-7] and items[5:5] == []
    assert isinstance(items[2:4], Inventory) and expected[7] in items and items != expected[1:]
    assert items != [*expected[:-1], replace(expected[-1], label=9)] and items != "items"
    with pytest.raises(IndexError):
        items[len(expected)]
    assert Inventory.of(items) is items and Inventory.of([]) == []


def test_its_columns_are_those_of_the_file():
    expected = list(told())
    items = Inventory.of(expected)
    assert items.table.column_names == COLUMNS and items.table.schema.field("width").type == pa.int64()
    for name in COLUMNS:
        values = [getattr(item, name) for item in expected]
        assert items.column(name).to_pylist() == values and list(items.values(name)) == values
        assert items.column(name).type == items.table.schema.field(name).type
    assert items.usable.tolist() == [i for i, item in enumerate(expected) if item.reason is None]
    assert items.of_set("unseen") == [item for item in expected if item.set == "unseen"]
    assert items.of_set("suspect") == []


def test_parts_of_it_are_taken_joined_and_replaced():
    expected = list(told())
    items = Inventory.of(expected)
    for places in ([3, 4, 5], [5, 4, 2999, 4], [], range(100, 90, -1), items.usable):
        assert items.take(places) == [expected[i] for i in places]
    assert items[:10] + expected[2000:2010] == expected[:10] + expected[2000:2010]
    changed = items.replaced("reason", {2: "x", 1500: "y", 2999: None})
    assert changed == [replace(item, reason={2: "x", 1500: "y"}.get(i, item.reason)) for i, item in enumerate(expected)]
    assert items == expected  # the first is what it was
    assert items.replaced("label", {0: 4})[0].label == 4 and items.replaced("label", {1: None})[1].label is None


def test_it_takes_little_memory():
    items = Inventory.of(told(20_000))
    assert sum(column.nbytes for column in items._table.columns) < 250 * len(items)


NAMES = [
    "a",
    "a!",
    "a b",
    'a"',
    "a\\",
    "a\\n",
    "a\n",
    "ä",
    "é",
    "\U0001f600",
    "A",
    "",
    " ",
    "a/b",
    "a#",
    "~",
    "\x7f",
    "null",
]


def test_the_digest_of_odd_names_is_that_of_the_sorted_lines():
    rng = random.Random(0)
    for _ in range(50):
        names = [*NAMES, *("".join(rng.choices('a"\\ !#/\nä\x1f~\U0001f600', k=rng.randrange(4))) for _ in range(40))]
        items = [
            Item(
                name,
                rng.choice([None, "0", "00", "ab" * 32]),
                rng.choice(["suspect", "unseen"]),
                rng.choice([None, 1, 12]),
            )
            for name in names
        ]
        rows = sorted(json.dumps([item.set, item.picture, item.sha256, item.label]) for item in items)
        assert inventory_digest(items) == hashlib.sha256("\n".join(rows).encode()).hexdigest()
    assert inventory_digest([]) == hashlib.sha256(b"").hexdigest()
    many = list(told())
    rows = sorted(json.dumps([item.set, item.picture, item.sha256, item.label]) for item in many)
    assert inventory_digest(item for item in many) == hashlib.sha256("\n".join(rows).encode()).hexdigest()


def test_a_long_list_is_written_in_parts_and_read_again(tmp_path):
    items = Inventory.of(told(10_000))
    write_inventory(items, tmp_path / "pictures.parquet")
    assert read_inventory(tmp_path / "pictures.parquet") == items
    assert pq.ParquetFile(tmp_path / "pictures.parquet").num_row_groups == 3
