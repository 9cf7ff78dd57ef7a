"""How many rows of a network of somebody's own there is room for: what one takes is measured."""

from __future__ import annotations

import logging

import torch

from trainedon.condition import UNCONDITIONAL, Classes, Condition
from trainedon.errors import UserError
from trainedon.targets.core.row_memory import Memory, RowsNeed, measured_peak
from trainedon.targets.core.target import Target

log = logging.getLogger("trainedon")


def row_need(target: Target, gradients: bool = False) -> RowsNeed | None:
    """What one row takes of memory besides the weights, with PyTorch's tensors: it is asked once, uncounted. gradients:
    with the way back. None where the network does not answer to that."""
    x = torch.zeros(1, *target.shape, device=target.device)
    t = torch.zeros(1, dtype=torch.int64, device=target.device)
    condition: Condition = UNCONDITIONAL if target.classes is None else Classes(t)

    def there() -> torch.Tensor:
        return target.predict(x, t, condition)

    def and_back() -> object:
        given = x.clone().requires_grad_(True)
        return torch.autograd.grad(target.predict(given, t, condition).square().sum(), given)

    row = measured_peak(and_back if gradients else there, gradients)
    return None if row is None else RowsNeed(row)


def fit_rows(target: Target, memory: Memory | None = None, gradients: bool = False) -> None:
    """Fewer rows at once, down to 1, where there is no room for as many as `target.batching` says.

    memory: of the target's device; as it is now, where not given. Raises UserError where too much would end the process
    and there is no room for one row.
    """
    memory = memory or Memory.of(target.device)
    need = None if memory is None else row_need(target, gradients)
    if memory is None or need is None:
        return
    most = need.most(memory)
    if most < 1 and memory.fatal:
        raise UserError(
            f"{target.identity.name}: {'the way back of ' if gradients else ''}a single row takes "
            f"{need.row / 2**30:.1f} GiB beside the weights, and {memory.free / 2**30:.1f} GiB are free, of which "
            f"{memory.share:.0%} may be taken: close other programs, or take a larger machine"
        )
    if most < target.batching.most:
        log.info("memory: %.1f GiB of %s free, %d rows at once", memory.free / 2**30, target.device, max(1, most))
        target.batching.at_most(max(1, most))
