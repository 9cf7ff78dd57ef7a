"""Views of a picture whose score can be taken off, so that a sign is left."""

from collections.abc import Sequence
from typing import Literal, cast, get_args

# Each undoes itself: for a kind of picture that is as likely so, either of the two may be the picture.
NullView = Literal["mirror", "upside-down", "half-turn", "red-blue"]


def the_one_view(names: Sequence[str]) -> NullView | None:
    """The view of these names, where there is one alone and it is such a view."""
    return cast(NullView, names[0]) if len(names) == 1 and names[0] in get_args(NullView) else None
