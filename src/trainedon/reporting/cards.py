"""Which pictures the page shows, and what it says about each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup
from PIL import Image

from trainedon import run_files
from trainedon.evidence import Audit
from trainedon.evidence.protocol.documents import PictureEvidence
from trainedon.reporting import mirror_words, words
from trainedon.reporting.charts import Strip
from trainedon.reporting.figures import LARGEST, Figure, figure, load, longest_side, tinted
from trainedon.reporting.run_folder import Restored, RunFolder
from trainedon.reporting.twins_section import twins_standing

TOP = 24  # the strongest of a set
SAMPLE = 12  # of the rest of that set, by digest
OPEN = 8  # shown without unfolding
MOST_RESTORATIONS = 4
MOST_REGIONS = 6
# Title, note, rows that are open, rows that are folded, and what stands on the fold.
Choice = tuple[str, str, np.ndarray, np.ndarray, str]
GUESSED: dict[str | None, str] = {
    "mirror": "Guess in the mirror",
    "upside-down": "Guess upside down",
    "half-turn": "Guess half-turned",
}
STANDS_OUT, DOES_NOT, NO_VERDICT = "Stands out", "Does not stand out", "No verdict"


@dataclass(frozen=True)
class Card:
    """One picture of the page with everything that is said about it."""

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
        self.findings = self._findings()

    def groups(self) -> list[CardGroup]:
        """The groups of the page, strongest first, then the fair samples."""
        side = longest_side(sum(self._pictures(row) for row in self._shown_rows()))
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
            for entry in (self.audit.pictures if self.audit else ())
            if self.run.truth is not None or entry.picture in names
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
        if self.audit is None or self.attack.set(row) != "suspect":
            return None
        finding = self.finding(row)
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
            figures=self._figures(kept, name, side) if kept else (),
            ahead=kept.ahead if kept and kept.has_guesses else None,
            more=len(kept.restorations) - len(self._shown(kept)) if kept else 0,
            note="; ".join(filter(None, (kept.note if kept else "", _near(finding)))),
            strip=self.strip.mark(score, sentence, not unseen),
        )

    @staticmethod
    def _shown(kept: Restored) -> list[tuple[Path | None, Path]]:
        """Restorations to show, each with what the model was given if that was not the first region's: where several
        regions were hidden in turn, the first restoration of each."""
        if not kept.others:
            return [(None, path) for path in kept.restorations[:MOST_RESTORATIONS]]
        each = len(kept.restorations) // (1 + len(kept.others))  # restorations a region
        first = kept.restorations[:: max(1, each)]
        return list(zip((None, *kept.others), first))[:MOST_REGIONS]

    def _pictures(self, row: int) -> int:
        kept = self.kept.get(row)
        return (
            4
            + 2 * (self.view is not None)
            + 3 * kept.has_guesses
            + sum(1 + (given is not None) for given, _ in self._shown(kept))
            if kept
            else 0
        )

    def _guesses(self, guess: Path, view_guess: Path, ahead: Path) -> list[tuple[Image.Image | None, str, str]]:
        """What the model makes of the noised picture, and of its view, and where it is nearer to the original."""
        image = "another view of it" if self.view is None else f"its {mirror_words.VIEW[self.view]}"
        return [
            (load(guess), "The model’s guess", "what the model makes of it, noised or faded"),
            (
                load(view_guess),
                GUESSED.get(self.view, "Guess in another view"),
                f"what the model makes of {image}, noised or faded, turned back",
            ),
            (load(ahead), "Where it guesses better", "orange where the first guess is nearer to the original"),
        ]

    def _figures(self, kept: Restored, name: str, side: int) -> tuple[Figure, ...]:
        original = load(kept.original)
        if original is None:
            return ()
        given = (load(kept.degraded) if kept.degraded else None, "Degraded", "what the model was given")
        difference = load(kept.difference) if kept.difference else None
        differ = (difference, "Where they differ", "where the restoration departs from the original")
        shown = self._shown(kept)
        painted = "what the model painted back"
        wanted: list[tuple[Image.Image | None, str, str]] = [(original, "Original", "the original picture")]
        if kept.others:  # pairs in rows of four: what was given, and what came back
            wanted += [given, (load(shown[0][1]), "Painted back 1", painted), differ]
            for i, (other, path) in enumerate(shown[1:], start=2):
                wanted.append(
                    (
                        load(other) if other else None,
                        f"Degraded {i}",
                        "what the model was given when another part was hidden",
                    )
                )
                wanted.append((load(path), f"Painted back {i}", painted))
        else:
            region = load(kept.region) if kept.region else None
            hidden = tinted(original, region) if region else None
            wanted += [(hidden, "Hidden part", "the part that was hidden, in colour"), given]
            for i, (_, path) in enumerate(shown, start=1):
                wanted.append((load(path), f"Painted back {i}" if len(shown) > 1 else "Painted back", painted))
            wanted.append(differ)
        if self.view is not None and kept.view and kept.view_restored:
            image = mirror_words.VIEW[self.view]
            wanted = [(pic, caption, alt) for pic, caption, alt in wanted if caption != "Hidden part"]
            wanted.insert(-1, (load(kept.view), image.capitalize(), f"the {image}"))
            wanted.insert(-1, (load(kept.view_restored), "Painted back there", f"{painted} of its {image}"))
        if kept.guess and kept.view_guess and kept.map:  # all of `has_guesses`, told one by one for types
            wanted = [one for one in wanted if one[1] != ("Hidden part" if self.view is None else differ[1])]
            wanted[1:1] = self._guesses(kept.guess, kept.view_guess, kept.map)
        label = words.shorten(name, 48)
        return tuple(figure(image, caption, f"{label}: {alt}", side) for image, caption, alt in wanted if image)


def _near(finding: PictureEvidence | None) -> str:
    """Why a suspect has a score and no p-value."""
    if finding is None or not finding.near:
        return ""
    return f"{words.shorten(finding.near)} looks like it and counts in its place"
