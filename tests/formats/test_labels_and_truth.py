"""`labels.json` and `truth.json` have one reader each, which refuses what says something else."""

import json

import pytest

from trainedon.errors import UserError
from trainedon.formats.label_json import read_labels, write_labels
from trainedon.formats.truth_json import read_truth, write_truth

LABELS = {"ab" * 32: 0, "cd" * 32: 2}


def test_what_is_written_is_read(tmp_path):
    write_labels(tmp_path / "labels.json", LABELS)
    write_truth(tmp_path / "truth.json", {"a.png": True, "b.png": False})
    assert read_labels(tmp_path / "labels.json", 2, classes=3) == LABELS
    assert read_truth(tmp_path / "truth.json") == {"a.png": True, "b.png": False}


@pytest.mark.parametrize(
    "value",
    [[], 3, {"a": 1}, *({"ab" * 32: wrong} for wrong in ("1", 1.0, True, None, -1, 3, 2**31))],
    ids=json.dumps,
)
def test_labels_that_are_none(tmp_path, value):
    (tmp_path / "labels.json").write_text(json.dumps(value))
    with pytest.raises(UserError, match=r"labels\.json does not hold a class for each picture: delete it"):
        read_labels(tmp_path / "labels.json", 1, classes=3)


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "labels.json").write_text("{")
    with pytest.raises(UserError, match=r"labels\.json is not readable JSON"):
        read_labels(tmp_path / "labels.json", 1)
    with pytest.raises(UserError, match=r"labels\.json has more than"):
        (tmp_path / "labels.json").write_text(json.dumps({f"{n:064x}": 0 for n in range(100)}))
        read_labels(tmp_path / "labels.json", 1)
    with pytest.raises(UserError, match=r"other\.json cannot be read"):
        read_labels(tmp_path / "other.json", 1)


@pytest.mark.parametrize("value", [[], 3, {"a.png": 1}, {"a.png": None}], ids=json.dumps)
def test_what_says_nothing_of_suspects_is_no_truth(tmp_path, value):
    assert read_truth(tmp_path / "truth.json") is None
    (tmp_path / "truth.json").write_text(json.dumps(value))
    with pytest.raises(UserError, match=r"truth\.json says something else than whether pictures were used: take it"):
        read_truth(tmp_path / "truth.json")
