"""Which models can be asked from the page: any path or hub id, but own code only where the command line named it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from trainedon.api.opening import opened
from trainedon.api.options import Machine
from trainedon.api.own_code import names_callable
from trainedon.embedded import EMBEDDED, model_folder
from trainedon.errors import UserError

if TYPE_CHECKING:
    from trainedon.targets import Target


class Models:
    """named: those of the command line, of which `my_module:callable` may run. The latest model stays loaded."""

    def __init__(self, named: tuple[str, ...] = (), machine: Machine | None = None) -> None:
        self.named = tuple(dict.fromkeys(named))
        self._machine = Machine() if machine is None else machine
        self._loaded: tuple[str, Target] | None = None
        self._turn = threading.Lock()

    def check(self, name: str) -> str:
        """The model that was chosen or typed. Raises UserError for none, and for own code that nobody allowed."""
        name = name.strip() if isinstance(name, str) else ""
        if not name:
            raise UserError("choose a model, or type the path of one")
        if names_callable(name) and name not in self.named:
            raise UserError(
                f"{name} would run code of your own, which this page does not start by itself: name it when you start "
                f"the page, trainedon app {name}"
            )
        return name

    def opened(self, name: str) -> Target:
        """The model itself. Raises UserError as `check` and `load_target` do."""
        name = self.check(name)
        with self._turn:
            if self._loaded is None or self._loaded[0] != name:
                self._loaded = None  # two at once may not find room
                self._loaded = (name, opened(self._place(name), self._machine))
            return self._loaded[1]

    def _place(self, name: str) -> str | Path:
        if name == EMBEDDED:
            return model_folder()
        return name if name in self.named else Path(name)  # of a path nothing is ever run
