"""`evidence.json` has one reader, which refuses what is of another picture or says nothing."""

import json

import pytest

from trainedon.errors import UserError
from trainedon.formats.exhibit_json import ExhibitRecord, read_exhibit, write_exhibit

RECORD = ExhibitRecord(
    picture="a.png", sha256="ab" * 32, set="suspect", attack="drc-hide", score=0.5, similarities=[0.1, 0.9], note="n"
)


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / RECORD.sha256[:16]
    folder.mkdir()
    return folder / "evidence.json"


def test_what_is_written_is_read(path):
    write_exhibit(path, RECORD)
    assert read_exhibit(path) == RECORD
    assert [*json.loads(path.read_text())] == [
        "picture",
        "sha256",
        "set",
        "attack",
        "score",
        "similarities",
        "ahead",
        "note",
    ]


@pytest.mark.parametrize(
    "change, said",
    [
        ({"score": None}, "has no score"),
        ({"score": "high"}, "has no score"),
        ({"picture": 3}, "says nothing of a picture"),
        ({"similarities": ["x"]}, "says nothing of a picture"),
        ({"sha256": "cd" * 32}, "is of another picture"),
        ({"sha256": "ab" * 8}, "is of another picture"),
    ],
)
def test_what_is_damaged_is_refused_in_one_line(path, change, said):
    path.write_text(json.dumps(RECORD.model_dump() | change))
    with pytest.raises(UserError, match=f"{said}: delete its folder; the same command goes on"):
        read_exhibit(path)


@pytest.mark.parametrize("text", ["[]", "3", "{}"])
def test_other_json_is_refused(path, text):
    path.write_text(text)
    with pytest.raises(UserError, match="says nothing of a picture"):
        read_exhibit(path)


def test_a_file_that_is_missing_is_named(path):
    with pytest.raises(UserError, match=r"evidence\.json cannot be read"):
        read_exhibit(path)
