"""Columns of many values, and equal texts among them."""

import numpy as np
import pyarrow as pa
import pytest

from trainedon.pictures.listing.columns import AT_ONCE, Column, each, repeated


def test_values_come_back_in_order():
    values = [None if i % 10 == 3 else i for i in range(2 * AT_ONCE + 5)]
    column = Column(pa.int64())
    for value in values:
        column.append(value)
    assert list(each(column.array())) == values
    assert column.array().num_chunks == 3 and len(Column(pa.string()).array()) == 0
    with pytest.raises((pa.ArrowException, TypeError)):
        column.append("text")
        column.array()


def test_equal_texts_are_found_among_some_places(monkeypatch):
    texts = pa.chunked_array([["a", "b", "a"], ["c", None, "b", "a"]])
    everything = np.arange(7)
    assert repeated(texts, everything) == [[0, 2, 6], [1, 5]]
    assert repeated(texts, np.array([0, 1, 3, 6])) == [[0, 6]] and repeated(texts, everything[3:5]) == []
    monkeypatch.setattr("trainedon.pictures.listing.columns.hash", lambda text: 7, raising=False)  # all numbers collide
    assert repeated(texts, everything) == [[0, 2, 6], [1, 5]] and repeated(texts, everything[3:5]) == []
