"""What `trainedon plan` prints: passes, time, memory, and what that was reckoned from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from trainedon.cli.terminal import out_console, plain, say

if TYPE_CHECKING:
    from trainedon.planning.forecast import Estimate
    from trainedon.planning.peak_memory import MemoryEstimate


def print_plan(estimate: Estimate) -> None:
    table = Table(box=None, padding=(0, 1, 0, 0))
    for head in ("attack", "passes a picture", "set-up", "passes in all", "device hours"):
        table.add_column(head, overflow="fold")
    for line in (*estimate.attacks, *([estimate.together] if len(estimate.attacks) > 1 else [])):
        passes = f"{line.forward}" + (f" + {line.backward} backward" if line.backward else "")
        table.add_row(plain(line.attack), passes, _spaced(line.setup), _spaced(line.passes), _hours(line.device_hours))
    out_console.print(table)
    on = "1 device" if estimate.devices == 1 else f"{_spaced(estimate.devices)} devices"
    say(f"By the clock: {_lasts(estimate.wall_hours)} for {_spaced(estimate.pictures)} pictures on {on}")
    if estimate.encoding_hours is not None:
        say(f"  in it, pictures encoded once in each view: {_lasts(estimate.encoding_hours)} of a device")
    if estimate.painting is not None:
        one = estimate.painting
        passes = f"{one.forward} forward and {one.backward} backward passes each"
        say(f"Besides, about {one.pictures} pictures painted for the page, {passes}: {_lasts(one.device_hours)}")
    if estimate.inventory_hours is not None:
        say(f"Before that, taking inventory of all pictures, on one core: {_lasts(estimate.inventory_hours)}")
    written = estimate.bytes_written
    say(f"Written: scores.parquet {_bytes(written.scores)}, pictures.parquet {_bytes(written.inventory)}")
    files = "1 file" if written.shard_files == 1 else f"{_spaced(written.shard_files)} files"
    say(f"  and until it is complete {files} of shards, {_bytes(written.shards)}")
    unknown = "unknown: give --bytes-per-picture, or some of them with --pictures"
    read = unknown if estimate.bytes_read is None else f"{_bytes(estimate.bytes_read)}, every picture twice"
    say(f"Read: {read}")
    if estimate.memory is not None:
        _print_memory(estimate.memory)
    if estimate.reachable is not None:
        say(estimate.reachable.sentence)
    _print_measured(estimate)


def _print_memory(memory: MemoryEstimate) -> None:
    parts = ", ".join(f"{name} {_bytes(size)}" for name, size in memory.weights.items())
    peak = "not known" if memory.peak is None else f"about {_bytes(memory.peak)} at the peak"
    where = "" if memory.elsewhere is None else " in main memory, on the device while they work"
    weights = f"weights {_bytes(sum(memory.weights.values()))}{where} ({parts})"
    say(f"Memory: {peak}; {weights if parts else 'weights besides, which are not known (say weights= to Target.of)'}")
    if memory.network is not None:
        say(f"  {memory.rows} rows at once in the network: {_bytes(memory.network)}")
    if memory.autoencoder is not None:
        say(f"  {memory.pictures} pictures at once in the autoencoder: {_bytes(memory.autoencoder)}")
    if memory.measured is not None:
        say(f"  held here until now, with all libraries: at most {_bytes(memory.measured)}")
    if memory.warning is not None:
        say(f"WARNING: {memory.warning}")


def _print_measured(estimate: Estimate) -> None:
    say(f"Measured here, on {estimate.device}:")
    for speed in estimate.speeds:
        back = "" if speed.backward is None else f", backward {_lasts(speed.backward / 3600)} more"
        say(f"  a pass of {speed.rows} rows: forward {_lasts(speed.forward / 3600)} a row{back}")
    if estimate.autoencoder is not None:
        coder = estimate.autoencoder
        back = ""
        if coder.decode is not None and coder.decode_back is not None:
            back = f", to decode it {_lasts(coder.decode / 3600)}, and back {_lasts(coder.decode_back / 3600)}"
        say(f"  {coder.pictures} pictures in the autoencoder: {_lasts(coder.encode / 3600)} to encode one{back}")
    if estimate.sample is not None:
        sample = estimate.sample
        rates = f"{1 / sample.reading:.0f} a second read and decoded, inventoried {1 / sample.inventory:.0f} a second"
        say(f"  {sample.pictures} pictures of {_bytes(sample.bytes)}: {rates}")
    say("It rests on:")
    for caution in estimate.rests_on:
        say(f"  {caution}")


def _spaced(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def _hours(hours: float) -> str:
    return f"{hours:.3g}" if hours < 1000 else _spaced(round(hours))


def _lasts(hours: float) -> str:
    """Three digits, in the unit that suits."""
    seconds = hours * 3600
    for unit, size in (("hours", 3600), ("minutes", 60), ("s", 1), ("ms", 1e-3)):
        if seconds >= 2 * size or unit == "ms":
            value = seconds / size
            return f"{_spaced(round(value)) if value >= 1000 else f'{value:.3g}'} {unit}"
    raise AssertionError(hours)


def _bytes(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if number < 1000 or unit == "PB":
            return f"{number:.3g} {unit}"
        number /= 1000
    raise AssertionError(number)
