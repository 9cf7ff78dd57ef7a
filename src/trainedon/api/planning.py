"""What would a run take?"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trainedon.api.choosing import DEFAULT, Means, against_view, chosen, lead_of, possible
from trainedon.api.opening import opened
from trainedon.api.options import MACHINE, READING, Machine, Reading, check_call
from trainedon.errors import UserError

if TYPE_CHECKING:
    from trainedon.api.choosing import Attacks
    from trainedon.planning.forecast import Estimate
    from trainedon.targets import Target

log = logging.getLogger("trainedon")


def plan(
    model: str | Path | Target,
    n: int,
    *,
    gpus: int = 1,
    attacks: Attacks | None = None,
    shadows: str | Path | None = None,
    reference: str | Path | None = None,
    control: str | Path | None = None,
    controls: bool = True,
    pictures: str | Path | None = None,
    bytes_per_picture: int | None = None,
    suspects: int | None = None,
    sources: int | None = None,
    machine: Machine = MACHINE,
    reading: Reading = READING,
) -> Estimate:
    """What would an evaluation of n pictures take? Measures one batch of the network here.

    gpus: how many devices like this one share the work. pictures: some of the pictures, whose size, and how fast they
    are read, is measured. bytes_per_picture: how large a stored one is, if not measured. suspects: how many of the n
    are in question, of an audit whose other pictures are unseen, or which has no others; the estimate then says which
    claim it can reach. None: an evaluation where attacks are named, else an audit of n pictures alone.
    sources: of how many artists, or other sources, the unseen ones are, where the suspects are works of one and labels
    are to be dealt by that. All else, and errors, as of `audit`.
    """
    from trainedon.attacks.core.pool import Pool
    from trainedon.attacks.wrappers.on_control import on_control
    from trainedon.attacks.wrappers.recaptioned import controls as with_other_captions
    from trainedon.attacks.wrappers.turned import mirrorable
    from trainedon.evidence.protocol.reachable import Given, SourcesGiven, reachable
    from trainedon.planning import forecast

    places = {"shadows": shadows, "reference": reference, "control": control, "pictures": pictures}
    check_call(model, {}, places, machine=machine, reading=reading)
    reading.without_sources("a plan, and give --sources N")
    _check_counts(n, suspects, sources)
    means = Means("evaluate", ("unseen",), shadows, reference, base=machine.base, control=control)
    if attacks is None and suspects is None:
        log.warning("note: planned as an audit of %d pictures alone; with unseen ones among them, give --suspects", n)
        suspects = n
    wanted, by_mirror = DEFAULT if attacks is None else attacks, suspects == n
    named = chosen(wanted, means)
    lead = "first" if suspects is None else lead_of(wanted, not by_mirror, "mirror" if by_mirror else None)
    target = opened(model, machine)
    named = possible(named, wanted, target)
    if by_mirror:
        named, by_mirror = against_view(named if attacks is not None else None, target, "mirror")
    recaptioned = with_other_captions(target, named, Pool.of(("one", "another"))) if controls else []
    tests, mirrored = len(named), mirrorable(named, lead)
    named += [*recaptioned, *on_control(named, means.control_model())]
    estimate = forecast.plan(
        target,
        named,
        n,
        gpus,
        source=pictures,
        bytes_per_picture=bytes_per_picture,
        rendering=reading.rendering,
        follow_links=reading.follow_links,
        sizes=() if suspects is None else (suspects, n - suspects),
    )
    if suspects is None:
        return estimate
    works = None if sources is None else SourcesGiven.one_against(sources)
    given = Given(
        suspects=suspects,
        unseen=n - suspects,
        attacks=tests,
        sources=works,
        by_mirror=by_mirror,
        bounded=control is not None,
        mirrorable=control is not None or mirrored,
        together=lead == "cdi",
    )
    return replace(estimate, reachable=reachable(given))


def _check_counts(n: int, suspects: int | None, sources: int | None) -> None:
    """Raises UserError for more suspects than pictures, or more sources than unseen ones."""
    if suspects is not None and not 0 < suspects <= n:
        raise UserError(f"{suspects} suspects of {n} pictures: give from 1 to {n}")
    if sources is not None and (suspects is None or not 0 < sources <= n - suspects):
        raise UserError(f"{sources} sources: say how many are suspects, and of how many artists the unseen ones are")
