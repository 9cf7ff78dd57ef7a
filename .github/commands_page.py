"""docs/commands.md: every command with its arguments and options, as the command line itself declares them.

python .github/commands_page.py > docs/commands.md
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

from trainedon.cli.app import app

WIDTH = 120
HEAD = """\
# Commands

Every command with its arguments and options, made from the program itself by `python .github/commands_page.py`. The
same is printed by `trainedon COMMAND --help`. Exit codes: 0 it was done, 1 what nobody foresaw, 2 bad input in one
line, 3 a limit of `--fail-above` was passed, 4 one could not be estimated, 130 stopped.
"""
VALUES = {int: "N", float: "X", str: "TEXT", Path: "PATH"}
TOLD = re.compile("several times|repeatable|option again")  # that it may be given more than once
MARKUP = re.compile(r"([<>*_])")


def page() -> str:
    """The whole page, ending in a newline."""
    group: Any = typer.main.get_command(app)
    names = ", ".join(f"[{name}](#{name})" for name in group.commands)
    return "\n".join([HEAD, wrapped(names, ""), *(section(name, one) for name, one in group.commands.items())])


def section(name: str, command: Any) -> str:
    given = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and not getattr(one, "hidden", False)]
    usage = " ".join(["trainedon", name, *(metavar(one) for one in given), "[OPTIONS]"])
    parts = [f"\n## {name}\n", wrapped(text(inspect.cleandoc(command.help or "")), ""), f"\n```\n{usage}\n```\n"]
    parts += [item(f"`{metavar(one).strip('[].')}`", one) for one in given]
    parts += [item(f"`{', '.join(one.opts)}{off(one)}{takes(one)}`", one) for one in options if one.name != "help"]
    return "\n".join(parts)


def metavar(argument: Any) -> str:
    name = (argument.metavar or argument.name.upper()).strip("[].")
    shown = name + ("..." if argument.nargs != 1 else "")
    return shown if argument.required else f"[{shown}]"


def off(option: Any) -> str:
    return f" / {', '.join(option.secondary_opts)}" if option.secondary_opts else ""


def takes(option: Any) -> str:
    """What stands behind an option: one of the words that it knows, or the kind of its value."""
    kind = option.type_descriptor.annotation
    if option.is_flag:
        return ""
    if get_origin(kind) is Literal:
        return f" {'|'.join(get_args(kind))}"
    return f" {option.metavar or VALUES[get_args(kind)[0] if get_origin(kind) is list else kind]}"


def item(called: str, one: Any) -> str:
    """A line of the list: what it is called, its help, and what holds without it."""
    default = one.default() if callable(one.default) else one.default
    said = [text(one.help or "")]
    if one.required and one.param_type_name == "option":
        said.append("Must be given.")
    elif not (default in (None, "", (), []) or isinstance(default, bool) or "Sentinel" in type(default).__name__):
        said.append(f"Default: `{default}`.")
    if getattr(one, "secondary_opts", None) and isinstance(default, bool):
        said.append(f"Default: `{(one.opts if default else one.secondary_opts)[0]}`.")
    if getattr(one, "multiple", False) and not TOLD.search(one.help or ""):
        said.append("May be given several times.")
    return wrapped(f"- {called}: {' '.join(filter(None, said))}", "  ")


def text(help_text: str) -> str:
    """As Markdown: the brackets that rich would take for markup, and what Markdown would."""
    plain = " ".join(help_text.replace("\\[", "[").split())
    parts = re.split(r"(`[^`]*`)", plain)
    return "".join(part if part.startswith("`") else MARKUP.sub(r"\\\1", part) for part in parts)


def wrapped(line: str, indent: str) -> str:
    return textwrap.fill(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    sys.stdout.write(page() + "\n")
