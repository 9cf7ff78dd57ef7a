"""Regular files alone, bounded; JSON that says one thing."""

import os
import socket

import pytest

from trainedon.errors import UserError
from trainedon.reading import json_of, open_regular, read_bytes, read_json


def test_a_regular_file_is_read_and_links_to_it_are_followed(tmp_path):
    (tmp_path / "a").write_bytes(b"words")
    (tmp_path / "link").symlink_to("a")
    with open_regular(tmp_path / "link") as stream:
        assert stream.read() == b"words"
    assert read_bytes(tmp_path / "a", 5) == b"words"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
        for name, kind in [("pipe", "a pipe"), ("folder", "a folder")]:
            with pytest.raises(UserError, match=f"{name} is {kind} and no regular file"):
                open_regular(tmp_path / name)
        with pytest.raises(OSError):  # what systems say of sockets
            open_regular(tmp_path / "socket")
    with pytest.raises(UserError, match="is a device"):
        open_regular("/dev/zero")


def test_a_loop_of_links_and_what_is_not_there_stay_errors_of_the_system(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for name in ("loop", "absent"):
        with pytest.raises(OSError):
            open_regular(tmp_path / name)


def test_no_more_is_read_than_may_be_there(tmp_path):
    with (tmp_path / "long").open("wb") as stream:
        stream.truncate(10**12)  # a hole, which takes no room
    with pytest.raises(UserError, match="more than 1,000 bytes"):
        read_bytes(tmp_path / "long", 1000)


@pytest.mark.parametrize(
    "data, reason",
    [
        (b'{"a": 1, "a": 2}', "'a' is there twice"),
        (b'[{"x": {"b": 1, "b": 1}}]', "'b' is there twice"),
        (b"[" * 100_000, "recursion"),
        (b"\xff", "decode"),
        (b"", "Expecting value"),
        (b"1" * 5000, "digits"),
    ],
)
def test_json_that_does_not_say_one_thing_is_refused(data, reason):
    with pytest.raises(UserError, match=f"there is not readable JSON .*{reason}"):
        json_of(data, "there")


def test_json_is_read_with_and_without_a_byte_order_mark(tmp_path):
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": [1, null]}')
    assert read_json(tmp_path / "a.json") == {"a": [1, None]}
