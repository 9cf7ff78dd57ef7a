"""With which captions, other than their own, pictures are scored again. Imports nothing, and so is cheap to ask."""

from __future__ import annotations

from typing import Literal, get_args

OtherCaptions = Literal["fixed", "shuffled"]
CONTROLS: tuple[OtherCaptions, ...] = get_args(OtherCaptions)  # with which every run of captions is made again
