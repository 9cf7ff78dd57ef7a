"""Do audits of pictures that no model was trained on reach claim level 3, and do audits of training pictures?

    python -m benchmarks.nulls UNSEEN --target NAME MODEL MEMBERS [--target ...] [--control MODEL] --out FOLDER

UNSEEN, MEMBERS: folders of square pictures of twice the model's side, named by numbers. They are brought to that side;
one set is changed a little on the way, so that the two differ in a way that has nothing to do with training. Besides,
members are drawn as suspects, or as half of them, and nothing is changed. Each draw is a whole audit, from pictures,
scores and controls to a claim. What the controls need of the model is only made where a finding got past the blind
baseline. Scores and facts of each picture are computed once and kept in FOLDER; the same command goes on there.

Draws divide the same pictures anew each time: a share of draws is that of these pictures, and its interval says how
well the draws tell it, not how it would vary with other pictures.

--page: write the tables between the markers in that file.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter
from scipy.stats import mannwhitneyu, rankdata

from benchmarks.marks import write_between
from benchmarks.shifts import compressed, mapped, saved
from trainedon.attacks import Attack, parse_attacks
from trainedon.attacks.wrappers.on_control import OnControl, on_control
from trainedon.attacks.wrappers.turned import Turned, turned
from trainedon.evidence import (
    STANDARD_2,
    Circumstances,
    FeatureTable,
    Scores,
    audit_table,
    clopper_pearson,
    read_features,
)
from trainedon.evidence.protocol import blind
from trainedon.evidence.protocol.claims import FOUND
from trainedon.evidence.protocol.obstacles import of_blind, of_power
from trainedon.files import write_json
from trainedon.formats.run_record import ControlEntry
from trainedon.pictures import Entry, Item, scan, take_inventory
from trainedon.runs.features import write_features
from trainedon.runs.scoring.scorer import read_batch
from trainedon.targets import ControlModel, Target, load_target

SETS = ("suspect", "unseen")
BEGIN, END = "<!-- nulls: begin -->", "<!-- nulls: end -->"
TIMES = 2  # sides of the pictures that are given, in those of the model
FAR = 0.05  # p-value of each attack, and of all together, above which no test is below 0.01
MARGIN = 4  # pixels of the model by which a picture can be moved
BICUBIC, LANCZOS = Image.Resampling.BICUBIC, Image.Resampling.LANCZOS
Change = Callable[[Image.Image, np.random.Generator], Image.Image]


def smaller(image: Image.Image, larger: float = 1, resample: Image.Resampling = LANCZOS) -> Image.Image:
    """The picture at the model's side, enlarged about its middle and cropped."""
    cut = image.width * (1 - 1 / larger) / 2
    side = image.width // TIMES
    return image.resize((side, side), resample, box=(cut, cut, image.width - cut, image.height - cut))


def moved(image: Image.Image, right: int, down: int) -> Image.Image:
    """Cut so many pixels of the result off; what lies beyond the border is its mirror image."""
    far = TIMES * MARGIN
    x, y = far + TIMES * right, far + TIMES * down
    wide = np.pad(np.asarray(image), ((far, far), (far, far), (0, 0)), mode="symmetric")
    return smaller(Image.fromarray(wide[y : y + image.height, x : x + image.width]))


def cut(image: Image.Image, right: float, down: float = 0, larger: float = 1) -> Image.Image:
    """The same by parts of a pixel, and enlarged about the middle."""
    far = TIMES * MARGIN
    wide = Image.fromarray(np.pad(np.asarray(image), ((far, far), (far, far), (0, 0)), mode="symmetric"))
    x, y, reach = wide.width / 2 + TIMES * right, wide.height / 2 + TIMES * down, image.width / 2 / larger
    side = image.width // TIMES
    return wide.resize((side, side), LANCZOS, box=(x - reach, y - reach, x + reach, y + reach))


