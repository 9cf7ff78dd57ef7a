"""What a run knows of its model and its conditioning, as far as statistics need it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from trainedon.evidence.protocol.prompts import Controls
from trainedon.formats.null_view import NullView
from trainedon.formats.run_record import ListedEntry, RenderingEntry


@dataclass(frozen=True)
class Circumstances:
    """Each None where nothing is known of it, as for scores that were given as a table.

    prompts: of a model that is conditioned on captions, which attacks of the table are controls with other captions.
    on_control: which are controls on a model that cannot have seen the pictures. turned: which are controls on
    mirrored or turned pictures.
    conditioned_on: `class`, `caption`, or `one caption` for all. rendering: how the pictures were read, as `run.json`
    has it. distilled: why the model is taken for a few-step student, if it is. listed: when the lists of pictures were
    settled, and what earlier runs had scored of them, as `run.json` has it. learnt: the reprs of attacks that learnt
    from pictures of which it was known whether they are members.
    size: (height, width) of the model's pictures in pixels.
    added: repr -> short name of each attack that was added when the scores of the others could be seen.
    null_views: repr of an attack -> the view whose score it takes off, which makes its sign a coin.
    """

    prompts: Controls | None = None
    conditioned_on: str | None = None
    rendering: RenderingEntry | None = None
    distilled: str | None = None
    listed: ListedEntry | None = None
    learnt: frozenset[str] = frozenset()
    added: Mapping[str, str] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    null_views: Mapping[str, NullView] = field(default_factory=dict)
    on_control: Controls | None = None
    turned: Controls | None = None

    @property
    def controls(self) -> Controls:
        """All attacks of the table that are controls: they enter no correction and carry no claim."""
        return {**(self.prompts or {}), **(self.on_control or {}), **(self.turned or {})}


UNKNOWN = Circumstances()
