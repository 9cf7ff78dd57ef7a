"""How an attack is run: pictures are validated and moved, scored in chunks that fit into memory, and not twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from trainedon.attacks.core.answers import Scored
from trainedon.errors import PartError, UserError
from trainedon.pictures import Batch
from trainedon.targets import Target
from trainedon.targets.core.asking import ran_out
from trainedon.targets.networks.footprint import fit_gradients

if TYPE_CHECKING:
    from trainedon.attacks.core.attack import Attack

NO_ROOM = "close other programs, or take a machine or a device with more memory"


def run(attack: Attack, target: Target, pictures: Batch | torch.Tensor) -> Scored:
    """Scores of all pictures, of an attack that learns its observations, and what there is to show.

    pictures: a Batch, or float32 (n, c, h, w) in [-1, 1] at the target's size. Raises UserError as `Attack.score`.
    """
    parts = list(run_in_chunks(attack, target, pictures))
    scores = np.concatenate([part.scores for part in parts]) if parts else np.empty(0)
    return Scored(scores, tuple(exhibit for part in parts for exhibit in part.exhibits))


def run_in_chunks(attack: Attack, target: Target, pictures: Batch | torch.Tensor) -> Iterator[Scored]:
    """`run`, part by part, in the order of the pictures.

    A chunk fills `target.batching.rows` rows of the network, fewer where that would take longer than the
    interval at which results are saved. An attack that `observes` others takes all pictures at once.
    """
    batch = valid(target, pictures if isinstance(pictures, Batch) else Batch.of(pictures))
    attack.check(target)
    if "gradients" in attack.needs:
        fit_gradients(target)
    if attack.observes:
        yield Scored(np.stack([run_once(one, target, batch) for one in attack.observes], axis=1))
        return
    attack.prepare(target)
    scores: list[np.ndarray] = []
    with target.remembering(_key(attack, target, batch), lambda: np.concatenate(scores)) as timed:
        chunks = _chunks(attack, target, batch)
        while (scored := timed(lambda: next(chunks, None))) is not None:
            scores.append(scored.scores)
            yield scored


def run_once(attack: Attack, target: Target, batch: Batch) -> np.ndarray:
    """The scores of `run`, which are kept while the target is `sharing`, and then not computed again."""
    return target.shared(_key(attack, target, batch), lambda: run(attack, target, batch).scores)


def run_batch(attack: Attack, target: Target, batch: Batch) -> Scored:
    """The answer of `Attack.score_batch`, its shape checked: for attacks that are made of others, which have a valid
    batch in hand."""
    answer: object = attack.score_batch(target, batch)
    if not isinstance(answer, Scored | torch.Tensor):
        raise PartError(attack, f"{attack.name} answered a {type(answer).__name__}: answer a tensor, or Scored(array)")
    scored = answer if isinstance(answer, Scored) else Scored(answer.cpu().double().numpy())
    if len(scored.scores) != len(batch) or scored.scores.ndim != 1 + attack.learns:
        raise PartError(attack, f"{attack.name} answered {scored.scores.shape} for {len(batch)} pictures")
    return scored


def valid(target: Target, batch: Batch) -> Batch:
    """The batch on the target's device, with what the network is conditioned on.

    Raises UserError for pictures of another size, and for a class-conditional model without classes.
    """
    if tuple(batch.pixels.shape[1:]) != target.picture:
        raise UserError(
            f"the model takes pictures of {target.picture}, not {tuple(batch.pixels.shape[1:])}: fit them first"
        )
    condition = target.condition_of(batch).to(target.device)
    return replace(batch, pixels=batch.pixels.to(target.device), condition=condition)


def _key(attack: Attack, target: Target, batch: Batch) -> tuple[object, ...]:
    return repr(attack), target.identity.digest, batch.sha256, target.condition_of(batch), batch.captions


def _chunks(attack: Attack, target: Target, batch: Batch) -> Iterator[Scored]:
    """Answers to one chunk after another.

    Where memory runs out, the rows are halved for good and the chunk is done again, and none before it. Raises
    UserError when there is not enough for a single picture.
    """
    start, most = 0, len(batch)
    while start < len(batch):
        part = batch[start : start + min(most, _at_once(attack, target))]
        scored = _if_it_fits(attack, target, part)
        if scored is None:
            if not target.batching.shrink():
                if len(part) == 1:
                    raise UserError(f"{attack.name}: memory does not suffice for a single picture: {NO_ROOM}")
                most = len(part) // 2
            continue
        start += len(part)
        yield scored if attack.learns else replace(scored, scores=_finite(scored.scores))


def _at_once(attack: Attack, target: Target) -> int:
    """How many pictures make a chunk. Where results are saved at intervals: as few as fill a batch until the speed is
    known, then as many as a quarter of an interval suffices for."""
    pictures, pace = attack.together(target.batching.rows), target.batching.pace
    if not target.adapts or pace is None:
        return pictures
    cost = attack.cost(target)
    within = 0 if pace.seconds is None else pace.within(cost.forward + 2 * cost.backward)
    return int(max(attack.together(target.batching.unit), min(pictures, within)))


def _if_it_fits(attack: Attack, target: Target, batch: Batch) -> Scored | None:
    """`run_batch`, or None when memory ran out; passes of what was not finished are not counted."""
    before = replace(target.evaluations)
    try:
        with torch.no_grad():
            return run_batch(attack, target, batch)
    except (MemoryError, RuntimeError) as error:
        if not ran_out(error):
            raise
    vars(target.evaluations).update(vars(before))
    return None


def _finite(scores: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(scores), scores, np.nan)
