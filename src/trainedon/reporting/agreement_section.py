"""Which pictures the attacks of an evaluation agree on: a table of correlations, counts, and pictures."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from trainedon import run_files
from trainedon.evidence import Evaluation
from trainedon.evidence.protocol.documents import Named, NamedBy
from trainedon.reporting import words
from trainedon.reporting.attack_table import TableEntry, ranked
from trainedon.reporting.figures import Figure, figure, load
from trainedon.reporting.run_folder import Restored, RunFolder

MOST = 12  # pictures of one list
SIDE = 96  # pixels of a thumbnail


@dataclass(frozen=True)
class Warmth:
    """One correlation: its text, its class in the style sheet (`w10` warmest to `k10` coldest), and both labels."""

    text: str
    kind: str
    title: str


@dataclass(frozen=True)
class Count:
    """How many pictures some number of attacks name: (text, bar) of the training and of the unseen pictures."""

    attacks: str
    member: tuple[str, Markup]
    unseen: tuple[str, Markup]


@dataclass(frozen=True)
class Thumb:
    """One picture of a list. figure: None where the run kept no picture of it."""

    name: str
    said: str
    figure: Figure | None


@dataclass(frozen=True)
class Listed:
    """Some pictures under one heading."""

    title: str
    note: str
    thumbs: tuple[Thumb, ...]

    @property
    def pictured(self) -> bool:
        """Whether any of them can be shown."""
        return any(thumb.figure for thumb in self.thumbs)


@dataclass(frozen=True)
class AgreementSection:
    """What the section shows. `counts` and `lists` are empty where no two attacks can name pictures."""

    entries: tuple[TableEntry, ...]
    heat: tuple[tuple[Warmth, ...], ...]
    extremes: str
    level: str
    counts: tuple[Count, ...]
    sizes: tuple[str, str]
    silent: tuple[str, ...]  # labels of attacks that have too few unseen scores to name any
    lists: tuple[Listed, ...]


def agreement(run: RunFolder) -> AgreementSection | None:
    """The section of an evaluation, or None where the document holds nothing on agreement."""
    found = run.document.agreement if isinstance(run.document, Evaluation) else None
    if found is None:
        return None
    place = {name: i for i, name in enumerate(found.attacks)}
    entries = [entry for entry in ranked(run) if entry.attack.repr in place]
    order = [place[entry.attack.repr] for entry in entries]
    matrix = [[found.spearman[i][j] for j in order] for i in order]
    named_by = found.named_by
    labels = {place[entry.attack.repr]: entry.label for entry in entries}
    return AgreementSection(
        entries=tuple(entries),
        heat=_heat(entries, matrix),
        extremes=_extremes(entries, matrix),
        level=f"1 in {words.count(round(1 / found.fpr))}" if found.fpr else "",
        counts=_counts(named_by) if named_by else (),
        sizes=(words.count(sum(named_by.member)), words.count(sum(named_by.unseen))) if named_by else ("0", "0"),
        silent=tuple(label for i, label in labels.items() if i not in found.naming),
        lists=_lists(run, found.pictures, labels, named_by.member) if named_by else (),
    )


def coefficient(value: float | None) -> str:
    """A correlation to two digits, as .87, −.05 or 1; a dash where there is none."""
    if value is None:
        return "—"
    text = f"{abs(value):.2f}"
    text = text.removeprefix("0") if text != "1.00" else "1"
    return f"−{text}" if value < 0 and text != ".00" else text


def _heat(entries: Sequence[TableEntry], matrix: Sequence[Sequence[float | None]]) -> tuple[tuple[Warmth, ...], ...]:
    return tuple(
        tuple(
            Warmth("" if i == j else coefficient(value), _kind(value, i == j), f"{one.label}, {other.label}")
            for j, (other, value) in enumerate(zip(entries, row))
        )
        for i, (one, row) in enumerate(zip(entries, matrix))
    )


def _kind(value: float | None, same: bool) -> str:
    if same or value is None:
        return "same" if same else ""
    return f"{'w' if value >= 0 else 'k'}{round(10 * abs(value))}"


def _extremes(entries: Sequence[TableEntry], matrix: Sequence[Sequence[float | None]]) -> str:
    """The two attacks that are most alike and the two that are least alike, where there are three or more."""
    pairs = [(value, i, j) for i, row in enumerate(matrix) for j, value in enumerate(row[:i]) if value is not None]
    if len(pairs) < 2:
        return ""

    def said(pair: tuple[float, int, int]) -> str:
        return f"{entries[pair[2]].label} and {entries[pair[1]].label} ({coefficient(pair[0])})"

    return f"Most alike are {said(max(pairs))}, least alike {said(min(pairs))}."


def _counts(named_by: NamedBy) -> tuple[Count, ...]:
    """A row for each number of attacks; those at the end that nobody reaches share one."""
    member, unseen = named_by.member, named_by.unseen
    last = max((k for k, pair in enumerate(zip(member, unseen)) if any(pair)), default=0)
    rows = [
        Count("none" if k == 0 else words.count(k), _share(member, k, "m"), _share(unseen, k, "u"))
        for k in range(last + 1)
    ]
    if last + 1 < len(member):
        more = words.count(last + 1) + (f" to {words.count(len(member) - 1)}" if last + 2 < len(member) else "")
        rows.append(Count(more, ("0", Markup()), ("0", Markup())))
    return tuple(rows)


def _share(counts: Sequence[int], k: int, kind: str) -> tuple[str, Markup]:
    share = counts[k] / max(1, sum(counts))
    bar = f'<rect width="{100 * share:.2f}" height="8" class="fill {kind}"/>'
    svg = f'<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">{bar}</svg>'
    return f"{words.count(counts[k])} ({words.share(share)})" if counts[k] else "0", Markup(svg if counts[k] else "")


class _Chosen:
    """The first MOST of n pictures, not all of which need be listed: most first; then those that can be shown; then by
    digest, so that nobody chose them; `first` has each beside its evidence pictures."""

    def __init__(self, n: int) -> None:
        self.n, self._met = n, 0
        self._first: list[tuple[tuple[int, bool, str, int], Named, Restored | None]] = []

    def add(self, one: Named, kept: Restored | None) -> None:
        key = (-len(one.by), kept is None, one.sha256 or "", self._met)
        bisect.insort(self._first, (key, one, kept), key=lambda entry: entry[0])
        del self._first[MOST:]
        self._met += 1

    @property
    def first(self) -> list[tuple[Named, Restored | None]]:
        return [(one, kept) for _, one, kept in self._first]


def _lists(
    run: RunFolder, pictures: Iterable[Named], labels: dict[int, str], counts: Sequence[int]
) -> tuple[Listed, ...]:
    """Training pictures that most attacks name, that one alone names, and that none names. counts: how many pictures
    exactly 0, 1, 2, ... attacks name, those that are not listed among them."""
    folders = {path.name for path in (run.path / run_files.RESTORED).glob("*")}
    attacks = len(counts) - 1
    groups = {"most": _Chosen(sum(counts[2:])), "one": _Chosen(sum(counts[1:2])), "none": _Chosen(sum(counts[:1]))}
    for one in pictures:
        kept = run.restored(one.sha256) if (one.sha256 or "")[:16] in folders else None
        groups["most" if len(one.by) > 1 else "one" if one.by else "none"].add(one, kept)

    def listed(key: str, title: str, rule: str, empty: str) -> Listed:
        n, first = groups[key].n, groups[key].first
        note = f"{words.count(len(first))} of {words.count(n)}, {rule}." if len(first) < n else ""
        if n and not first:
            note = f"{words.count(n)}, which are in scores.parquet alone."
        thumbs = tuple(_thumb(one, kept, labels, attacks) for one, kept in first)
        return Listed(title, note if n else empty, thumbs)

    fair = "those that the run kept a picture of first, then by digest, so that nobody chose them"
    return (
        listed(
            "most",
            "Training pictures named by the most attacks",
            "the most often named first",
            "None is named by more than one attack.",
        ),
        listed("one", "Training pictures named by one attack alone", fair, "None is named by exactly one attack."),
        listed("none", "Training pictures that no attack names", fair, "Every one is named by some attack."),
    )


def _thumb(one: Named, kept: Restored | None, labels: dict[int, str], attacks: int) -> Thumb:
    by = one.by
    said = f"by {words.count(len(by))} of {words.count(attacks)}" if len(by) > 1 else ""
    said = f"by {labels.get(by[0], 'an attack')}" if len(by) == 1 else said
    image = load(kept.original) if kept else None
    name = words.shorten(one.picture, 40)
    return Thumb(name, said, figure(image, said, name, SIDE) if image else None)
