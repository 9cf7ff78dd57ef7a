"""What a run folder's files hold, and how they are read and written. Knows neither models nor pixels: no torch here."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainedon.formats.run_json import read_record, write_record
    from trainedon.formats.run_record import SCHEMA_VERSION, RunRecord

# Imported on first use: the process that only decodes pictures needs no pydantic, and starts quickly without.
_HOMES = {
    "RunRecord": "run_record",
    "SCHEMA_VERSION": "run_record",
    "read_record": "run_json",
    "write_record": "run_json",
}

__all__ = ["SCHEMA_VERSION", "RunRecord", "read_record", "write_record"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"trainedon.formats.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'trainedon.formats' has no attribute {name!r}")
