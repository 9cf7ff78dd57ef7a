"""The command `app`: the page to drop pictures on."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from trainedon.api import Machine
from trainedon.cli.option_groups import BatchSize, Device
from trainedon.cli.terminal import say, typed


def app(
    *,
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...",
            help="Models to choose from, beside the embedded one and what is typed on the page; own code, "
            "my_module:callable, runs only where it is named here.",
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where it listens on 127.0.0.1; 0: any that is free.")
    ] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    batch_size: BatchSize = None,
    device: Device = "auto",
) -> None:
    """A page to drop pictures on, in the browser of this machine alone. Needs the extra `app`."""
    from trainedon.app import check_installed

    check_installed()
    from trainedon.app.models import Models
    from trainedon.app.serving import serve

    serve(Models(tuple(models or ()), Machine(batch_size, device)), port, browser, typed(), _tell)
    say("Ended. What was dropped is removed.")


def _tell(address: str) -> None:
    sys.stdout.write(f"The page: {address}\n")  # whole: elsewhere what follows a question mark is no one's to read
    sys.stdout.flush()
    say("It holds the key to this page: give it to nobody. Ctrl-C ends it, and removes what was dropped.")
