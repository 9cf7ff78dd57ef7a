"""Do audits of pictures that no model was trained on reach claim level 3, and do audits of training pictures?

    python -m benchmarks.nulls UNSEEN --target NAME MODEL MEMBERS [--target ...] [--control MODEL] --out FOLDER

From one folder of pictures that no model here has seen, suspects and unseen ones are drawn; one side is changed a
little, so that the two differ in a way that has nothing to do with training. Besides, members are drawn as suspects, or
as half of them, and nothing is changed. Each draw is a whole audit, from pictures, scores and controls to a claim.
Scores and facts of each picture are computed once and kept in FOLDER; the same command goes on there. The draws of a
row share their pictures, so that a row is worth far less than so many experiments.

--page: write the table between the markers in that file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from scipy.stats import mannwhitneyu

from benchmarks.shifts import compressed, saved
from trainedon.attacks import Attack, parse_attacks
from trainedon.attacks.wrappers.on_control import on_control
from trainedon.attacks.wrappers.turned import turned
from trainedon.errors import UserError
from trainedon.evidence import STANDARD_2, Circumstances, FeatureTable, Scores, audit_table, read_features
from trainedon.evidence.protocol.claims import LEVEL
from trainedon.files import write_json, write_text
from trainedon.formats.run_record import ControlEntry
from trainedon.pictures import Entry, Item, scan, take_inventory
from trainedon.runs.features import write_features
from trainedon.runs.scoring.scorer import read_batch
from trainedon.targets import ControlModel, Target, load_target

SETS = ("suspect", "unseen")
CHANGED, FIXED = 96, 160  # unseen pictures: those that are changed in some rows, and those that never are
REMEMBERED = 64  # members
BEGIN, END = "<!-- nulls: begin -->", "<!-- nulls: end -->"
Change = Callable[[Image.Image, np.random.Generator], Image.Image]


def moved(image: Image.Image, right: int, down: int) -> Image.Image:
    """Moved by whole pixels, the edge repeated."""
    pixels = np.pad(np.asarray(image), ((4, 4), (4, 4), (0, 0)), mode="edge")
    return Image.fromarray(pixels[4 - down : 4 - down + image.height, 4 - right : 4 - right + image.width])


def jittered(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return moved(image, *(int(by) for by in rng.integers(-1, 2, 2)))


def levels(image: Image.Image, change: Callable[[np.ndarray], np.ndarray]) -> Image.Image:
    """The picture after a function of its levels, float64 (h, w, 3) in [0, 255]."""
    return Image.fromarray(np.clip(np.rint(change(np.asarray(image, np.float64))), 0, 255).astype(np.uint8))


def zoomed(image: Image.Image, share: float) -> Image.Image:
    """Cropped about the middle to a share of its sides, and resized to what it was."""
    x, y = (side * (1 - share) / 2 for side in image.size)
    box = (x, y, image.width - x, image.height - y)
    return image.resize(image.size, Image.Resampling.BICUBIC, box=box)


CHANGES: dict[str, Change] = {
    "nothing": lambda image, rng: image,
    "moved by 1 pixel": lambda image, rng: moved(image, 1, 0),
    "moved by 2 pixels": lambda image, rng: moved(image, 2, 0),
    "jittered by -1..1 pixels": jittered,
    "noise of 1 level": lambda image, rng: levels(image, lambda x: x + rng.normal(0, 1, x.shape)),
    "contrast -10 %": lambda image, rng: levels(image, lambda x: x.mean() + 0.9 * (x - x.mean())),
    "gamma 0.9": lambda image, rng: levels(image, lambda x: 255 * (x / 255) ** 0.9),
    "blur of 0.4 pixels": lambda image, rng: image.filter(ImageFilter.GaussianBlur(0.4)),
    "cropped to 97 %": lambda image, rng: zoomed(image, 0.97),
    "turned by 2 degrees": lambda image, rng: image.rotate(2, Image.Resampling.BICUBIC),
    "JPEG, quality 90": lambda image, rng: compressed(image, 90),
}


@dataclass(frozen=True)
class Pair:
    """Two sets of pictures in folders, with what an audit knows of them. sizes: how many pictures a draw takes of each
    group, which is what their names begin with."""

    name: str
    items: tuple[Item, ...]
    entries: tuple[Entry, ...]
    features: FeatureTable | None
    sizes: tuple[tuple[str, int], ...]

    def drawn(self, number: int) -> list[int]:
        """Places of the pictures of a draw."""
        rng = np.random.Generator(np.random.Philox(key=[number, 0]))
        chosen: list[int] = []
        for group, n in self.sizes:
            places = [i for i, item in enumerate(self.items) if item.picture.startswith(group)]
            chosen += sorted(rng.permutation(places)[:n].tolist())
        return chosen


def pair_of(name: str, folder: Path, groups: dict[str, tuple[str, Sequence[Path], Change, int]]) -> Pair:
    """groups: name -> the set that it stands in, its files, what is done to them, and how many a draw takes."""
    items: list[Item] = []
    entries: list[Entry] = []
    for set_name in SETS:
        for group, (there, files, change, _) in groups.items():
            for path in files if there == set_name else ():
                rng = np.random.Generator(np.random.Philox(key=[int(path.stem), 1]))
                where = folder / set_name / f"{group}-{path.stem}.png"
                where.parent.mkdir(parents=True, exist_ok=True)
                where.write_bytes(saved(change(Image.open(path).convert("RGB"), rng)))
        listed = scan(folder / set_name)
        items += take_inventory(listed, set_name)
        entries += listed
    write_features(items, entries, folder, lambda *_: None)
    sizes = tuple((f"{group}-", n) for group, (*_, n) in groups.items())
    return Pair(name, tuple(items), tuple(entries), read_features(folder / "looks.parquet"), sizes)


def pairs(unseen: Sequence[Path], members: Sequence[Path], target: str, folder: Path, m: int, n: int) -> Iterator[Pair]:
    """Every pair of sets: members, half of them, and each change on either side, one after the other."""
    some, fixed, same = unseen[:CHANGED], unseen[CHANGED : CHANGED + FIXED], CHANGES["nothing"]
    others = {"u": ("unseen", fixed, same, n)}
    yield pair_of("members", folder / f"{target} members", {"m": ("suspect", members, same, m)} | others)
    half = {"m": ("suspect", members, same, m // 2), "o": ("suspect", some, same, m - m // 2)}
    yield pair_of("members and as many others", folder / f"{target} half", half | others)
    for number, (name, change) in enumerate(CHANGES.items()):
        suspects = {"s": ("suspect", some, change, m), "u": ("unseen", fixed, same, n)}
        yield pair_of(name if name == "nothing" else f"suspects {name}", folder / f"{number} suspects", suspects)
        if name != "nothing":
            changed = {"s": ("suspect", fixed, same, m), "u": ("unseen", some, change, n)}
            yield pair_of(f"unseen {name}", folder / f"{number} unseen", changed)


class Bank:
    """Scores of one attack on one target by the digest of the picture, kept in a file."""

    def __init__(self, attack: Attack, target: Target, folder: Path) -> None:
        self._attack, self._target = attack, target
        key = hashlib.sha256(f"{target.identity.digest} {attack!r}".encode()).hexdigest()
        self._path = folder / f"{key[:16]}.json"
        self._known: dict[str, float] = json.loads(self._path.read_text()) if self._path.exists() else {}

    def of(self, pair: Pair) -> list[float]:
        """The score of each picture of a pair."""
        missing = [i for i, item in enumerate(pair.items) if item.sha256 not in self._known]
        if missing:
            batch = read_batch(self._target, *([column[i] for i in missing] for column in (pair.items, pair.entries)))
            with self._target.sharing():
                found = self._attack.score(self._target, batch).tolist()
            self._known |= zip(batch.sha256, found, strict=True)
            write_json(self._path, self._known)
        return [self._known[str(item.sha256)] for item in pair.items]


@dataclass(frozen=True)
class Side:
    """The attacks of a row, what a claim speaks of, and the controls of those attacks."""

    name: str
    lead: str
    attacks: tuple[Attack, ...]
    controls: dict[Attack, ControlEntry]

    def is_clearly_not_found(self, pair: Pair, places: Sequence[int], scores: dict[Attack, list[float]]) -> bool:
        """Whether the blind baseline need not be run, as the first of the claim's tests is far from its level."""
        if self.lead == "cdi":
            return False
        sets = [[scores[self.attacks[0]][i] for i in places if pair.items[i].set == name] for name in SETS]
        return bool(mannwhitneyu(*sets, alternative="greater").pvalue > 2 * LEVEL)

    def level(self, pair: Pair, places: Sequence[int], scores: dict[Attack, list[float]], kinds: Sequence[str]) -> int:
        """The level of the claim of one draw, with these kinds of controls besides those that always run."""
        told = {a: entry for a, entry in self.controls.items() if any(getattr(entry, kind) for kind in kinds)}
        rows = [
            {
                "picture": pair.items[i].picture,
                "set": pair.items[i].set,
                "sha256": pair.items[i].sha256,
                "attack": attack.name,
                "attack_repr": repr(attack),
                "score": scores[attack][i],
            }
            for attack in (*self.attacks, *told)
            for i in places
        ]
        named = {kind: {repr(a): e for a, e in told.items() if getattr(e, kind)} for kind in ("model", "change")}
        circumstances = Circumstances(on_control=named["model"], turned=named["change"])
        pictures = [vars(pair.items[i]) for i in places]
        table = Scores.from_rows(rows)
        document = audit_table(
            table, pictures, pair.features, lead="cdi" if self.lead == "cdi" else "first", circumstances=circumstances
        )
        return document.claim.level


