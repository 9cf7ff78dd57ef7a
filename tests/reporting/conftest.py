"""A run folder as the program writes it, with pictures small enough to make thousands of."""

import copy
import hashlib
import json
import re
import shutil
from dataclasses import dataclass, field, replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from once import once
from PIL import Image
from pydantic import ValidationError

from trainedon.evidence import Audit, Evaluation, Scores, audit_table, evaluate_table, to_json
from trainedon.reporting import render

RUN = {
    "schema_version": 1,
    "status": "complete",
    "command": "trainedon audit model suspects --unseen unseen --out run",
    "started": "2025-03-01T10:00:00+00:00",
    "finished": "2025-03-01T10:01:30+00:00",
    "choices": {"seed": 0, "attacks": ["drc"], "drc": {"steps": 20, "roi": "attention"}},
    "model": {
        "name": "designs32",
        "digest": "sha256:0123456789abcdef0123",
        "family": "UNet2DModel",
        "parameters": 4_300_000,
        "shape": [3, 32, 32],
        "prediction": "epsilon",
        "timesteps": 1000,
        "conditioning": "none",
    },
    "inputs": {"suspect": {"path": "suspects", "digest": "sha256:aa", "pictures": 3}},
    "versions": {"trainedon": "0.1.0", "torch": "2.6"},
}
FLAG = {
    "code": "few-unseen",
    "raised_because": "12 unseen pictures were given, and 19 are needed.",
    "meaning": "No p-value can be smaller than 0.077.",
    "remedy": "Give more unseen pictures.",
}


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def merged(whole: object, part: object) -> object:
    """`part`, completed by what it lacks of `whole`: entries of objects by name, of lists by place."""
    if isinstance(whole, dict) and isinstance(part, dict):
        return whole | {name: merged(whole.get(name), value) for name, value in part.items()}
    if isinstance(whole, list) and isinstance(part, list):
        return [merged(one, other) for one, other in zip([*whole, *part[len(whole) :]], part)]
    return part


