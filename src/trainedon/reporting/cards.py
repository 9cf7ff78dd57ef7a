"""Which pictures the page shows, and what it says about each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from trainedon import run_files
from trainedon.evidence import Audit
from trainedon.evidence.protocol.documents import PictureEvidence
from trainedon.evidence.table.rows import Row
from trainedon.redact import clean
from trainedon.reporting import mirror_words, words
from trainedon.reporting.card_figures import figures_of, how_many, shown
from trainedon.reporting.charts import Strip
from trainedon.reporting.figures import LARGEST, Figure, longest_side
from trainedon.reporting.picture_rows import MOST_ROWS, EveryPicture, PictureRow, anchors, captions_of, in_order
from trainedon.reporting.run_folder import Restored, RunFolder
from trainedon.reporting.twins_section import twins_standing

TOP = 24  # the strongest of a set
SAMPLE = 12  # of the rest of that set, by digest
OPEN = 8  # shown without unfolding
# Title, note, rows that are open, rows that are folded, and what stands on the fold.
Choice = tuple[str, str, np.ndarray, np.ndarray, str]
STANDS_OUT, DOES_NOT, NO_VERDICT = "Stands out", "Does not stand out", "No verdict"


@dataclass(frozen=True)
class Card:
    """One picture of the page with everything that is said about it. anchor: by which an address leads to it."""

    anchor: str
    name: str
    set: str
    rank: int
    of: int
    score: float
    sentence: str
    p_value: float | None
    q_value: float | None
    verdict: str | None
    truth: bool | None
    figures: tuple[Figure, ...]
    ahead: float | None  # the share of its area that the model guesses better than in its other views
    more: int  # restorations that were kept but are not shown
    note: str
    strip: Markup

    @property
    def by_role(self) -> dict[str, Figure]:
        """Its pictures by what they are; of several of one kind the first."""
        return {figure.role: figure for figure in reversed(self.figures)}

    @property
    def revealed(self) -> str:
        """How the verdict compares with the truth, where both are known."""
        if self.truth is None or self.verdict not in (STANDS_OUT, DOES_NOT):
            return ""
        if self.truth:
            return "recognised" if self.verdict == STANDS_OUT else "missed"
        return "false alarm" if self.verdict == STANDS_OUT else "rightly passed over"


@dataclass(frozen=True)
class CardGroup:
    """Cards under one heading: `cards` are open, `folded` are behind a line that the reader opens."""

    title: str
    note: str
    cards: tuple[Card, ...]
    folded: tuple[Card, ...] = ()
    label: str = ""


class Cards:
    """Builds the cards of a run. The first attack of the document leads: its scores, ranks and p-values are shown."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.attack = run.attacks[0]
        self.audit = run.document if isinstance(run.document, Audit) else None
        mirror = self.audit.mirror if self.audit and self.audit.by_mirror else None
        self.view = mirror.view if mirror else None
        self.strip = Strip(self.attack.unseen, self.attack.of(run.asked), zero=self.view is not None)
        self.kept = self._kept()
        self.choices = self._choices()
        self.order = in_order(run)
        every = dict.fromkeys([*sorted(self._shown_rows()), *self._example_rows(), *self.order.tolist()])
        self.anchors = anchors(self.attack, np.array([*every], dtype=int))
        self.findings = self._findings()

    def groups(self) -> list[CardGroup]:
        """The groups of the page, strongest first, then the fair samples."""
        side = longest_side(sum(how_many(self.kept[row], self.view) for row in self._shown_rows() if row in self.kept))
        return [
            CardGroup(title, note, self._cards(rows, side), self._cards(folded, side), label)
            for title, note, rows, folded, label in self.choices
        ]

    def _choices(self) -> list[Choice]:
        """What each group shows."""
        if self.run.kind == "audit":
            choices = [*self._asked("suspect"), *self._reference()]
        else:
            choices = [*self._asked("member"), *self._asked("unseen")]
        return [choice for choice in choices if len(choice[2]) or len(choice[3])]

    def _shown_rows(self) -> set[int]:
        return {int(row) for choice in self.choices for row in (*choice[2], *choice[3])}

    def _kept(self) -> dict[int, Restored]:
        """The evidence pictures that the run kept, by row."""
        folders = {path.name for path in (self.run.path / run_files.RESTORED).glob("*")}
        scored = np.isfinite(self.attack.scores)
        return {
            row: kept
            for row, digest in enumerate(self.attack.digests())
            if digest and digest[:16] in folders and scored[row] and (kept := self.run.restored(digest))
        }

    def _findings(self) -> dict[tuple[str, str | None], PictureEvidence]:
        """(picture, digest) -> the entry of audit.json, of the pictures that are shown. Where the truth is known all
        verdicts are counted."""
        names = {self.attack.picture(row) for row in {*self._shown_rows(), *self._example_rows()}}
        return {
            (entry.picture, entry.sha256): entry
            for place, entry in enumerate(self.audit.pictures if self.audit else ())  # the highest score first
            if self.run.truth is not None or place < MOST_ROWS or entry.picture in names
        }

    @property
    def level(self) -> float | None:
        """Of the Benjamini-Hochberg verdicts; None in an evaluation, which gives none."""
        return self.audit.false_discovery_rate if self.audit else None

    @property
    def has_verdicts(self) -> bool:
        """Whether any suspect has a q-value, on which a verdict rests."""
        return self.audit is not None and any(entry.q_value is not None for entry in self.audit.pictures)

    def verdict(self, row: int) -> str | None:
        """The verdict of one suspect: named by Benjamini-Hochberg, or not. None where the run gives no verdicts."""
        return self._verdict(self.attack.set(row), self.finding(row))

    def _verdict(self, set_name: str, finding: PictureEvidence | None) -> str | None:
        if self.audit is None or set_name != "suspect":
            return None
        if finding is None or finding.q_value is None:
            return NO_VERDICT if self.run.truth is not None else None
        return STANDS_OUT if finding.q_value <= self.audit.false_discovery_rate else DOES_NOT

    def finding(self, row: int) -> PictureEvidence | None:
        """The entry of audit.json about one row of the scores, where there is one."""
        return self.findings.get((self.attack.picture(row), self.attack.sha256(row)))

    def truth(self, row: int) -> bool | None:
        """Whether the model was trained on the suspect, where the demo knows."""
        if self.run.truth is None or self.attack.set(row) != "suspect":
            return None
        return self.run.truth.get(self.attack.picture(row))

    def truth_table(self) -> list[tuple[str, int, int]] | None:
        """(verdict, how many trained on, how many never seen) over all suspects, or None without truth."""
        if self.run.truth is None:
            return None
        pairs = [(self.verdict(row), self.truth(row)) for row in self.attack.rows("suspect")]
        rows = [(v, pairs.count((v, True)), pairs.count((v, False))) for v in (STANDS_OUT, DOES_NOT, NO_VERDICT)]
        return [row for row in rows if row[0] != NO_VERDICT or row[1] or row[2]]

    def example(self) -> tuple[Card, Markup] | None:
        """The strongest picture of the asked set that has evidence pictures, large, and its score explained."""
        for row in self._example_rows():
            card = self._card(row, LARGEST)
            return card, self.strip.square(card.score, card.sentence)
        return None

    def best(self, n: int, side: int) -> list[Card]:
        """The `n` strongest pictures of the asked set, with evidence pictures where there are any."""
        return [self._card(row, side) for row in self._strongest(self.run.asked)[:n].tolist()]

    def _example_rows(self) -> list[int]:
        return [row for row in self._strongest(self.run.asked).tolist() if row in self.kept][:1]

    def _strongest(self, set_name: str) -> np.ndarray:
        rows = self.attack.rows(set_name)
        return rows[np.lexsort((self.attack.by_name(rows), -self.attack.scores[rows]))]

    def _sample(self, rows: np.ndarray) -> np.ndarray:
        """The first by digest, which nobody chose, the highest score first. The run keeps the same ones' evidence."""
        chosen = rows[np.lexsort((self.attack.by_name(rows), self.attack.by_digest(rows)))][:SAMPLE]
        return chosen[np.argsort(-self.attack.scores[chosen], kind="stable")]

    def _asked(self, set_name: str) -> list[Choice]:
        rows = self._strongest(set_name)
        top, rest = rows[:TOP], rows[TOP:]
        what, n = words.SETS[set_name], words.count(len(rows))
        note = f"All {n}, the highest score first." if not len(rest) else f"The {TOP} highest scores of {n}."
        title = f"The {what}, strongest first"
        choices = [(title, note, top[:OPEN], top[OPEN:], f"The next {len(top) - OPEN} {what}")]
        if len(rest):
            sample = self._sample(rest)
            note = f"{len(sample)} of the other {words.count(len(rest))}, picked by digest, so that nobody chose them."
            choices.append(
                (f"A fair sample of the other {what}", note, rows[:0], sample, f"Show these {len(sample)} {what}")
            )
        return choices

    def _reference(self) -> list[Choice]:
        rows = self._strongest("unseen")
        if not len(rows):
            return []
        sample = self._sample(rows)
        half = OPEN // 2
        note = (
            f"{len(sample)} of {words.count(len(rows))}, picked by digest, so that nobody chose them. "
            "This is how the model treats pictures that it was not trained on."
        )
        called = words.SETS["unseen"] if self.view is None else "reference pictures"
        label = f"{len(sample) - half} more {called}"
        return [(f"{called.capitalize()}, for comparison", note, sample[:half], sample[half:], label)]

    def table(self) -> EveryPicture:
        """Every picture as a row, shown as a card or not."""
        found = self.attack.decoded(self.order)
        called = captions_of(self.run, {(row.set, row.picture) for row in found})
        shown, beyond = self._shown_rows(), len(self.attack.scores) - len(self.order)
        rows = (self._row(at, row, at in shown, called) for at, row in zip(self.order.tolist(), found))
        return EveryPicture(tuple(rows), beyond)

    def _row(self, at: int, row: Row, is_card: bool, called: Mapping[tuple[str, str], str]) -> PictureRow:
        finding = self.findings.get((row.picture, row.sha256)) if row.set == "suspect" else None
        score = float(self.attack.scores[at])
        why = row.reason or (row.near and f"near-duplicate of {row.near}") or "no reason recorded"
        kept, truth = self.kept.get(at), self.run.truth if row.set == "suspect" else None
        return PictureRow(
            anchor=self.anchors[at],
            card=is_card,
            name=row.picture,
            caption=called.get((row.set, row.picture), ""),
            set=words.called(row.set, by_view=self.view is not None),
            score=score if math.isfinite(score) else None,
            p_value=finding.p_value if finding else None,
            q_value=finding.q_value if finding else None,
            verdict=(self._verdict(row.set, finding) or "") if math.isfinite(score) else f"Not scored: {why}",
            place="/".join(kept.original.parts[-3:]) if kept else "",
            truth=None if truth is None else truth.get(row.picture),
        )

    def _cards(self, rows: np.ndarray, side: int) -> tuple[Card, ...]:
        return tuple(self._card(int(row), side) for row in rows)

    def _card(self, row: int, side: int) -> Card:
        attack, score = self.attack, float(self.attack.scores[row])
        name, set_name = attack.picture(row), attack.set(row)
        peers = attack.of(set_name)
        unseen = set_name == "unseen"
        below = int(np.searchsorted(attack.unseen, score, side="left"))
        sentence = words.standing(attack.restores, below, len(attack.unseen) - unseen, unseen)
        if self.view is not None:
            sentence = mirror_words.standing(attack.restores, self.view, score)
        finding = self.finding(row) if set_name == "suspect" else None
        if self.audit is not None and self.audit.twins is not None:
            sentence = twins_standing(self.audit.twins, finding.p_value if finding else None)
        kept = self.kept.get(row)
        return Card(
            anchor=self.anchors[row],
            name=name,
            set=set_name,
            rank=len(peers) - int(np.searchsorted(peers, score, side="right")) + 1,
            of=len(peers),
            score=score,
            sentence=sentence,
            p_value=finding.p_value if finding else None,
            q_value=finding.q_value if finding else None,
            verdict=self.verdict(row),
            truth=self.truth(row),
            figures=figures_of(kept, name, side, self.view) if kept else (),
            ahead=kept.ahead if kept and kept.has_guesses else None,
            more=len(kept.restorations) - len(shown(kept)) if kept else 0,
            note=Markup("; ").join(filter(None, (clean(kept.note) if kept else "", _near(finding)))),
            strip=self.strip.mark(score, sentence, not unseen),
        )


def _near(finding: PictureEvidence | None) -> str:
    """Why a suspect has a score and no p-value."""
    if finding is None or not finding.near:
        return ""
    return Markup("{} looks like it and counts in its place").format(words.named(finding.near))
