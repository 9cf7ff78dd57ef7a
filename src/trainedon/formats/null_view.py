"""Views of a picture whose score can be taken off, so that a sign is left."""

from typing import Literal

# Each undoes itself: for a kind of picture that is as likely so, either of the two may be the picture.
NullView = Literal["mirror", "upside-down", "half-turn"]