KINDS: dict[str, tuple[str, ...]] = {
    "alone": (),
    "mirrored": ("change",),
    "control model": ("model",),
}


def row(side: Side, pair: Pair, scores: dict[Attack, list[float]], draws: int) -> dict[str, int]:
    """Of how many draws a difference is found, and how many reach level 3, by the kinds of controls."""
    counts = {"draws": draws, "found": 0} | dict.fromkeys(KINDS, 0)
    for number in range(draws):
        places = pair.drawn(number)
        if side.is_clearly_not_found(pair, places, scores):
            continue
        level = side.level(pair, places, scores, KINDS["alone"])
        counts["found"] += level > 1
        if level > 2:
            counts["alone"] += 1
            for name in ("mirrored", "control model"):
                counts[name] += side.level(pair, places, scores, KINDS[name]) > 2
    return counts


def sides(attacks: Sequence[Attack], control: ControlModel | None) -> list[Side]:
    """Each attack alone, and CDI of all of them."""
    everything: dict[Attack, ControlEntry] = {
        one: ControlEntry(of=repr(one.attack), change=one.symmetry) for one in turned(attacks, STANDARD_2.turned)
    }
    for one in on_control(attacks, control):
        everything[one] = ControlEntry(of=repr(one.attack), model=one.model.digest)

    def of(*some: Attack) -> dict[Attack, ControlEntry]:
        return {one: entry for one, entry in everything.items() if entry.of in map(repr, some)}

    each = [Side(attack.spelled(), "first", (attack,), of(attack)) for attack in attacks]
    return [*each, Side("cdi", "cdi", tuple(attacks), of(*attacks))] if len(attacks) > 1 else each


