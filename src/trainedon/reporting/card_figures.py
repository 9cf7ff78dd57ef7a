"""The evidence pictures of one card: which are shown, in which order, and what each is called."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from trainedon.reporting import mirror_words, words
from trainedon.reporting.figures import Figure, figure, load, tinted
from trainedon.reporting.run_folder import Restored

MOST_RESTORATIONS = 4
MOST_REGIONS = 6
GUESSED: dict[str | None, str] = {
    "mirror": "Guess in the mirror",
    "upside-down": "Guess upside down",
    "half-turn": "Guess half-turned",
    "red-blue": "Guess in other colours",
}
PAINTED = "what the model painted back"
TURNED_BACK = f"{PAINTED} of another view of it, turned back"


@dataclass(frozen=True)
class Wanted:
    """A picture that a card is to show. role: what it is, such as `original`. file: None where there is none."""

    role: str
    file: Path | None
    caption: str
    alt: str


def shown(kept: Restored) -> list[tuple[Path | None, Path]]:
    """Restorations to show, each with what the model was given if that was not the first region's: where several
    regions were hidden in turn, the first restoration of each."""
    if not kept.others:
        return [(None, path) for path in kept.restorations[:MOST_RESTORATIONS]]
    each = len(kept.restorations) // (1 + len(kept.others))  # restorations a region
    first = kept.restorations[:: max(1, each)]
    return list(zip((None, *kept.others), first))[:MOST_REGIONS]


def how_many(kept: Restored, view: str | None) -> int:
    """At most so many pictures are shown of one."""
    restored = sum(1 + (given is not None) for given, _ in shown(kept))
    return 4 + 2 * (view is not None) + 3 * kept.has_guesses + (kept.view_painted is not None) + restored


def figures_of(kept: Restored, name: str, side: int, view: str | None) -> tuple[Figure, ...]:
    """The figures of one picture, none wider or higher than `side` pixels; none where the original cannot be read.

    view: the view of itself that the picture is compared with, where it is.
    """
    original = load(kept.original)
    if original is None:
        return ()
    label = words.shorten(name, 48)
    made = []
    for one in wanted(kept, view):
        image = _image(one, original)
        if image is not None and one.file is not None:
            place = "/".join(one.file.parts[-3:])
            made.append(figure(image, one.caption, f"{label}: {one.alt}", side, one.role, place))
    return tuple(made)


def _image(one: Wanted, original: Image.Image) -> Image.Image | None:
    if one.role == "original":
        return original
    image = load(one.file) if one.file else None
    return tinted(original, image) if one.role == "hidden" and image else image


def wanted(kept: Restored, view: str | None) -> list[Wanted]:
    """What is to be shown, in order."""
    result = [Wanted("original", kept.original, "Original", "the original picture")]
    if kept.has_guesses:
        result += _guesses(kept, view)
    by_view = view is not None and kept.view is not None and kept.view_restored is not None
    if not (kept.others or by_view or (kept.has_guesses and view is None)):
        result.append(Wanted("hidden", kept.region, "Hidden part", "the part that was hidden, in colour"))
    given = "Mosaic" if kept.mosaic else "Degraded"
    result.append(Wanted("degraded", kept.degraded, given, "what the model was given"))
    differ = Wanted(
        "difference", kept.difference, "Where they differ", "where the restoration departs from the original"
    )
    differs = [] if kept.has_guesses and view is not None else [differ]
    if kept.others:  # pairs in rows of four: what was given, and what came back
        first, *others = shown(kept)
        result += [Wanted("painted", first[1], "Painted back 1", PAINTED), *differs, *_further(others)]
    else:
        result += [*_painted(kept), Wanted("view-again", kept.view_painted, "Painted in another view", TURNED_BACK)]
    if by_view:
        result += _of_view(kept, str(view))
    return result if kept.others else [*result, *differs]


def _painted(kept: Restored) -> list[Wanted]:
    several = len(shown(kept)) > 1
    return [
        Wanted("painted" if i == 1 else "again", path, f"Painted back {i}" if several else "Painted back", PAINTED)
        for i, (_, path) in enumerate(shown(kept), start=1)
    ]


def _further(others: list[tuple[Path | None, Path]]) -> list[Wanted]:
    """Of the second region and those after it."""
    given = "what the model was given when another part was hidden"
    return [
        one
        for i, (degraded, path) in enumerate(others, start=2)
        for one in (
            Wanted("given", degraded, f"Degraded {i}", given),
            Wanted("further", path, f"Painted back {i}", PAINTED),
        )
    ]


def _of_view(kept: Restored, view: str) -> list[Wanted]:
    image = mirror_words.VIEW[view]
    return [
        Wanted("view", kept.view, image.capitalize(), f"the {image}"),
        Wanted("view-painted", kept.view_restored, "Painted back there", f"{PAINTED} of its {image}"),
    ]


def _guesses(kept: Restored, view: str | None) -> list[Wanted]:
    """What the model makes of the noised picture, and of its view, and where it is nearer to the original."""
    image = "another view of it" if view is None else f"its {mirror_words.VIEW[view]}"
    made = "what the model makes of"
    return [
        Wanted("guess", kept.guess, "The model’s guess", f"{made} it, noised or faded"),
        Wanted(
            "view-guess",
            kept.view_guess,
            GUESSED.get(view, "Guess in another view"),
            f"{made} {image}, noised or faded, turned back",
        ),
        Wanted("map", kept.map, "Where it guesses better", "orange where the first guess is nearer to the original"),
    ]
