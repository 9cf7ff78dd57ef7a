import sys

import pytest

from trainedon.attacks import Attack
from trainedon.compare import Similarity
from trainedon.degrade import Degradation, Roi
from trainedon.restore import Restorer

MODULES = ("sample_attack", "broken_parts", "frame")


@pytest.fixture
def forgotten(monkeypatch):
    """What is registered or left out in a test is forgotten after it."""
    for base in (Attack, Roi, Degradation, Restorer, Similarity):
        monkeypatch.setattr(base.noun, "makers", dict(base.noun.makers))
        monkeypatch.setattr(base.noun, "left_out", {})
    yield
    for module in MODULES:
        sys.modules.pop(module, None)