def table(rows: dict[str, dict[str, int]], m: int, n: int) -> str:
    """The rows as Markdown. A row's key: target, attack and pair, joined by bars."""
    heads = ("target", "attack", f"{m} suspects, {n} unseen", "found", *KINDS)
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for key, counts in rows.items():
        shares = [f"{counts[name]} of {counts['draws']}" for name in ("found", *KINDS)]
        lines.append(f"| {' | '.join([*key.split('|'), *shares])} |")
    return "\n".join(lines)


def put(text: str, page: Path) -> None:
    """Replace what stands between the marks. Raises UserError for a page without them."""
    before, begin, rest = page.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"{page} has no lines {BEGIN} and {END} to write between: add them")
    write_text(page, f"{before}{begin}\n{text}\n{end}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("unseen", type=Path, help=f"a folder of at least {CHANGED + FIXED} PNG pictures, all numbered")
    parser.add_argument("--target", nargs=3, action="append", metavar=("NAME", "MODEL", "MEMBERS"), required=True)
    parser.add_argument("--control")
    parser.add_argument("--attacks", default="drc-fast, loss(t=100), pia, pian, sima")
    parser.add_argument("--suspects", type=int, default=40)
    parser.add_argument("--others", type=int, default=90, help="unseen pictures of a draw")
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--page", type=Path)
    given = parser.parse_args()
    done = given.out / "rows.json"
    rows: dict[str, dict[str, int]] = json.loads(done.read_text()) if done.exists() else {}
    control = None if given.control is None else ControlModel.open(given.control)
    unseen = sorted(given.unseen.glob("*.png"))
    for name, model, members in given.target:
        target = load_target(model)
        attacks = parse_attacks(given.attacks, seed=0)
        known = sorted(Path(members).glob("*.png"))[:REMEMBERED]
        for pair in pairs(unseen, known, name, given.out / "pictures", given.suspects, given.others):
            for side in sides(attacks, control):
                key = f"{name}|{side.name}|{pair.name}"
                if key not in rows:
                    scores = {a: Bank(a, target, given.out).of(pair) for a in (*side.attacks, *side.controls)}
                    rows[key] = row(side, pair, scores, given.draws)
                    write_json(done, rows)
                    print(key, rows[key], flush=True)  # noqa: T201 (a command of its own)
    text = table(rows, given.suspects, given.others)
    print(text)  # noqa: T201
    if given.page is not None:
        put(text, given.page)


if __name__ == "__main__":
    main()
