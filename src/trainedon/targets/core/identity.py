"""What a run records of its model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OwnCode:
    """That a model was opened by code of the auditor's own. asked: how the network is told of pictures, noise and time.
    hashed: whether its digest is one of weights. source: `module:callable`, where the command line was given one. code:
    sha256 of that module's file."""

    asked: str | None = None
    hashed: bool = True
    source: str | None = None
    code: str | None = None


@dataclass(frozen=True)
class Identity:
    """What a run records of its model. digest: sha256 of the files that decide its answers. distilled: why it is taken
    for a few-step student of another, if it is. own_code: of a network that somebody brought along."""

    name: str
    digest: str
    family: str
    parameters: int
    notes: tuple[str, ...] = ()
    distilled: str | None = None
    own_code: OwnCode | None = None