def picture(seed: int, size: int = 16) -> Image.Image:
    """A disc on a ground, both coloured by `seed`."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - rng.integers(size // 3, size - size // 3, 2)[:, None, None]
    ground, disc = rng.integers(60, 255, (2, 3))
    rgb = np.where(((x**2 + y**2) < (size / 3) ** 2)[..., None], disc, ground)
    return Image.fromarray(rgb.astype(np.uint8))


@cache
def computed(kind: str, rows: str) -> str:
    """What the real protocol says of scores; rows: in JSON. Most tests of a page change something else."""
    compute = audit_table if kind == "audit" else evaluate_table
    return to_json(compute(Scores.from_rows(json.loads(rows))))


@dataclass
class Builder:
    """Collects scores and evidence, and writes them as a run folder."""

    path: Path
    kind: str = "audit"
    rows: list[dict] = field(default_factory=list)
    inventory: list[dict] = field(default_factory=list)
    document: dict = field(default_factory=dict)
    run: dict = field(default_factory=lambda: json.loads(json.dumps(RUN)))
    truth: dict | None = None

    def score(self, name, set_name, score, attack="drc", reason=None, digest=True, attack_repr=None) -> None:
        """One picture scored by one attack; a picture met for the first time enters the inventory."""
        row = {"picture": name, "sha256": sha(name) if digest else None, "set": set_name}
        if not any(item["picture"] == name and item["set"] == set_name for item in self.inventory[-1:]):
            self.inventory.append({**row, "reason": None, "label": None, "width": 16, "height": 16})
        row |= {"attack": attack, "attack_repr": attack_repr or f"{attack.upper()}(t=100)"}
        row |= {"score": score, "reason": reason}
        self.rows.append({**row, "nfe": 40.0, "seconds": 0.25})

    def exclude(self, name, set_name, reason) -> None:
        """One picture that could not be used."""
        self.inventory.append({"picture": name, "sha256": None, "set": set_name, "reason": reason})

    def restore(self, name, set_name, seed, restorations=2, size=16) -> None:
        """The evidence pictures of one picture."""
        folder = self.path / "restored" / sha(name)[:16]
        folder.mkdir(parents=True)
        original, mask = np.asarray(picture(seed, size)), np.zeros((size, size), np.uint8)
        mask[size // 4 : 3 * size // 4, size // 4 : 3 * size // 4] = 255
        degraded = np.where(mask[..., None] > 0, 127, original).astype(np.uint8)
        Image.fromarray(original).save(folder / "original.png")
        Image.fromarray(mask).save(folder / "region.png")
        Image.fromarray(degraded).save(folder / "degraded.png")
        for i in range(1, restorations + 1):
            other = np.asarray(picture(seed + 1000 * i, size))
            Image.fromarray(np.where(mask[..., None] > 0, other, original)).save(folder / f"restored-{i}.png")
        Image.fromarray(255 - mask).save(folder / "difference.png")
        evidence = {"picture": name, "sha256": sha(name), "set": set_name, "attack": "drc", "score": 0.5}
        (folder / "evidence.json").write_text(json.dumps({**evidence, "similarities": [0.9] * restorations}))

    def _completed(self) -> dict:
        """The document: what the real protocol says of the scores, with the entries given here in place of its own."""
        kind = Audit if self.kind == "audit" else Evaluation
        try:
            kind.model_validate_json(json.dumps(self.document))
            return self.document
        except ValidationError:
            return merged(json.loads(computed(self.kind, json.dumps(self.rows))), {"flags": [], **self.document})

    def write(self) -> Path:
        """Write the folder and return its path."""
        self.path.mkdir(exist_ok=True)
        self.run["kind"] = self.kind
        (self.path / "run.json").write_text(json.dumps(self.run))
        name = "audit.json" if self.kind == "audit" else "evaluation.json"
        (self.path / name).write_text(json.dumps(self._completed()))
        schema = pa.schema(
            [(name, pa.string()) for name in ("picture", "sha256", "set", "attack", "attack_repr", "reason")]
            + [(name, pa.float64()) for name in ("score", "nfe", "seconds")]
        )
        pq.write_table(pa.Table.from_pylist(self.rows, schema=schema), self.path / "scores.parquet")
        fields = [pa.field(name, pa.string()) for name in ("picture", "sha256", "set", "reason", "caption")]
        fields += [pa.field(name, pa.int64()) for name in ("label", "width", "height")]
        pq.write_table(pa.Table.from_pylist(self.inventory, pa.schema(fields)), self.path / "pictures.parquet")
        if self.truth is not None:
            (self.path / "truth.json").write_text(json.dumps(self.truth))
        return self.path


@pytest.fixture
def new_run(tmp_path):
    """`new_run(kind)` -> an empty Builder."""
    return lambda kind="audit": Builder(tmp_path / "run", kind)


@pytest.fixture
def audit(new_run) -> Builder:
    """Six suspects, of which three are named, against 40 unseen pictures; one file could not be read."""
    build = new_run()
    entries = []
    for i in range(6):
        name, score = f"suspect-{i}.png", 0.99 - 0.005 * i if i < 3 else 0.5 - 0.02 * i
        build.score(name, "suspect", score)
        build.restore(name, "suspect", i)
        p = 1 / 41 if i < 3 else 0.5
        entries.append({"picture": name, "sha256": sha(name), "score": score, "p_value": p, "q_value": 2 * p})
    for i in range(40):
        build.score(f"unseen-{i}.png", "unseen", 0.3 + 0.012 * i)
    for name in sorted((f"unseen-{i}.png" for i in range(40)), key=sha)[:12]:
        build.restore(name, "unseen", 100 + len(name))
    build.exclude("broken.jpg", "suspect", "the file is cut short")
    build.document = {
        "claim": {"level": 3, "sentence": "These pictures are consistent with training, given alike unseen pictures."},
        "set": {"p_value": 0.0012, "p_value_holm": 0.0012, "effect": 0.83, "effect_ci": [0.7, 0.92]},
        "false_discovery_rate": 0.05,
        "blind": {
            "separates": False,
            "views": [{"name": "files and colours", "auc": 0.52, "auc_ci": [0.41, 0.63], "p_value": 0.3}],
        },
        "pictures": entries,
        "flags": [FLAG],
        "attacks": [{"set": {"p_value": 0.0012}, "n_not_scored": 0}],
    }
    return build


@pytest.fixture
def demo(audit) -> Builder:
    """The audit above with its truth: one of the named was never seen, one of the others was trained on."""
    audit.truth = {f"suspect-{i}.png": i in (0, 1, 4) for i in range(6)}
    audit.run["attribution"] = "Artworks: OpenMoji, CC BY-SA 4.0."
    return audit


@pytest.fixture
def evaluation(new_run) -> Builder:
    """Two attacks on 60 training and 60 unseen pictures."""
    build = new_run("evaluate")
    rng = np.random.default_rng(3)
    scores = {"member": rng.normal(0.9, 0.05, 60), "unseen": rng.normal(0.7, 0.08, 60)}
    for set_name, values in scores.items():
        for i, value in enumerate(values):
            name = f"{set_name}-{i:02}.png"
            build.score(name, set_name, float(value))
            build.score(name, set_name, float(-rng.normal()), attack="loss")
            if i < 8:
                build.restore(name, set_name, i)
    strong = {"tpr": 0.72, "tpr_ci": [0.59, 0.83], "fpr": 0.0, "fpr_ci": [0.0, 0.1], "threshold": 0.9}
    build.document["attacks"] = [
        {"name": "drc", "repr": "DRC(t=100)", "auc": 0.981, "auc_ci": [0.95, 0.998], "asr": 0.95}
        | {
            "tpr_at_fpr": {
                "0.01": {**strong, "estimable": True},
                "0.001": {"estimable": False, "tpr": None, "needed": 2995},
            }
        },
        {"name": "loss", "repr": "LOSS(t=100)", "auc": 0.5, "auc_ci": [0.4, 0.6], "asr": 0.55, "tpr_at_fpr": {}},
    ]
    return build


CROWD = [
    "drc",
    "loss",
    "secmi",
    "pia",
    "pian",
    "sima",
    "pfami",
    "rediffuse",
    "noise-aggregation",
    "gsa",
    "lira",
    "rmia",
]
CROWD += ["fremia(pia)", "fremia(loss)", "repeat(loss, n=8)", "timesteps(sima, t=50+100+150+200)", "flip(drc)"]
CROWD += ["calibrated(loss)", "a-package-of-someone-s-own(with-a-name-that-does-not-end)", "mean"]


@pytest.fixture
def crowd(computed_crowd, new_run) -> Builder:
    """Twenty attacks of all strengths on 80 training and 320 unseen pictures, with statistics of the real protocol."""
    build = new_run("evaluate")
    shutil.copytree(computed_crowd.path, build.path)
    return replace(copy.deepcopy(computed_crowd), path=build.path)


@pytest.fixture(scope="session")
def computed_crowd(tmp_path_factory) -> Builder:
    folder = once(tmp_path_factory, "crowd", _compute_crowd)
    return Builder(folder / "run", **json.loads((folder / "builder.json").read_text()))


def _compute_crowd(folder: Path) -> None:
    build = Builder(folder / "run", "evaluate")
    build.path.mkdir()
    rng = np.random.default_rng(7)
    reprs = {label: f"{label.partition('(')[0].title()}(attack={label!r}, t=100, seed=0, draws=16)" for label in CROWD}
    for set_name, n, shift in (("member", 80, 1.0), ("unseen", 320, 0.0)):
        shared = rng.normal(shift, 1, n)
        for i, label in enumerate(CROWD):
            strength, own = 2.4 - 0.12 * i, rng.normal(0, 1, n)
            values = strength * shift + 0.8 * shared * np.cos(i) + own
            for k, value in enumerate(values):
                name = f"{set_name}-{k:03}.png"
                build.score(name, set_name, float(value), label.partition("(")[0], attack_repr=reprs[label])
        for k in range(24):
            build.restore(f"{set_name}-{k:03}.png", set_name, k, restorations=1)
    build.inventory = list({(item["set"], item["picture"]): item for item in build.inventory}.values())
    build.document = json.loads(to_json(evaluate_table(Scores.from_rows(build.rows))))
    build.run["labels"] = {name: label for label, name in reprs.items()}
    build.run["choices"] |= {"attacks": list(reprs.values()), "dataset": "cifar10"}
    build.run["costs"] = [
        {"attack": name, "forward_per_picture": 16, "backward_per_picture": 0, "setup_passes": 2048 * (label == "rmia")}
        for label, name in reprs.items()
    ]
    build.run["reported"] = [
        {"attack": reprs["secmi"], "data": "cifar10", "auc": 0.881, "asr": 0.811, "tpr_1": 0.091, "note": ""}
        | {"paper": "arXiv 2305.14542"},
        {"attack": reprs["loss"], "data": "cifar10", "auc": 0.718, "asr": None, "tpr_1": None}
        | {"paper": "arXiv 2302.01316", "note": "as given there"},
    ]
    told = {name: value for name, value in vars(build).items() if name != "path"}
    (folder / "builder.json").write_text(json.dumps(told))


VOID = {"meta", "img", "br", "hr", "link", "input", "source", "col", "wbr"}


class Html(HTMLParser):
    """Reads a page strictly: every tag closed in order. Keeps the elements and the text that a reader sees."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.pieces, self.scripts = [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif not self.open or self.open[-1] != "style":
            self.pieces.append(data)

    @property
    def text(self) -> str:
        """All text with white space (narrow and unbreakable too) collapsed."""
        return re.sub(r"\s+", " ", " ".join(self.pieces))

    @property
    def without_table(self) -> str:
        """The text, without the table of every picture."""
        before, _, rest = self.text.partition(" pictures in one table ")
        return before + rest.partition(" Earlier Later ")[2]

    def all(self, tag: str) -> list[dict]:
        """The attributes of every element of one kind."""
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture
def page():
    """`page(builder)` -> the page of that run, rendered and read strictly."""
    return lambda build: Html(render(build.write()).read_text("utf-8"))
