"""A run folder from a table of scores alone: for scores that were computed elsewhere, or long ago."""

from __future__ import annotations

from collections.abc import Collection
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa

from trainedon import evidence, run_files
from trainedon.attacks import Progress
from trainedon.attacks.core.answers import silent
from trainedon.checks import refuse_strangers
from trainedon.errors import UserError
from trainedon.evidence.table.rows import Row
from trainedon.files import file_digest
from trainedon.formats import SCHEMA_VERSION, RunRecord, write_record
from trainedon.formats.arrow_schemas import GIVEN_SCORES, written
from trainedon.formats.run_record import ChoicesEntry, InputEntry, Kind, RunIdentity
from trainedon.runs.conclusion import conclude
from trainedon.runs.folder import check_same, locked, protocol_of
from trainedon.runs.record import now

GROUP = 8192  # rows that are written at once
NOTE = "No model was asked here: the scores were given as a table, and who computed them vouches for them."


def conclude_table(
    table: Path, out: Path, tables: Collection[str] = (), progress: Progress = silent
) -> evidence.Audit | evidence.Evaluation:
    """Statistics and page for `table` (CSV or parquet with `picture, set, score`), written to the run folder `out`.

    Suspects make it an audit, members an evaluation. Raises UserError for a table that cannot be read, one with both or
    neither, and for a folder that holds something else. tables, progress: as of
    `conclude`.
    """
    scores = evidence.read_scores(table)
    asked: dict[Kind, str] = {"audit": "suspect", "evaluate": "member"}
    kinds = [kind for kind, name in asked.items() if scores.has(name)]
    if len(kinds) != 1:
        found = "both suspects and members" if kinds else "neither suspects nor members"
        raise UserError(f"{table} has {found}: the column set says suspect and unseen, or member and unseen")
    if kinds == ["evaluate"]:
        scores.require("unseen")
    refuse_strangers(out)
    identity = RunIdentity(kind=kinds[0], table=file_digest(table), protocol=protocol_of(out).name).sparing("protocol")
    with locked(out):
        check_same(out, identity)
        with written(out / run_files.SCORES, GIVEN_SCORES) as writer:
            for start in range(0, len(scores), GROUP):
                rows = [row._asdict() | _costs(row) for row in scores.rows[start : start + GROUP]]
                writer.write_table(pa.Table.from_pylist(rows, schema=GIVEN_SCORES))
        write_record(out, _record(table, out, kinds[0], identity, scores))
    return conclude(out, tables, progress=progress)


def _costs(row: Row) -> dict[str, int | None]:
    """The number of passes as the whole number that the column holds; None for what is no such number."""
    return {"nfe": None if row.nfe is None or not 0 <= row.nfe < 2**63 else round(row.nfe)}


def _record(table: Path, out: Path, kind: Kind, identity: RunIdentity, scores: evidence.Scores) -> RunRecord:
    moment = now()
    return RunRecord(
        schema_version=SCHEMA_VERSION,
        status="complete",
        kind=kind,
        command=None,
        started=moment,
        finished=moment,
        identity=identity,
        choices=ChoicesEntry(attacks=[key.repr for key in scores.attacks], lead="first"),
        inputs={"scores": InputEntry(path=str(table), digest=identity.table)},
        files={run_files.SCORES: file_digest(out / run_files.SCORES)},
        notes=[NOTE],
        versions={"trainedon": version("trainedon")},
    )
