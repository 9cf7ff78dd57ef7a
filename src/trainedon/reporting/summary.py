"""What the first printed page holds: the claim, what it rests on, three pictures, the controls and the digests."""

from __future__ import annotations

from dataclasses import dataclass

from trainedon import run_files
from trainedon.evidence import Audit
from trainedon.redact import clean
from trainedon.reporting.cards import Card, Cards
from trainedon.reporting.figures import Figure
from trainedon.reporting.readings import readings
from trainedon.reporting.run_folder import RunFolder

TAKEN = (
    "It rests on the word of whoever ran this for which pictures the model was trained on, and on nothing but training "
    "setting these apart from the unseen pictures."
)
SHOWN = 3  # pictures
SIDE = 128  # pixels
ROLES = ("original", "guess", "painted")  # of the pictures of a card, two at most


@dataclass(frozen=True)
class Best:
    """One of the pictures with the highest scores: two figures at most."""

    card: Card
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Summary:
    """The printed first page, but for what the screen shows too."""

    rests_on: str
    best: tuple[Best, ...]
    digests: tuple[tuple[str, str], ...]


def summary(run: RunFolder, cards: Cards) -> Summary:
    """Of one run. The digests are whole, so that a printed page can be compared with a folder."""
    said = dict(readings(run)).get("For a lawyer", "") if isinstance(run.document, Audit) else TAKEN
    best = tuple(Best(card, _two(card)) for card in cards.best(SHOWN, SIDE))
    return Summary(said, best, _digests(run))


def _two(card: Card) -> tuple[Figure, ...]:
    by_role = card.by_role
    return tuple(by_role[role] for role in ROLES if role in by_role)[:2]


def _digests(run: RunFolder) -> tuple[tuple[str, str], ...]:
    record = run.record
    named: list[tuple[str, str | None]] = [
        ("model", record.model.digest),
        *record.identity.pictures.items(),
        (run_files.SCORES, record.files.get(run_files.SCORES)),
    ]
    drawn = run.document.randomised
    twins = run.document.twins if isinstance(run.document, Audit) else None
    named += [("commitment", one.commitment) for one in (drawn, twins) if one is not None]
    return tuple((name, clean(digest.removeprefix("sha256:"))) for name, digest in named if digest)
