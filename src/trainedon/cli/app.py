"""Which commands there are, and how every one of them ends."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from trainedon.cli import audit, look, serve, side_by_side
from trainedon.cli import making as make
from trainedon.cli.option_groups import grouped
from trainedon.cli.terminal import heard, say, stop
from trainedon.errors import PictureError, UserError
from trainedon.spec import LeftOut
from trainedon.stopping import stoppable
from trainedon.unforeseen import Unforeseen, kept, of_the_machine

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Was this diffusion model trained on this picture? Degrade-Restore-Compare, and honest statistics.",
)
# In the order of the help.
COMMANDS: dict[str, Callable[..., None]] = {
    "audit": audit.audit,
    "evaluate": audit.evaluate,
    "peaks": audit.peaks,
    "sweep": audit.sweep,
    "draw": make.draw,
    "twins": make.twins,
    "demo": audit.demo,
    "app": serve.app,
    "train": make.train,
    "convert": make.convert,
    "attacks": look.attacks,
    "plan": look.plan,
    "report": look.report,
    "compare": side_by_side.compare,
    "verify": look.verify,
    "seal": look.seal,
    "schema": look.schema,
}
for _name, _command in COMMANDS.items():
    app.command(_name)(grouped(_command))


def _print_version(asked: bool) -> None:
    if asked:
        say(f"trainedon {version('trainedon')}")
        raise typer.Exit


@app.callback()
def _about(
    show: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """What stands before a command; the help is that of `app`."""


def _note(message: Warning | str, *where: Any, **rest: Any) -> None:
    """A warning, said like what the package logs."""
    logging.getLogger("trainedon").warning("note: %s", message)


def main() -> None:
    """Entry point: bad input ends with one line and exit code 2, what nobody foresaw with one line and 1; Ctrl-C with
    130, as `stoppable` says. Codes 3 and 4 are those of `limits_met`."""
    warnings.filterwarnings("ignore")
    warnings.filterwarnings("always", category=LeftOut)
    warnings.showwarning = _note
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    with stoppable(), heard():  # before typer sees an interrupt, which it would return as a number
        try:
            app(standalone_mode=False)
        except (UserError, PictureError) as error:
            stop(str(error))
            raise SystemExit(2) from None
        except TyperException as error:
            error.show()  # type: ignore[attr-defined]  # typer raises such as have it
            raise SystemExit(error.exit_code) from None
        except Exception as error:  # noqa: BLE001 (whatever it is, a person gets one line)
            why = of_the_machine(error)
            if why is not None:
                stop(why)
                raise SystemExit(2) from None
            stop(str(error) if isinstance(error, Unforeseen) else kept(error))
            raise SystemExit(1) from None
