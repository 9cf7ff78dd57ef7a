"""What a run of any size would take: network passes, hours and bytes, by arithmetic on what is measured here."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, DecimalException
from math import ceil
from pathlib import Path

from trainedon.attacks import Attack, Cost
from trainedon.errors import UserError
from trainedon.evidence.protocol.reachable import Reachable
from trainedon.pictures import Rendering
from trainedon.pictures.pixels.rendering import DEFAULT
from trainedon.planning.measuring import (
    AutoencoderSpeed,
    Clock,
    Demand,
    PictureSample,
    RowBytes,
    Speed,
    demand,
    describe,
    measure_all,
    measure_autoencoder,
    row_bytes,
    sample_pictures,
)
from trainedon.planning.peak_memory import MemoryEstimate, held_so_far, memory_of
from trainedon.runs.scoring.engine import SHARD
from trainedon.runs.scoring.painting import painted, painting_cost, showing
from trainedon.targets import Target
from trainedon.targets.networks.footprint import fit_decoder_gradients, fit_gradients

LARGEST = 10**15  # of a count; beyond it one has mistyped
SUFFIXES = {"k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}


@dataclass(frozen=True)
class AttackEstimate:
    """One attack, or all together. forward, backward: passes a picture. setup: forward passes, once on each device.
    passes: for all pictures, forward and backward and set-up."""

    attack: str
    forward: int
    backward: int
    setup: int
    passes: int
    device_hours: float


@dataclass(frozen=True)
class Written:
    """Bytes. shards: files that are gone when the run is complete; shard_files: how many there are until then."""

    scores: int
    inventory: int
    shards: int
    shard_files: int


@dataclass(frozen=True)
class PaintingEstimate:
    """What is painted for the page besides the scores. pictures: about how many. forward, backward: passes for each."""

    pictures: int
    forward: int
    backward: int
    device_hours: float


@dataclass(frozen=True)
class Estimate:
    """What a run would take, and what that rests on.

    device: which one was measured, in which precision. wall_hours: by the clock, with `devices` devices, for the
    scores. painting: what the page shows, on one device; None where nothing is painted besides. bytes_read: every
    picture twice, None when the size of a picture is not known. inventory_hours: for the inventory, on one core; None
    without a sample of the pictures. reachable: the highest claim that an audit can reach; None where it is not said
    how many of the pictures are suspects. memory: what is held at the peak; None where that is not known. autoencoder,
    encoding_hours: of a model in latents, whose pictures are encoded once in each view; the hours of all devices, which
    `wall_hours` has in it and no attack.
    """

    pictures: int
    devices: int
    device: str
    attacks: tuple[AttackEstimate, ...]
    together: AttackEstimate
    wall_hours: float
    inventory_hours: float | None
    bytes_written: Written
    bytes_read: int | None
    speeds: tuple[Speed, ...]
    sample: PictureSample | None
    rests_on: tuple[str, ...]
    reachable: Reachable | None = None
    memory: MemoryEstimate | None = None
    painting: PaintingEstimate | None = None
    autoencoder: AutoencoderSpeed | None = None
    encoding_hours: float | None = None


def plan(
    target: Target,
    attacks: Sequence[Attack],
    pictures: int,
    devices: int = 1,
    *,
    source: str | Path | None = None,
    bytes_per_picture: int | None = None,
    clock: Clock = time.perf_counter,
    rendering: Rendering = DEFAULT,
    follow_links: bool = False,
    sizes: Sequence[int] = (),
) -> Estimate:
    """Measure network, files and, where there is a source, a sample of its pictures; then `estimate`.

    sizes: of the sets, of whose pictures some are painted for the page; without, of two equal ones.

    Raises UserError for fewer than one picture or device, when an attack does not go with the target, and when a batch
    does not fit on the device.
    """
    _check(pictures, devices)
    for attack in attacks:
        attack.check(target)
    back = _goes_back(target, attacks)
    asked = [demand(target, attack) for attack in attacks]
    sample = None if source is None else sample_pictures(target, source, clock, rendering, follow_links)
    if bytes_per_picture is None and sample is not None:
        bytes_per_picture = round(sample.bytes)
    speeds = measure_all(target, asked, clock)
    decoded = any(one.cost.decoded for one in asked)
    if decoded:
        fit_decoder_gradients(target)
    coder, views = measure_autoencoder(target, decoded, clock), _views(attacks)
    sizes_of_rows = row_bytes(asked)
    found = estimate(asked, speeds, sizes_of_rows, pictures, devices, bytes_per_picture, sample, coder, views)
    return replace(
        found,
        device=describe(target),
        rests_on=(*found.rests_on, *_cautions(target, attacks)),
        memory=memory_of(target, held_so_far(target.device), gradients=back, decoded=decoded),
        painting=_painting(target, attacks, sizes or (pictures // 2, pictures - pictures // 2), speeds),
    )


def count(text: str, what: str) -> int:
    """`1000000`, `1_000_000`, `1e6`, `1M`, `1.5M`: a whole number of 1 or more; suffixes k, M, G or B, T.

    what: the name of the option, for the UserError that anything else raises.
    """
    digits = text.strip().lower()
    factor = SUFFIXES.get(digits[-1:], 1)
    try:
        value = Decimal(digits if factor == 1 else digits[:-1]) * factor
    except DecimalException:
        value = Decimal("NaN")
    if not (value.is_finite() and 1 <= value <= LARGEST and value == int(value)):
        raise UserError(
            f"{what} takes a whole number from 1 to {LARGEST:.0e}, such as 1000000, 1_000_000, 1e6 or 1M, not {text!r}"
        )
    return int(value)


def estimate(
    asked: Sequence[Demand],
    speeds: Sequence[Speed],
    sizes: RowBytes,
    pictures: int,
    devices: int = 1,
    bytes_per_picture: int | None = None,
    sample: PictureSample | None = None,
    coder: AutoencoderSpeed | None = None,
    views: int = 1,
) -> Estimate:
    """Arithmetic alone. speeds: one for the `rows` of each demand. coder, views: of a model in latents, and in how many
    views its pictures are encoded. Raises UserError for fewer than one picture or device."""
    _check(pictures, devices)
    at = {speed.rows: speed for speed in speeds}
    lines = tuple(_line(one, at[one.rows], pictures, devices, coder) for one in asked)
    encoded = 0.0 if coder is None else views * coder.encode  # seconds a picture
    shards = ceil(pictures / SHARD)
    busiest = min(pictures, ceil(shards / devices) * SHARD)  # pictures of the device that has most
    wall = sum(_seconds(one, at[one.rows], busiest, 1, coder) for one in asked) + busiest * encoded
    return Estimate(
        pictures=pictures,
        devices=devices,
        device="",
        attacks=lines,
        together=_together(lines),
        wall_hours=wall / 3600,
        inventory_hours=None if sample is None else pictures * sample.inventory / 3600,
        bytes_written=Written(
            scores=round(pictures * sizes.scores),
            inventory=round(pictures * sizes.inventory),
            shards=round(pictures * sizes.shards),
            shard_files=shards * len(asked),
        ),
        bytes_read=None if bytes_per_picture is None else 2 * pictures * bytes_per_picture,
        speeds=tuple(speeds),
        sample=sample,
        rests_on=(
            f"the {'model' if coder else 'network'}'s own time: what attacks, reading and statistics add is not in it",
            f"devices like this one, which share shards of {SHARD} pictures evenly and never wait for pictures",
        ),
        autoencoder=coder,
        encoding_hours=None if coder is None else pictures * encoded / 3600,
    )


def _views(attacks: Sequence[Attack]) -> int:
    """In how many views attacks look at a picture, as it is among them."""
    inside = [*attacks]
    for attack in inside:
        inside += attack.inside()
    return 1 + len({view for attack in inside for view in attack.looks_in})


def _goes_back(target: Target, attacks: Sequence[Attack]) -> bool:
    """Whether a run goes back through the network, for scores or to paint, with rows for which there is room then.

    Raises UserError when scores need it and there is no room; painting is left out then.
    """
    if any("gradients" in attack.needs for attack in attacks):
        fit_gradients(target)
        return True
    shown = showing(attacks)
    if shown is None or not painting_cost(target, attacks[shown]).backward:
        return False
    try:
        fit_gradients(target)
    except UserError:
        return False
    return True


def _painting(
    target: Target, attacks: Sequence[Attack], sizes: Sequence[int], speeds: Sequence[Speed]
) -> PaintingEstimate | None:
    """At the slowest speed measured; a pass back that was not timed counts as two forward."""
    number = showing(attacks)
    cost = Cost(0) if number is None else painting_cost(target, attacks[number])
    if cost == Cost(0):
        return None
    slowest = max(speeds, key=lambda speed: speed.forward)
    back = 2 * slowest.forward if slowest.backward is None else slowest.backward
    n = painted(sizes, SHARD)
    hours = n * (cost.forward * slowest.forward + cost.backward * back) / 3600
    return PaintingEstimate(n, cost.forward, cost.backward, hours)


def _check(pictures: int, devices: int) -> None:
    if pictures < 1 or devices < 1:
        raise UserError(f"{pictures} pictures on {devices} devices: give 1 or more of each")


def _line(asked: Demand, speed: Speed, pictures: int, devices: int, coder: AutoencoderSpeed | None) -> AttackEstimate:
    cost = asked.cost
    passes = pictures * (cost.forward + cost.backward) + devices * cost.setup
    hours = _seconds(asked, speed, pictures, devices, coder) / 3600
    return AttackEstimate(asked.name, cost.forward, cost.backward, cost.setup, passes, hours)


def _seconds(asked: Demand, speed: Speed, pictures: int, devices: int, coder: AutoencoderSpeed | None) -> float:
    """All devices together; each does the set-up for itself."""
    cost = asked.cost
    picture = cost.forward * speed.forward + cost.backward * (speed.backward or 0.0)
    if coder is not None:
        picture += cost.decoded * (coder.decode or 0.0) + cost.decoded_back * (coder.decode_back or 0.0)
    return pictures * picture + devices * cost.setup * speed.forward


def _together(lines: Iterable[AttackEstimate]) -> AttackEstimate:
    rows = [(line.forward, line.backward, line.setup, line.passes, line.device_hours) for line in lines]
    return AttackEstimate("together", *(sum(column) for column in zip(*rows, strict=True)))


def _cautions(target: Target, attacks: Sequence[Attack]) -> list[str]:
    """What else is assumed of these attacks and this target."""
    said = []
    if len(attacks) > 1:
        said.append("each attack as if it were alone: answers that several ask for are computed once")
    if any(attack.relative_to is None for attack in attacks[:1]):
        said.append(
            "an audit asks its first attack about mirrored pictures too (--no-controls leaves it out): not in it"
        )
    if any({"shadows", "reference", "control"} & set(attack.needs) for attack in attacks):
        said.append("shadow, reference and control models as fast as the audited one")
    if target.classes is not None:
        said.append(f"pictures with class labels: to find one takes {4 * target.classes} forward passes a picture more")
    return said
