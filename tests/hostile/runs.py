"""Run folders and folders of trainings as strangers send them: what is wrong is named, and nothing is followed."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tiny
from diffusers import DDPMPipeline, DDPMScheduler
from hostile.cases import hostile
from PIL import Image

from trainedon.attacks import parse_attacks
from trainedon.runs import Plan, conclude_table, run
from trainedon.targets import load_target

ROWS = [f"{name}-{i},{name},{i}.5" for i in range(9) for name in ("suspect", "unseen")]


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="trainedon-hostile-"))


@cache
def _table() -> Path:
    """A run folder that was made from a table of scores."""
    table = _folder() / "scores.csv"
    table.write_text("\n".join(["picture,set,score", *ROWS]))
    conclude_table(table, _folder() / "table")
    return _folder() / "table"


@cache
def _audit() -> Path:
    """A run folder of an audit, with evidence pictures."""
    rng = np.random.default_rng(0)
    for name in ("suspects", "unseen"):
        (_folder() / name).mkdir()
        for i in range(4):
            coarse = Image.fromarray(rng.integers(0, 255, (3, 3, 3), dtype=np.uint8))
            coarse.resize((16, 16), Image.Resampling.BICUBIC).save(_folder() / name / f"{i}.png")
    network = tiny.unconditional(sample_size=16)
    DDPMPipeline(unet=network, scheduler=DDPMScheduler()).save_pretrained(_folder() / "model")
    sets = {"suspect": _folder() / "suspects", "unseen": _folder() / "unseen"}
    plan = Plan(kind="audit", sets=sets, attacks=parse_attacks("drc-hide(steps=2, restorations=1)"))
    run(load_target(_folder() / "model"), plan, _folder() / "audit", lambda what, done, total: None)
    return _folder() / "audit"


def _copy(place: Path, source: Path) -> Path:
    return Path(shutil.copytree(source, place / "run"))


def _changed(place: Path, source: Path, **entries: object) -> list[str]:
    path = _copy(place, source) / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))
    return ["run"]


def _instead(place: Path, name: str, source: Path) -> Path:
    """The place of a file of a run folder, without it."""
    path = _copy(place, source) / name
    path.unlink()
    return path


@hostile("the run records no digest of pictures.parquet, scores.parquet", 1, "verify")
def a_record_without_files(place: Path) -> list[str]:
    return _changed(place, _audit(), files={})


@hostile("it has no identity", 1, "verify")
def a_record_without_identity(place: Path) -> list[str]:
    return _changed(place, _audit(), identity={})


@hostile("files: Input should be a valid dictionary", 1, "verify")
def files_that_are_a_text(place: Path) -> list[str]:
    return _changed(place, _audit(), files="x")


@hostile("../../outside is no file that statistics are computed from", 1, "verify")
def a_digest_of_a_file_elsewhere(place: Path) -> list[str]:
    known = json.loads((_audit() / "run.json").read_text())["files"]
    return _changed(place, _audit(), files=known | {"../../outside": "0" * 64})


@hostile("the model is 1111", 1, "verify")
def another_model_than_in_the_identity(place: Path) -> list[str]:
    model = json.loads((_audit() / "run.json").read_text())["model"]
    return _changed(place, _audit(), model=model | {"digest": "1" * 64})


@hostile("holds a number that none can be there", 1, "verify")
def a_number_beyond_all_bounds(place: Path) -> list[str]:
    path = _copy(place, _table()) / "run.json"
    text, numbers = re.subn(r'"schema_version": \d+', '"schema_version": 1e400', path.read_text())
    assert numbers == 1
    path.write_text(text)
    return ["run"]


@hostile("is there twice", 1, "verify")
def a_key_that_is_there_twice(place: Path) -> list[str]:
    path = _copy(place, _table()) / "run.json"
    path.write_text(path.read_text().replace('"status"', '"status": "running", "status"', 1))
    return ["run"]


@hostile("is not readable JSON", 1, "verify")
def a_record_nested_without_end(place: Path) -> list[str]:
    (_copy(place, _table()) / "run.json").write_text("[" * 200_000)
    return ["run"]


@hostile("is a pipe and no regular file", 1, "verify")
def a_record_that_is_a_pipe(place: Path) -> list[str]:
    os.mkfifo(_instead(place, "run.json", _table()))
    return ["run"]


@hostile("is a pipe and no regular file")
def a_record_that_is_a_pipe_to_report(place: Path) -> list[str]:
    os.mkfifo(_instead(place, "run.json", _table()))
    return ["report", "run"]


@hostile("scores.parquet is a link", 1, "verify")
def scores_that_are_an_endless_device(place: Path) -> list[str]:
    _instead(place, "scores.parquet", _table()).symlink_to("/dev/zero")
    return ["run"]


@hostile("report.html is a pipe", 1, "verify")
def a_page_that_is_a_pipe(place: Path) -> list[str]:
    os.mkfifo(_instead(place, "report.html", _table()))
    return ["run"]


@hostile("report.html has more than", 1, "verify")
def a_page_of_a_terabyte(place: Path) -> list[str]:
    with _instead(place, "report.html", _table()).open("wb") as stream:
        stream.truncate(2**40)
    return ["run"]


@hostile("nearly nothing but holes", 1, "verify")
def scores_of_a_terabyte(place: Path) -> list[str]:
    with _instead(place, "scores.parquet", _table()).open("wb") as stream:
        stream.truncate(2**40)
    return ["run"]


@hostile("its texts are longer than such a file can mean", 1, "verify")
def a_dictionary_of_one_long_text_for_every_row(place: Path) -> list[str]:
    n = 100_000
    coded = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), ["x" * 10_000_000])
    columns = {"picture": [str(i) for i in range(n)], "set": ["suspect"] * n, "score": [0.5] * n, "attack": coded}
    pq.write_table(pa.table(columns), _instead(place, "scores.parquet", _table()), compression="zstd")
    return ["run"]


@hostile("a page of it claims more than it can hold", 1, "verify")
def a_page_that_unpacks_to_a_gigabyte(place: Path) -> list[str]:
    columns = {"picture": ["x" * 2**29, "y"], "set": ["suspect", "unseen"], "score": [1.0, 0.5]}
    path = _instead(place, "scores.parquet", _table())
    pq.write_table(pa.table(columns), path, compression="zstd", use_dictionary=False, write_statistics=False)
    return ["run"]


@hostile("FAILED: the statistics follow from the scores", 1, "verify")
def statistics_that_are_another_thing(place: Path) -> list[str]:
    (_copy(place, _table()) / "audit.json").write_text("[" * 200_000)
    return ["run"]


@hostile("changed, missing or new: restored/", 1, "verify")
def an_evidence_picture_that_was_exchanged(place: Path) -> list[str]:
    path = next(_copy(place, _audit()).glob("restored/*/original.png"))
    Image.new("RGB", (16, 16), "red").save(path)
    return ["run"]


@hostile("truth.json was not there when the run ended", 1, "verify")
def a_truth_that_was_put_there(place: Path) -> list[str]:
    (_copy(place, _audit()) / "truth.json").write_text('{"0.png": true}')
    return ["run"]


@hostile("besides: holiday.jpg", 0, "verify")
def somebody_elses_file_in_a_run_folder(place: Path) -> list[str]:
    (_copy(place, _table()) / "holiday.jpg").write_bytes(b"x")
    return ["run"]


@hostile("it was changed after it was made", 1, "verify")
def a_seal_that_was_changed(place: Path) -> list[str]:
    from trainedon.runs.checking.seal import seal

    path = seal(_copy(place, _table()))
    path.write_text(path.read_text().replace("sealed 2", "sealed 1"))
    return ["run", "--seal"]


@hostile("is no seal of this program", 1, "verify")
def a_seal_that_is_a_list(place: Path) -> list[str]:
    (_copy(place, _table()) / "seal.json").write_text("[]")
    return ["run", "--seal"]


@hostile("is not sealed, since", 2, "seal")
def a_run_that_lies_and_is_to_be_sealed(place: Path) -> list[str]:
    return _changed(place, _audit(), files={})


@hostile("is not an empty file, and so no lock of this program", 2, "report")
def a_lock_that_leads_to_somebodys_file(place: Path) -> list[str]:
    (place / "thesis.txt").write_text("five years")
    _instead(place, ".lock", _table()).symlink_to(place / "thesis.txt")
    return ["run"]


def _pictures(place: Path) -> str:
    shutil.copytree(_audit().parent / "suspects", place / "pictures")
    return "pictures"


@hostile("holds no training (it holds log.csv)", 2, "train")
def a_training_into_somebodys_folder(place: Path) -> list[str]:
    (place / "out" / "unet").mkdir(parents=True)
    (place / "out" / "log.csv").write_text("mine")
    return [_pictures(place), "--out", "out", "--passes", "1", "--size", "8"]


@hostile("is not a list of members of this program", 2, "train")
def a_training_beside_somebodys_manifest(place: Path) -> list[str]:
    (place / "out").mkdir()
    (place / "out" / "manifest.json").write_text('{"name": "an app"}')
    return [_pictures(place), "--out", "out", "--passes", "1", "--size", "8"]


@hostile("is a pipe and no regular file", 2, "train")
def a_training_that_goes_on_from_a_pipe(place: Path) -> list[str]:
    (place / "out").mkdir()
    os.mkfifo(place / "out" / "recipe.json")
    return [_pictures(place), "--out", "out", "--passes", "1", "--size", "8"]
