"""Options that are declared once: a dataclass of them stands for one option each."""

from typing import Annotated

import pytest
import typer
from commandline import call
from rich.text import Text
from typer.testing import CliRunner

from trainedon.api import Choices, Machine, Reading
from trainedon.cli.app import COMMANDS, app
from trainedon.cli.option_groups import OF_GROUPS, grouped


@pytest.fixture
def ask():
    """ask(*arguments): what a command with two groups was called with."""
    called = []

    def command(
        *, name: Annotated[str, typer.Argument()], choices: Choices, often: bool = False, reading: Reading
    ) -> None:
        """One line."""
        called.append((name, choices, often, reading))

    app = typer.Typer()
    app.command()(grouped(command))

    def asked(*arguments):
        result = CliRunner().invoke(app, list(arguments))
        return result, called.pop() if called else None

    return asked


def test_a_group_is_filled_from_its_options(ask):
    _, given = ask("x", "--seed", "3", "--follow-links", "--fit", "pad")
    assert given == ("x", Choices(seed=3), False, Reading(fit="pad", follow_links=True))
    assert ask("x", "--often")[1] == ("x", Choices(), True, Reading())


def test_options_stand_in_the_help_where_their_group_stands(ask):
    text = ask("--help")[0].output
    places = [text.index(option) for option in ("--seed", "--labels", "--often", "--alpha", "--follow-links")]
    assert places == sorted(places) and "One line." in text


def test_what_an_option_may_not_be_is_refused(ask):
    result, given = ask("x", "--limit", "0")
    assert (result.exit_code, given) == (2, None)


def test_every_option_of_a_group_is_one_of_a_command():
    fields = {name for group in (Choices, Machine, Reading) for name in group.__dataclass_fields__}
    assert fields == set(OF_GROUPS)
    offered = {name for command in COMMANDS.values() for name in grouped(command).__annotations__}
    assert fields <= offered


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_nothing_of_a_help_text_is_taken_for_markup(name):
    """Rich would print nothing for `[word]`; a bracket that is to be read has a backslash before it."""
    command = typer.main.get_command(app).commands[name]
    texts = [command.help, *(one.help for one in command.params)]
    assert any(texts)
    for text in filter(None, texts):
        assert Text.from_markup(text).plain == text.replace("\\[", "[")
    assert "\\[" not in call(name, "--help").stdout