def halved_colours(image: Image.Image) -> Image.Image:
    """The picture after a round of JPEG that keeps a quarter of the colours' pixels."""
    return Image.open(io.BytesIO(saved(image, "JPEG", quality=97, subsampling=2))).convert("RGB")


def in_linear_light(image: Image.Image) -> Image.Image:
    """Resized as light adds up, and not as the levels of sRGB do."""
    x = np.asarray(image, dtype=np.float32) / 255
    light = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4).astype(np.float32)
    side = (image.width // TIMES, image.height // TIMES)
    small = np.stack([np.asarray(Image.fromarray(light[..., k]).resize(side, LANCZOS)) for k in range(3)], axis=-1)
    small = np.clip(small, 0, 1)
    levels = np.where(small <= 0.0031308, 12.92 * small, 1.055 * small ** (1 / 2.4) - 0.055)
    return Image.fromarray(np.rint(255 * levels).astype(np.uint8))


def rotated(image: Image.Image, degrees: float) -> Image.Image:
    """Turned about its middle; what lies beyond the border is its mirror image."""
    far = TIMES * MARGIN
    wide = np.pad(np.asarray(image), ((far, far), (far, far), (0, 0)), mode="symmetric")
    whole = Image.fromarray(wide).rotate(degrees, BICUBIC)
    return smaller(whole.crop((far, far, far + image.width, far + image.height)))


CHANGES: dict[str, Change] = {
    "nothing": lambda image, rng: smaller(image),
    "moved by 2 pixels": lambda image, rng: moved(image, 2, 0),
    "jittered by -1..1 pixels": lambda image, rng: moved(image, *(int(by) for by in rng.integers(-1, 2, 2))),
    "moved by 1 pixel": lambda image, rng: moved(image, 1, 0),
    "noise of 1 level": lambda image, rng: mapped(smaller(image), lambda x: x + rng.normal(0, 1, x.shape)),
    "contrast -10 %": lambda image, rng: ImageEnhance.Contrast(smaller(image)).enhance(0.9),
    "turned by -3..3 degrees": lambda image, rng: rotated(image, rng.uniform(-3, 3)),
    "enlarged by 3 %": lambda image, rng: smaller(image, larger=1.03),
    "sharpened by 20 %": lambda image, rng: ImageEnhance.Sharpness(smaller(image)).enhance(1.2),
    "saturation -15 %": lambda image, rng: ImageEnhance.Color(smaller(image)).enhance(0.85),
    "resized bicubically": lambda image, rng: smaller(image, resample=BICUBIC),
    "mirrored": lambda image, rng: smaller(image).transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "gamma 1.1": lambda image, rng: mapped(smaller(image), lambda x: 255 * (x / 255) ** 1.1),
    "blurred by 0.3 pixels": lambda image, rng: smaller(image).filter(ImageFilter.GaussianBlur(0.3)),
    "once a JPEG of quality 75": lambda image, rng: compressed(smaller(image), 75),
    "cropped by 0 to 10 %": lambda image, rng: smaller(image, larger=1 / (1 - rng.uniform(0, 0.1))),
    # Looked at after the views of the blind baseline were settled.
    "cut 1/4 px right": lambda image, rng: cut(image, 0.25),
    "jittered by -1/2..1/2 px": lambda image, rng: cut(image, *rng.uniform(-0.5, 0.5, 2)),
    "enlarged by 1.5 %": lambda image, rng: cut(image, 0, larger=1.015),
    "turned by 2 degrees": lambda image, rng: rotated(image, 2),
    "resized by a box": lambda image, rng: smaller(image, resample=Image.Resampling.BOX),
    "resized twice": lambda image, rng: image.resize((image.width * 3 // 4,) * 2, LANCZOS).resize(
        (image.width // TIMES,) * 2, LANCZOS
    ),
    "resized in linear light": lambda image, rng: in_linear_light(image),
    "sharpened before it was resized": lambda image, rng: smaller(image.filter(ImageFilter.UnsharpMask(1, 50, 0))),
    "a JPEG of quality 75 before it was resized": lambda image, rng: smaller(compressed(image, 75)),
    "a JPEG of quality 97 with halved colours before it was resized": lambda image, rng: smaller(halved_colours(image)),
}
PLAIN = "nothing"
TRUE = ("members", "members and as many others")


@dataclass(frozen=True)
class Pool:
    """Pictures that draws are taken from, with what a run would record of them."""

    items: tuple[Item, ...]
    entries: tuple[Entry, ...]
    features: FeatureTable


def pool(files: Sequence[Path], change: Change, folder: Path) -> Pool:
    """The files, changed, in that folder."""
    where = folder / "unseen"
    where.mkdir(parents=True, exist_ok=True)
    for path in files:
        rng = np.random.Generator(np.random.Philox(key=[int(path.stem), 1]))
        (where / f"{path.stem}.png").write_bytes(saved(change(Image.open(path).convert("RGB"), rng)))
    entries = scan(where)
    items = take_inventory(entries, "unseen")
    write_features(items, entries, folder, lambda *_: None)
    features = read_features(folder / "looks.parquet")
    assert features is not None  # it was just written
    return Pool(tuple(items), tuple(entries), features)


@dataclass(frozen=True)
class Case:
    """One draw: from which pool and places pictures come, and in which set they stand."""

    parts: tuple[tuple[Pool, tuple[int, ...], str], ...]

    @cached_property
    def pictures(self) -> list[dict[str, Any]]:
        return [vars(replace(pool.items[i], set=name)) for pool, places, name in self.parts for i in places]

    @cached_property
    def features(self) -> FeatureTable:
        keys = [(there.items[i], there.features, name) for there, places, name in self.parts for i in places]

        def of(column: str | None) -> dict[tuple[str, str], Any]:
            return {
                (name, item.picture): (known.vectors if column is None else known.looks[column])[item.set, item.picture]
                for item, known, name in keys
            }

        first = keys[0][1]
        return FeatureTable(first.encoder, of(None), {column: of(column) for column in first.looks})

    @cached_property
    def told_apart(self) -> bool:
        """Whether the blind baseline keeps a claim from level 3."""
        return of_blind(blind.run(self.pictures, "suspect", self.features).blind) is not None


@dataclass(frozen=True)
class Design:
    """How suspects and unseen pictures are drawn. Each part: a pool, which of the pictures' order it takes, the set."""

    name: str
    parts: tuple[tuple[Pool, int, int, str], ...]

    def case(self, number: int) -> Case:
        rng = np.random.Generator(np.random.Philox(key=[number, 0]))
        orders: dict[int, list[int]] = {}
        for pool, *_ in self.parts:
            if len(pool.items) not in orders:
                orders[len(pool.items)] = rng.permutation(len(pool.items)).tolist()
        return Case(tuple((p, tuple(orders[len(p.items)][a:b]), name) for p, a, b, name in self.parts))


def designs(
    unseen: Sequence[Path], members: Sequence[Path], target: str, folder: Path, names: Sequence[str], m: int, n: int
) -> Iterator[Design]:
    """Members, half of them, and each change on either side. Pools of changed pictures hold the same pictures."""
    plain = pool(unseen, CHANGES[PLAIN], folder / PLAIN)
    known = pool(members, CHANGES[PLAIN], folder / f"members of {target}")
    others = (plain, m, m + n, "unseen")
    half = m // 2
    yield Design(TRUE[0], ((known, 0, m, "suspect"), others))
    yield Design(TRUE[1], ((known, 0, half, "suspect"), (plain, half, m, "suspect"), others))
    for name in names:
        changed = plain if name == PLAIN else pool(unseen, CHANGES[name], folder / name)
        yield Design(name if name == PLAIN else f"suspects {name}", ((changed, 0, m, "suspect"), others))
        if name != PLAIN:
            yield Design(f"unseen {name}", ((plain, 0, m, "suspect"), (changed, m, m + n, "unseen")))


@dataclass(frozen=True)
class Bank:
    """Scores on one target by attack and the digest of the picture, kept in files. attacks: those that are made
    together, because they share restorations."""

    target: Target
    folder: Path
    attacks: tuple[Attack, ...]
    known: dict[str, dict[str, float]] = field(default_factory=dict)

    def of(self, case: Case, attack: Attack) -> list[float]:
        """The score of each picture of a case."""
        known = self._read(attack)
        for there, _, _ in case.parts:
            missing = [i for i, item in enumerate(there.items) if item.sha256 not in known]
            if missing:
                self._score(there, missing, attack)
        return [known[str(picture["sha256"])] for picture in case.pictures]

    def _score(self, there: Pool, places: Sequence[int], attack: Attack) -> None:
        together = [one for one in self.attacks if _kind(one) == _kind(attack)]
        batch = read_batch(
            self.target, [there.items[i] for i in places], [there.entries[i] for i in places], views=("mirror",)
        )
        with self.target.sharing():
            for one in together if attack in together else [attack]:
                found = one.score(self.target, batch).tolist()
                self._read(one).update(zip(batch.sha256, found, strict=True))
                write_json(self._path(one), self._read(one))

    def _path(self, attack: Attack) -> Path:
        on = "" if isinstance(attack, OnControl) else self.target.identity.digest  # a control asks no target
        return self.folder / f"{hashlib.sha256(f'{on} {attack!r}'.encode()).hexdigest()[:16]}.json"

    def _read(self, attack: Attack) -> dict[str, float]:
        key = repr(attack)
        if key not in self.known:
            path = self._path(attack)
            self.known[key] = json.loads(path.read_text()) if path.exists() else {}
        return self.known[key]


def _kind(attack: Attack) -> tuple[type, str]:
    """Attacks of one kind share passes: one that is relative to the model in a mirror has made its control's too."""
    inner = attack.attack if isinstance(attack, OnControl | Turned) else attack
    apart = isinstance(attack, OnControl) or (isinstance(attack, Turned) and inner.relative_to is None)
    return type(attack) if apart else Attack, inner.name


@dataclass(frozen=True)
class Side:
    """The attacks of a row, what a claim speaks of, and the controls of those attacks."""

    name: str
    attacks: tuple[Attack, ...]
    controls: dict[Attack, ControlEntry]

    @property
    def lead(self) -> Any:
        return "first" if len(self.attacks) == 1 else "cdi"

    def finds(self, case: Case, bank: Bank) -> bool:
        """Whether the claim's own test finds a difference."""
        scores = np.array([bank.of(case, attack) for attack in self.attacks])
        suspect = np.array([picture["set"] == "suspect" for picture in case.pictures])
        ranks = rankdata(scores, axis=1)
        p_values = [
            mannwhitneyu(values[suspect], values[~suspect], alternative="greater").pvalue
            for values in (*scores, ranks.mean(axis=0))
        ]
        if min(p_values) > FAR:
            return False  # far from the level that the permutations have to reach
        return audit_table(self._table(case, bank, self.attacks), lead=self.lead).claim.level > 1

    def stopped_by(self, case: Case, bank: Bank) -> list[str]:
        """Which controls keep a finding that got past the blind baseline from level 3, by a whole audit."""
        of = {kind: {repr(a): e for a, e in self.controls.items() if getattr(e, kind)} for kind in ("model", "change")}
        table = self._table(case, bank, (*self.attacks, *self.controls))
        circumstances = Circumstances(on_control=of["model"], turned=of["change"])
        found = audit_table(table, case.pictures, case.features, lead=self.lead, circumstances=circumstances)
        mirrored = [one for one in found.sensitivity or () if one.of == found.lead]
        stops = {
            "mirrored": not mirrored or any(one.caps for one in mirrored),
            "control model": any(one.caps for one in found.control_models or () if one.of == found.lead),
            "unseen": any(attack.unseen_control.finds for attack in found.attacks),
            "too few": of_power(*(sum(p["set"] == name for p in case.pictures) for name in SETS)) is not None,
        }
        capped = stops["unseen"] or stops["too few"] or stops["control model" if of["model"] else "mirrored"]
        assert (found.claim.level < FOUND) == capped, (found.claim, stops)
        return [name for name, stopping in stops.items() if stopping]

    def _table(self, case: Case, bank: Bank, attacks: Sequence[Attack]) -> Scores:
        rows = [
            {
                "picture": picture["picture"],
                "set": picture["set"],
                "sha256": picture["sha256"],
                "attack": attack.name,
                "attack_repr": repr(attack),
                "score": score,
            }
            for attack in attacks
            for picture, score in zip(case.pictures, bank.of(case, attack), strict=True)
        ]
        return Scores.from_rows(rows)


Row = dict[str, Any]


def row(side: Side, cases: Sequence[Case], bank: Bank, few: int) -> Row:
    """What each finding among the draws was stopped by. few: up to so many findings that get past the blind baseline
    are not put to the controls that ask a model."""
    found = [case for case in cases if side.finds(case, bank)]
    past = [case for case in found if not case.told_apart]
    asked = len(past) > few
    stops = [side.stopped_by(case, bank) if asked else ["not asked"] for case in past]
    return {"draws": len(cases), "found": len(found), "past": stops}


def sides(attacks: Sequence[Attack], control: ControlModel | None, cdi: bool) -> list[Side]:
    """Each attack alone, and CDI of all of them."""
    everything: dict[Attack, ControlEntry] = {
        one: ControlEntry(of=repr(one.attack), change=one.symmetry) for one in turned(attacks, STANDARD_2.turned)
    }
    for one in on_control(attacks, control):
        everything[one] = ControlEntry(of=repr(one.attack), model=one.model.digest)

    def of(*some: Attack) -> dict[Attack, ControlEntry]:
        return {one: entry for one, entry in everything.items() if entry.of in map(repr, some)}

    each = [Side(attack.spelled(), (attack,), of(attack)) for attack in attacks]
    return [*each, Side("cdi", tuple(attacks), of(*attacks))] if cdi else each


def counts(found: Row) -> dict[str, int]:
    """How many draws found a difference, and how many reached level 3: as if no control asked a model, with mirrored
    pictures, and with a control model."""
    past = [stops for stops in found["past"] if not {"unseen", "too few"} & {*stops}]
    return {
        "found": found["found"],
        "blind baseline alone": len(past),
        "and mirrored pictures": sum("mirrored" not in stops for stops in past),
        "and a control model": sum("control model" not in stops for stops in past),
    }


def table(rows: dict[str, Row]) -> str:
    """The rows as Markdown, with exact 95 % intervals: true members, then all draws in which there is nothing to find,
    by attack, then those differences of the sets that got past the blind baseline, over targets and attacks. A row's
    key: target, attack and design, joined by bars."""
    members: dict[tuple[str, ...], list[Row]] = {}
    nothing: dict[tuple[str, ...], list[Row]] = {}
    past: dict[tuple[str, ...], list[Row]] = {}
    for key, found in rows.items():
        target, attack, design = key.split("|")
        if design in TRUE:
            members.setdefault((target, attack, design), []).append(found)
        else:
            nothing.setdefault((target, attack), []).append(found)
            past.setdefault((design,), []).append(found)
    past = {key: some for key, some in past.items() if any(found["past"] for found in some)}
    parts = [
        _part("Members among the suspects", ("target", "attack", "suspects"), members),
        _part("Nothing to be found", ("target", "attack"), nothing),
        _part("Of these, differences of the sets that got past the blind baseline", ("difference",), past),
    ]
    return "\n\n".join(part for part in parts if part)


def _part(title: str, heads: Sequence[str], groups: dict[tuple[str, ...], list[Row]]) -> str:
    if not groups:
        return ""
    columns = (*heads, "draws", *counts({"found": 0, "past": []}))
    lines = [f"{title}:", "", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for key, some in groups.items():
        whole: Row = {name: sum(found[name] for found in some) for name in ("draws", "found")}
        whole["past"] = [stops for found in some for stops in found["past"]]
        shares = []
        for hits in counts(whole).values():
            low, high = clopper_pearson(hits, whole["draws"])
            shares.append(f"{hits} ({low:.3f}-{high:.3f})")
        if ["not asked"] in whole["past"]:
            shares[-2:] = [f"at most {share}" for share in shares[-2:]]
        lines.append(f"| {' | '.join(key)} | {whole['draws']} | {' | '.join(shares)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("unseen", type=Path)
    parser.add_argument("--target", nargs=3, action="append", metavar=("NAME", "MODEL", "MEMBERS"), default=[])
    parser.add_argument("--control")
    parser.add_argument("--attacks", default="loss(t=100), pia, pian, sima")
    parser.add_argument("--cdi", action="store_true", help="all attacks together too")
    parser.add_argument("--changes", default=";".join(CHANGES), help="by name, with semicolons between")
    parser.add_argument("--skip", type=int, default=0, help="pictures of UNSEEN that are left out")
    parser.add_argument("--suspects", type=int, default=40)
    parser.add_argument("--others", type=int, default=120, help="unseen pictures of a draw")
    parser.add_argument("--pictures", type=int, default=160, help="from which a draw is taken")
    parser.add_argument("--members", type=int, default=64)
    parser.add_argument("--draws", type=int, default=60)
    parser.add_argument("--few", type=int, default=0, help="so many findings are not put to a model's controls")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--page", type=Path)
    given = parser.parse_args(arguments)
    names = [name.strip() for name in given.changes.split(";")]
    control = None if given.control is None else ControlModel.open(given.control)
    unseen = sorted(given.unseen.glob("*.png"))[given.skip :][: given.pictures]
    for name, model, members in given.target:
        attacks = tuple(parse_attacks(given.attacks, seed=0))
        wanted = sides(attacks, control, given.cdi)
        everything = tuple(one for side in wanted for one in (*side.attacks, *side.controls))
        bank = Bank(load_target(model), given.out, tuple(dict.fromkeys(everything)))
        known = sorted(Path(members).glob("*.png"))[: given.members]
        for design in designs(unseen, known, name, given.out, names, given.suspects, given.others):
            cases = [design.case(number) for number in range(given.draws)]
            for side in wanted:
                write_row(f"{name}|{side.name}|{design.name}", side, cases, bank, given.few)
    text = table(read_rows(given.out))
    print(text)  # noqa: T201 (a command of its own)
    if given.page is not None:
        write_between(given.page, BEGIN, END, f"\n{text}\n")


def read_rows(folder: Path) -> dict[str, Row]:
    """Every row that was made, in the order of targets and attacks."""
    files = [json.loads(path.read_text()) for path in sorted(folder.glob("row-*.json"))]
    order = {name: i for i, name in enumerate(TRUE)}
    rank = {name: i for i, name in enumerate(CHANGES, len(order))}
    order |= {f"{side}{name}": i for name, i in rank.items() for side in ("", "suspects ", "unseen ")}
    keyed = {one["key"]: one for one in files}

    def place(key: str) -> tuple[str, str, int]:
        target, attack, design = key.split("|")
        return target, attack, order.get(design, 0)

    return {key: keyed[key] for key in sorted(keyed, key=place)}


def write_row(key: str, side: Side, cases: Sequence[Case], bank: Bank, few: int) -> None:
    """Make a row, unless it was made."""
    path = bank.folder / f"row-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    if not path.exists():
        found = row(side, cases, bank, few)
        write_json(path, {"key": key} | found)
        print(key, counts(found), flush=True)  # noqa: T201 (a command of its own)


if __name__ == "__main__":
    main()
