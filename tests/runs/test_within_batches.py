"""Progress while a batch is in the network."""

from types import SimpleNamespace

import pytest

from trainedon.attacks import Cost
from trainedon.runs.scoring.within_batches import told_within
from trainedon.targets import Evaluations, Pace


def test_pictures_count_in_parts_which_only_grow_and_none_is_done_before_the_end():
    now, told = [0.0], []
    target = SimpleNamespace(evaluations=Evaluations())
    pace = Pace(clock=lambda: now[0])

    def later(under_way):
        now[0] += 1
        pace.tell(under_way)

    with told_within(target, pace, Cost(4, 3), 10, told.append):  # 100 passes: a backward one counts twice
        later(20)
        target.evaluations.forward, target.evaluations.backward = 30, 10
        later(0)
        target.evaluations.forward = 20  # of a part that is counted anew
        later(0)
        target.evaluations.forward, target.evaluations.backward = 40, 30
        later(0)
    later(0)
    assert told == pytest.approx([2, 5, 5, 9.9])


@pytest.mark.parametrize(("pace", "cost"), [(None, Cost(4)), (Pace(), Cost(0))])
def test_without_a_clock_or_passes_nothing_is_told(pace, cost):
    with told_within(SimpleNamespace(evaluations=Evaluations()), pace, cost, 10, pytest.fail):
        if pace:
            pace.tell(1)
