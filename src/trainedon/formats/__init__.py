"""What a run folder's files hold, and how they are read and written. Knows neither models nor pixels: no torch here."""

from trainedon.formats.run_json import read_record, write_record
from trainedon.formats.run_record import SCHEMA_VERSION, RunRecord

__all__ = ["SCHEMA_VERSION", "RunRecord", "read_record", "write_record"]
