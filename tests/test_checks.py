"""What is refused, or said, before anything is loaded."""

import io
import json
from contextlib import redirect_stderr

import pytest

from trainedon.attacks import parse_attacks
from trainedon.checks import check_places, swapped
from trainedon.cli.terminal import Lines
from trainedon.errors import UserError, meant


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "one.png").write_bytes(b"")
    return folder


def test_sources_that_are_not_there_are_named(pictures, tmp_path):
    check_places("audit", {"suspect": pictures, "unseen": "s3://bucket/there"}, str(tmp_path / "run"))
    with pytest.raises(UserError, match="nowhere does not exist"):
        check_places("audit", {"suspect": pictures, "unseen": tmp_path / "nowhere"}, str(tmp_path / "run"))


def test_a_folder_that_cannot_take_the_run_is_named(pictures, tmp_path):
    sets, out = {"suspect": pictures}, tmp_path / "run"
    with pytest.raises(UserError, match=r"one\.png is a file"):
        check_places("audit", sets, str(pictures / "one.png"))
    out.mkdir()
    (out / "run.json").write_text(json.dumps({"kind": "evaluate", "identity": {"kind": "evaluate"}}))
    with pytest.raises(UserError, match="other choices \\(kind was 'evaluate', is 'audit'\\)"):
        check_places("audit", sets, str(out))
    check_places("evaluate", sets, str(out))


def test_a_run_does_not_lie_among_its_pictures_nor_they_in_it(pictures, tmp_path):
    with pytest.raises(UserError, match="where its pictures would be found"):
        check_places("audit", {"suspect": pictures}, str(pictures / "a" / "run"))
    check_places("audit", {"suspect": pictures}, str(pictures / ".hidden" / "run"))
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(UserError, match="to which the run is written"):
        check_places("audit", {"suspect": pictures}, str(tmp_path))


@pytest.mark.parametrize(
    ("asked", "unseen", "said"),
    [
        ("data/holdout", "data/train", ["suspects are called 'holdout'", "unseen pictures are called 'train'"]),
        ("data/held-out", "data/other", ["suspects are called 'heldout'"]),
        ("s3://b/test2017/images", "s3://b/train2017/images", ["'test'", "'train'"]),
        ("data/mine", "data/members.parquet", ["unseen pictures are called 'members'"]),
        ("data/mine", "data/non-members", None),
        ("data/train", "data/val", None),
        ("test/suspects", "other/unseen", None),
        ("latest", "contest", None),
    ],
)
def test_names_that_say_the_opposite_are_told(asked, unseen, said):
    told = swapped({"suspect": asked, "unseen": unseen})
    if said is None:
        assert told is None
    else:
        assert all(part in told for part in said) and told.endswith("were the folders given the wrong way round?")


def test_what_is_written_to_a_file_are_lines_now_and_then():
    now, lines = [0.0], []
    with redirect_stderr(io.StringIO()) as written:
        tell = Lines(clock=lambda: now[0])
        for second in range(0, 101):
            now[0] = float(second)
            tell("drc", second + 0.5 if 0 < second < 100 else second, 1000)
            if second == 50:
                tell("lo\x1b[2Jss", 0, 7)
            lines.append(written.getvalue().count("\n"))
    assert written.getvalue().splitlines() == [
        "drc: 0 of 1000",
        "drc: 30 of 1000, about 16 min left",
        "lo?[2Jss: 0 of 7",
        "drc: 80 of 1000, about 15 min left",
    ]
    assert lines[29:31] == [1, 2], "each is there when it is written"


def test_what_is_left_of_a_stage_goes_by_the_time_spent_on_it_alone():
    now = [0.0]
    with redirect_stderr(io.StringIO()) as written:
        tell = Lines(clock=lambda: now[0])
        for at, what, done in ((0, "control", 0), (0, "drc", 0), (300, "drc", 50), (300, "control", 0)):
            now[0] = at
            tell(what, done, 100)
        now[0] = 340
        tell("control", 50, 100)
    assert written.getvalue().splitlines()[-1] == "control: 50 of 100, about 40 s left", "300 s were another's"


def test_a_word_that_is_much_like_a_known_one_is_asked_back():
    known = ["drc", "drc-fast", "loss", "pia"]
    assert meant("drcfast", known) == meant("DRC_Fast", known) == " (did you mean drc-fast?)"
    assert meant("magic", known) == ""
    with pytest.raises(UserError, match=r"unknown attack 'drcfast' \(did you mean drc-fast\?\): choose from"):
        parse_attacks("drcfast")
    with pytest.raises(UserError, match=r"no parameter 'restoration' \(did you mean restorations\?\): it has"):
        parse_attacks("drc(restoration=3)")
