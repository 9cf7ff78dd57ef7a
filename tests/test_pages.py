"""What pages tell people to type can be typed: examples in Python run, and commands have the options that are named."""

from __future__ import annotations

import importlib.util
import re
import shlex
from functools import cache
from pathlib import Path

import pytest
import typer
from examples import blocks, run_page, scene

from trainedon.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
# The examples of the others run in tests of what they are about.
RUN = ["README.md", "docs/attacks.md", "docs/evidence.md", "docs/models.md", "docs/own-networks.md"]
ELSEWHERE = ["CONTRIBUTING.md", "docs/python.md"]


def lines(page: Path) -> list[str]:
    """Commands on a page: lines of blocks, and `code` in sentences, which may go over several lines."""
    text = page.read_text("utf-8")
    fenced = re.findall(r"^```\n(.*?)^```", text, flags=re.M | re.S)
    sentences = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return [line for block in fenced for line in block.splitlines()] + [
        " ".join(code.split()) for code in re.findall(r"`([^`]+)`", sentences)
    ]


COMMANDS = [
    pytest.param(line, id=f"{page.stem}: {line[:60]}")
    for page in PAGES
    for line in dict.fromkeys(lines(page))
    if re.match("trainedon [a-z]", line)
]


@cache
def commands():
    return typer.main.get_command(app)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_has_the_options_that_a_page_gives_it(line):
    _, *words = shlex.split(line, comments=True)
    group = commands()
    name, *arguments = words
    assert name in group.commands
    command = group.commands[name]
    parser = command.make_parser(command.context_class(command, info_name=name))
    parser.parse_args(arguments)  # raises for an option that is not there, or lacks its value


def test_pages_have_commands_enough_to_be_worth_the_look():
    assert len(COMMANDS) > 50


def test_a_benchmark_that_a_page_names_is_there():
    named = {found for page in PAGES for found in re.findall(r"python -m (benchmarks\.\w+)", page.read_text("utf-8"))}
    assert len(named) > 5
    for module in named:
        assert importlib.util.spec_from_file_location(module, ROOT / f"{module.replace('.', '/')}.py") is not None
        assert (ROOT / f"{module.replace('.', '/')}.py").exists(), module


def test_every_page_with_examples_is_run():
    with_examples = {page.relative_to(ROOT).as_posix() for page in PAGES if blocks(page)}
    assert with_examples - set(ELSEWHERE) == set(RUN)


@pytest.mark.parametrize(
    "page", [page if page == "README.md" else pytest.param(page, marks=pytest.mark.slow) for page in RUN]
)
def test_the_examples_of_a_page_run(page, tmp_path):
    scene(tmp_path)
    run_page(ROOT / page, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_file_that_a_page_names_is_there(page):
    named = re.findall(r"`((?:\w+/)*\w+\.py)`", page.read_text("utf-8"))
    places = [ROOT / "src", ROOT / "tests", ROOT / "benchmarks"]
    for name in (name for name in set(named) if "onestep" not in name):  # the file that a reader is to write
        assert (ROOT / name).exists() or any(path for place in places for path in place.rglob(name)), name
