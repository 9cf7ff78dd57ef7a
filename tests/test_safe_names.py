"""Names from elsewhere as file names."""

import pytest

from trainedon.safe_names import original_name, safe_name

NAMES = [
    "a.png",
    "b/c d.jpg",
    "ünï/ß.webp",
    "100%.png",
    "%41.png",
    ".hidden.png",
    "a/../../b.png",
    "./a.png",
    "/abs.png",
]
NAMES += [
    "a//b.png",
    "..",
    "",
    "a/.",
    "x\\y.png",
    "c:\\d.png",
    "new\nline.png",
    "con.png",
    "AUX",
    "lpt1",
    "a.png.",
    "a ",
]
NAMES += ["bad\udcff.png", "q?.png", "a*b", "no-suffix", "..."]


@pytest.mark.parametrize("name", NAMES)
def test_a_safe_name_stays_below_its_folder_and_tells_what_it_was(name, tmp_path):
    safe = safe_name(name)
    assert original_name(safe) == name or name in ("", "a//b.png", "/abs.png")
    path = tmp_path / safe
    assert tmp_path.resolve() in path.resolve().parents
    assert not any(part.startswith(".") for part in safe.split("/"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


def test_ordinary_names_stay_as_they_are():
    for name in ("a.png", "b/c d.jpg", "ünï/ß.webp", "2019/07/IMG_0001 (2).JPG", "file.npz#12"):
        assert safe_name(name) == name


def test_names_that_meet_are_told_apart():
    taken: set[str] = set()
    found = [safe_name(name, taken) for name in ("a.png", "A.png", "a.png", "d.e/x", "D.e/x")]
    assert found == ["a.png", "A~2.png", "a~3.png", "d.e/x", "D.e/x~2"]
    assert len({name.lower() for name in found}) == len(found)


def test_long_names_are_cut():
    assert len(safe_name("x" * 5000 + ".png")) == 200 and safe_name("x" * 5000 + ".png").endswith(".png")


def test_a_suffix_goes_behind():
    taken: set[str] = set()
    assert [safe_name("a", taken, ".png") for _ in range(2)] == ["a.png", "a~2.png"]
