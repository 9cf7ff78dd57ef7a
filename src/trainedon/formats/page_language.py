"""In which languages a page can be. Imports nothing, and so is cheap to ask."""

from __future__ import annotations

from typing import Literal

Language = Literal["en", "de", "fr"]
