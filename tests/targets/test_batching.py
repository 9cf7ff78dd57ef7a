"""How rows go through a network: how many at once, filled up with what, in which order."""

import pytest
import torch

from trainedon.condition import UNCONDITIONAL, Captions
from trainedon.targets import Batching, Evaluations, Pace
from trainedon.targets.core.batching import PAD

CPU = torch.device("cpu")


@pytest.fixture
def network():
    """Answers `x + t`, and keeps the sizes of its batches and their captions."""

    def answer(x, t, condition):
        answer.sizes.append(len(x))
        answer.captions.append(condition.texts if isinstance(condition, Captions) else None)
        return x + t.view(-1, 1, 1, 1)

    answer.sizes, answer.captions = [], []
    return answer


def rows(n):
    return torch.arange(n).float().view(n, 1, 1, 1).expand(n, 3, 2, 2), torch.arange(n)


def test_rows_come_back_in_order_and_the_last_batch_is_filled_up(network):
    x, t = rows(37)
    assert torch.equal(Batching(16).through(network, x, t, UNCONDITIONAL), 2 * x)
    assert network.sizes[:2] == [16, 16] and network.sizes[2] % PAD == 0


def test_what_fills_up_is_the_first_row_with_its_condition(network):
    x, t = rows(3)
    Batching().through(network, x, t, Captions(("a", "b", "c")))
    (captions,) = network.captions
    assert captions == ("a", "b", "c") + ("a",) * (network.sizes[0] - 3)


def test_another_limit_holds_for_one_call(network):
    x, t = rows(32)
    batching = Batching(64)
    batching.through(network, x, t, UNCONDITIONAL, rows=16)
    batching.through(network, x, t, UNCONDITIONAL)
    assert network.sizes == [16, 16, 32] and batching.rows == 64


def test_batches_shrink_to_the_smallest_and_no_further():
    batching = Batching(40, coder=Batching(64))
    assert [batching.shrink() for _ in range(7)] == 6 * [True] + [False]
    assert (batching.rows, batching.unit, batching.coder.rows, batching.coder.unit) == (1, 1, 1, 1)


@pytest.mark.parametrize(("most", "sizes"), [(5, [4, 4, 4]), (3, [2] * 6), (1, [1] * 11)])
def test_fewer_rows_than_eight_come_in_batches_of_one_size(most, sizes, network):
    batching = Batching(32)
    batching.at_most(most)
    x, t = rows(11)
    assert torch.equal(batching.through(network, x, t, UNCONDITIONAL), 2 * x)
    assert network.sizes == sizes


def test_with_one_thread_fewer_than_sixteen_rows_are_not_filled_up_to_sixteen(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    batching = Batching(32)
    assert batching.least == 16
    batching.at_most(12)
    assert batching.least == 4 and batching.at_once(CPU) == 12


def test_slow_rows_come_few_at_a_time_on_a_processor_alone():
    batching = Batching(64, pace=Pace(interval=40.0, seconds=0.5))  # 20 rows are a quarter of an interval
    with torch.no_grad():
        assert batching.at_once(CPU) == 16 and batching.at_once(torch.device("cuda")) == 64
        assert Batching(64, compiled=True, pace=batching.pace).at_once(CPU) == 64
    assert batching.at_once(CPU) == 64, "gradients of weights are sums over all rows"


def test_the_pace_of_rows_is_measured(network):
    ticks = iter(range(100))
    pace = Pace(clock=lambda: float(next(ticks)))
    x, t = rows(16)
    Batching(pace=pace).through(network, x, t, UNCONDITIONAL)
    assert pace.seconds == 1 / 16


def test_evaluations_are_counted_in_a_block_and_added():
    total = Evaluations(forward=5, spared=1.5)
    with total.counted() as spent:
        total.add(Evaluations(2, 3, 0.25))
    assert (spent, total) == (Evaluations(2, 3, 0.25), Evaluations(7, 3, 1.75))
