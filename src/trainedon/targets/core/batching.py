"""Rows through a network, many at once, so that no row's answer depends on which others come along."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch

from trainedon.condition import Condition
from trainedon.targets.core.pace import Pace

PAD = 8
# x float32 (n, c, h, w), t int64 (n,), condition of n rows -> one answer a row, (n, ...)
Rows = Callable[[torch.Tensor, torch.Tensor, Condition], torch.Tensor]


@dataclass(eq=False)
class Batching:
    """How many rows go through a network at once.

    rows: at most. compiled: whether the network is compiled anew for each number of rows. pace: where the rows' time is
    measured, and progress told, if it is. unit: a batch is filled up to a multiple of it, a power of two up to PAD.
    coder: of a model with an autoencoder, how many pictures go through that at once. there_and_back: whether there is
    known to be room for the way back through as many rows.
    """

    rows: int = 64
    compiled: bool = False
    pace: Pace | None = None
    unit: int = PAD
    coder: Batching | None = field(default=None, repr=False)
    there_and_back: bool = field(default=False, repr=False)

    def through(
        self, network: Rows, x: torch.Tensor, t: torch.Tensor, condition: Condition, rows: int | None = None
    ) -> torch.Tensor:
        """`network(x, t, condition)`, at most `rows` rows at once, filled up to a multiple of `unit`.

        Kernels are chosen by batch size, and a lone row may take one that rounds otherwise; filled-up batches take the
        same one, so that a picture's answer does not depend on how many others come along.

        rows: another limit than that of all calls.
        """
        answers, size = [], self.at_once(x.device, rows)
        for start in range(0, len(x), size):
            part = slice(start, start + size)
            answers.append(self._timed(network, x[part], t[part], condition[part], start, size))
        return answers[0] if len(answers) == 1 else torch.cat(answers)

    def _timed(
        self, network: Rows, x: torch.Tensor, t: torch.Tensor, condition: Condition, start: int, most: int
    ) -> torch.Tensor:
        pace, n = self.pace, len(x)
        if pace is None:
            return self._filled(network, x, t, condition, most)
        began = pace.clock()
        answer = self._filled(network, x, t, condition, most)
        if self.adapts(x.device):
            pace.measure(self._size(n, most), pace.clock() - began)
        pace.tell(start + n)
        return answer

    def _filled(self, network: Rows, x: torch.Tensor, t: torch.Tensor, condition: Condition, most: int) -> torch.Tensor:
        """Answers of n rows, filled up with the first of them."""
        n, missing = len(x), self._size(len(x), most) - len(x)
        if missing:
            x = torch.cat([x, x[:1].detach().expand(missing, *x.shape[1:])])
            t = torch.cat([t, t[:1].expand(missing)])
            condition = condition.filled(missing)
        return network(x, t, condition)[:n]

    def _size(self, n: int, most: int) -> int:
        """How many rows the network is given for n of them; a compiled one few sizes, for each of which it is compiled.

        n, 1 at least, is at most `most`, a multiple of `unit`.
        """
        unit = self.unit
        size = min(unit << (-(-n // unit) - 1).bit_length(), most) if self.compiled else n + -n % unit
        return max(size, self.least)

    @property
    def least(self) -> int:
        """How many rows the network is given at least: what fewer cost."""
        # with one thread PyTorch computes 1 x 1 convolutions of fewer than 16 rows by itself, and rounds otherwise
        return 2 * PAD if self.unit == PAD and torch.get_num_threads() == 1 else self.unit

    @property
    def most(self) -> int:
        """How many rows the network is given at most, those that only fill up included."""
        return max(self.rows // self.unit * self.unit, self.least)

    def at_once(self, device: torch.device, rows: int | None = None) -> int:
        """How many rows the network is given, a multiple of `unit`, so that only the last batch is filled up."""
        most = (rows or self.rows) // self.unit * self.unit
        # not with gradients: those of weights are summed over a batch, so that its size shows
        if self.pace and self.adapts(device) and not torch.is_grad_enabled():
            most = int(min(most, self.pace.within(1) // self.unit * self.unit))
        return max(self.unit, most)

    def parts(self, n: int) -> Iterator[slice]:
        """n rows, as many of them together as go through the network at once: for who also takes the way back, until
        which all that a row went through is held."""
        size = max(self.unit, self.rows // self.unit * self.unit)
        return (slice(start, start + size) for start in range(0, n, size))

    def adapts(self, device: torch.device) -> bool:
        """Whether batches may shrink where rows are slow: on a CPU, where the batch size changes no answer and timing a
        batch forces no device to synchronise."""
        return self.pace is not None and device.type == "cpu" and not self.compiled

    def shrink(self) -> bool:
        """After memory ran out: halve `rows` down to 1, those of the autoencoder too, and give back what is cached.
        False if that was the least."""
        both = [one for one in (self, self.coder) if one is not None]
        shrunk = any(max(one.rows, one.unit) > 1 for one in both)  # few rows may have been filled up to a unit
        for one in both:
            one.at_most(max(1, one.rows // 2))
        gc.collect()
        torch.cuda.empty_cache()  # does nothing where CUDA was not used
        if torch.backends.mps.is_available():
            torch.mps.empty_cache()
        return shrunk

    def at_most(self, rows: int) -> None:
        """No more than so many rows from now on, 1 or more. Fewer than PAD come in batches of one size, so that answers
        still do not depend on the rows beside."""
        self.rows = min(self.rows, rows)
        self.unit = min(self.unit, power_of_two(self.rows))
        if self.least > rows:
            self.unit = PAD // 2


def power_of_two(rows: int) -> int:
    """The largest one that is not above `rows`, 1 or more."""
    return 1 << (rows.bit_length() - 1)
