"""The page to drop pictures on: `trainedon app`, in the browser of this machine alone; see docs/app.md.

It calls the functions of `trainedon.api` and holds nothing of its own but what is on the desk: the pictures that were
dropped and the run that is made of them, in a folder that nobody else may read and that goes when the program ends.
"""

from __future__ import annotations

from importlib.util import find_spec

from trainedon.errors import UserError

NEEDED = ("gradio", "fastapi", "uvicorn")


def check_installed() -> None:
    """Raises UserError, which says what to install, where something that the page needs is missing."""
    if any(find_spec(name) is None for name in NEEDED):
        raise UserError("the page in the browser is an extra: pip install 'trainedon[app]'")
