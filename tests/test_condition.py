"""What a model is conditioned on, row by row."""

import pytest
import torch

from trainedon.condition import UNCONDITIONAL, Captions, Classes, Unconditional

CLASSES = Classes(torch.tensor([3, 1, 2]))
CAPTIONS = Captions(("a cat", "", "a dog"))
each = pytest.mark.parametrize("condition", [CLASSES, CAPTIONS], ids=["classes", "captions"])


@each
def test_rows_are_taken_repeated_and_filled_up(condition):
    def rows(*numbers):
        return [condition.keys(3)[number] for number in numbers]

    assert condition[1:].keys(2) == rows(1, 2) and condition[[2, 0]].keys(2) == rows(2, 0)
    assert condition.repeat(2).keys(6) == rows(0, 0, 1, 1, 2, 2)
    assert condition.filled(2).keys(5) == rows(0, 1, 2, 0, 0)
    assert [len(one) for one in (condition, condition[:0], condition.repeat(3))] == [3, 0, 9]


@each
def test_equal_conditions_are_one_key(condition):
    assert condition[:] == condition and hash(condition[:]) == hash(condition)
    others = (condition[[0, 2, 1]], condition[:2], UNCONDITIONAL, CLASSES if condition == CAPTIONS else CAPTIONS)
    assert len({condition, *others}) == 5


def test_nothing_is_nothing_of_any_number_of_rows():
    assert (
        UNCONDITIONAL[2:] == UNCONDITIONAL[[5]] == UNCONDITIONAL.repeat(4) == UNCONDITIONAL.filled(1) == Unconditional()
    )
    assert UNCONDITIONAL.keys(3) == [None, None, None]


def test_keys_are_numbers_of_classes_and_hashes_of_texts_the_same_in_every_process():
    assert CLASSES.keys(3) == [3, 1, 2]
    assert Captions(("a cat", "a cat")).keys(2) == ["67f5dfb40b23dda2"] * 2


@pytest.mark.parametrize("labels", [torch.tensor([1.0]), torch.tensor([[1]]), torch.tensor(1)], ids=str)
def test_classes_are_a_row_of_whole_numbers(labels):
    with pytest.raises(ValueError, match="need int64"):
        Classes(labels)
