"""docs/python.md: what it says can be done, and names what there is."""

import re
from pathlib import Path

import pytest
from examples import blocks, run_page, scene

import trainedon

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


@pytest.mark.slow
def test_its_examples_run(tmp_path):
    scene(tmp_path)
    printed = run_page(PAGE, tmp_path)
    assert len(blocks(PAGE)) > 8
    assert "not-there does not exist" in printed and (tmp_path / "run" / "seal.json").exists()
    assert "<html" in (tmp_path / "page.html").read_text("utf-8")


def test_its_table_names_the_front_door():
    named = {
        name
        for row in re.findall(r"^\| `(.+?)` \|", PAGE.read_text("utf-8"), re.M)
        for name in re.findall(r"(\w+)\(", row)
    }
    assert named == set(trainedon.api.__all__) - {"Choices", "Machine", "Reading"}


def test_blocks_are_those_that_begin_with_python_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\na = 1\n```\n```sh\nno\n```\n```python title\nno\n```\n```python\nprint(a)\n```\n")
    assert blocks(page) == [(1, "a = 1\n"), (10, "print(a)\n")]
    assert run_page(page, tmp_path) == "1\n"
