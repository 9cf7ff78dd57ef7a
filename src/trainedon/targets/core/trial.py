"""One trial of a network that somebody brings along, before any picture is scored: are its answers what is needed?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from trainedon.condition import UNCONDITIONAL, Classes, Condition
from trainedon.errors import UserError

ROWS = 4
ALIKE = 1e-3  # of the largest answer: what kernels chosen by the batch may differ by; dropout differs by far more

Answering = Callable[[torch.Tensor, torch.Tensor, Condition], torch.Tensor]


def check_answer(answer: Any, x: torch.Tensor, doubled: bool, given: str) -> None:
    """Raises UserError, with what was given and what is expected, for an answer of another kind, shape or dtype.

    x: (n, c, h, w), what was asked. doubled: whether 2c channels are due, the latter half of them a variance.
    """
    n, c, h, w = x.shape
    due = [n, 2 * c if doubled else c, h, w]
    expected = f"expected is a float32 tensor {due}"
    if not isinstance(answer, torch.Tensor):
        found = [name for name in ("sample", "pred", "logits") if isinstance(getattr(answer, name, None), torch.Tensor)]
        remedy = f": return its .{found[0]}" if found else ""
        if isinstance(answer, tuple | list) and answer and isinstance(answer[0], torch.Tensor):
            remedy = ": return its first part, if that is the answer"
        raise UserError(f"was given {given} and answered a value of type {type(answer).__name__}, {expected}{remedy}")
    if list(answer.shape) != due:
        remedy = ""
        if list(answer.shape) == [n, 2 * c, h, w]:
            remedy = ": if the latter half is the learned variance, give learned_sigma=True"
        elif doubled and list(answer.shape) == [n, c, h, w]:
            remedy = ": leave out learned_sigma"
        raise UserError(f"was given {given} and answered {list(answer.shape)}, {expected}{remedy}")
    if answer.dtype != torch.float32:
        kind = str(answer.dtype).removeprefix("torch.")
        raise UserError(f"was given {given} and answered {kind}, {expected}: end with .float()")
    if answer.device != x.device:
        raise UserError(f"was given {given} on {x.device} and answered on {answer.device}: give device= to Target.of")


def tried(
    predict: Answering, shape: tuple[int, int, int], steps: int, classes: int | None, device: torch.device
) -> bool:
    """Ask a few rows of noise at the ends of the path and between, and say whether answers can be differentiated.

    Raises UserError for answers that are not finite, that change from one pass to the next, or with other neighbours
    at other timesteps, and for one answer to everything.
    """
    noise = torch.randn(2 * ROWS, *shape, generator=torch.Generator().manual_seed(0)).to(device)
    t = torch.tensor([0, steps // 4, 3 * steps // 4, steps - 1], device=device)
    condition: Condition = UNCONDITIONAL
    if classes is not None:
        condition = Classes(torch.arange(ROWS, device=device) % classes)
    differentiable = _differentiates(predict, noise[:ROWS], t, condition)
    with torch.no_grad():
        first = predict(noise[:ROWS], t, condition)
        _check_finite(first, t)
        again = predict(noise[:ROWS], t, condition)
        _check_alike(first, again, "answers the same differently the second time: it draws noise (dropout?)")
        others = torch.cat([noise[ROWS : 2 * ROWS - 1] * 3, noise[:1]])  # the first row is the last now,
        times = torch.stack([t[1], t[1], t[2], t[0]])  # and the mean, the largest and the first t are others
        if isinstance(condition, Classes):
            condition = Classes(condition.labels.roll(-1))
        beside = predict(others, times, condition)
        _check_answers(first, beside)
        told = "answers one row by the rows beside it (batch normalisation in training mode, or one t for all rows?)"
        _check_alike(first[:1], beside[-1:], told)
    return differentiable


def _differentiates(predict: Answering, x: torch.Tensor, t: torch.Tensor, condition: Condition) -> bool:
    """Whether gradients lead from the answer to `x`. Raises UserError where the network fails, with or without them."""
    with torch.enable_grad():
        x = x.clone().requires_grad_(True)
        try:
            answer = predict(x, t, condition)
        except UserError:
            with torch.no_grad():
                predict(x.detach(), t, condition)  # where this fails too, it says why
            return False  # such as a network that goes through NumPy
        if not answer.requires_grad:
            return False
        try:
            (gradient,) = torch.autograd.grad(answer.sum(), x, allow_unused=True)
        except RuntimeError:  # a part of the network that has no derivative
            return False
    return gradient is not None and bool(gradient.isfinite().all())


def _check_finite(answer: torch.Tensor, t: torch.Tensor) -> None:
    wrong = ~answer.isfinite().flatten(1).all(1)
    if wrong.any():
        at = ", ".join(str(step) for step in t[wrong].tolist())
        raise UserError(
            f"answers NaN or infinity to noise at step {at}: is it told of t as it was in training (times=), and are "
            "its weights loaded?"
        )


def _check_answers(*answers: torch.Tensor) -> None:
    rows = torch.cat(answers)
    if bool((rows == rows[:1]).all()):
        raise UserError(
            "answers the same whatever noise, t and labels it is given: are its weights loaded? (Before training a "
            "last layer may hold zeros.)"
        )


def _check_alike(first: torch.Tensor, other: torch.Tensor, what: str) -> None:
    if (first - other).abs().max() > ALIKE * first.abs().max().clamp(min=1e-6):
        raise UserError(f"{what}: call .eval() on it, or draw what it needs outside")
