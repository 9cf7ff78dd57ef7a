"""What is given in another type than is declared is refused in one line that says what to give."""

import re

import numpy as np
import pytest

import trainedon as to
from trainedon.attacks import Attack
from trainedon.attacks.learned.clid import CLiD
from trainedon.attacks.wrappers.flip import Flip
from trainedon.attacks.wrappers.timesteps import Timesteps

ARRAY = np.zeros((2, 8, 8, 3), np.uint8)
PLACES = ("model", "suspects")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: to.Choices(limit=1.5), "Choices: limit takes a whole number or None, not 1.5"),
        (lambda: to.Choices(seed=True), "Choices: seed takes a whole number, not True"),
        (lambda: to.Machine(device=0), "Machine: device takes a text, not 0"),
        (lambda: to.Machine(adapter="lora"), "Machine: adapter takes a list of texts or None, not 'lora'"),
        (lambda: to.Reading(follow_links="yes"), "Reading: follow_links takes True or False, not 'yes'"),
        (lambda: to.Loss(t=1.5), "loss: t takes a whole number, not 1.5"),
        (lambda: to.Loss(t=np.int64(3)), "loss: t takes a whole number, not np.int64(3)"),
        (lambda: to.Loss(t="soon"), "loss: t takes a whole number, not 'soon'"),
        (lambda: to.Loss(t=None), "loss: t takes a whole number, not None"),
        (lambda: to.DRC(roi=3), "drc@1: roi takes a region, not 3"),
        (lambda: to.DRC(degradation=[to.roi.Center()]), "drc@1: degradation takes a tuple of degradations, not ["),
        (lambda: to.roi.Center("wide"), "center: ratio takes a number, not 'wide'"),
        (lambda: Flip(to.roi.Center()), "flip: attack takes an attack, not Center(ratio=0.25)"),
        (lambda: Timesteps(to.Loss(), t=(1, 2.5)), "timesteps: t takes a tuple of whole numbers, not (1, 2.5)"),
        (lambda: to.audit(None, "suspects"), "the model is None: give its path or hub id, or what load_target"),
        (lambda: to.audit(ARRAY, "suspects"), "the model is array([[[[0, 0, 0]"),
        (lambda: to.audit("model", ARRAY), "the suspect pictures are array([[[[0, 0, 0]"),
        (lambda: to.audit("model", None), "the suspect pictures are None: give a path or a URL of a folder"),
        (lambda: to.evaluate("model", "members", None), "the unseen pictures are None: give a path"),
        (lambda: to.audit(*PLACES, out=3), "out is 3: give a path, or None"),
        (lambda: to.audit(*PLACES, shadows=["a"]), "shadows is ['a']: give a path, or None"),
        (lambda: to.audit(*PLACES, machine="cpu"), "machine is 'cpu': give machine=Machine(device=\"cpu\")"),
        (lambda: to.peaks("model", "a", "b", choices=5), "choices is 5: give choices=Choices(seed=1)"),
        (lambda: to.sweep("model", "a", "b", reading=None), 'reading is None: give reading=Reading(fit="pad")'),
        (lambda: to.plan("model", 10, machine="cpu"), "machine is 'cpu': give machine=Machine("),
        (lambda: to.plan(7, 10), "the model is 7: give its path"),
    ],
)
def test_another_type_is_refused(make, says):
    with pytest.raises(to.UserError, match=f"^{re.escape(says)}") as raised:
        make()
    assert "\n" not in str(raised.value)


def test_what_says_the_same_is_taken():
    assert Timesteps(to.Loss(), t=[1, 2]) == Timesteps(to.Loss(), t=(1, 2)) == Timesteps("loss", t="1+2")
    assert CLiD(t=100).t == (100,)
    assert to.DRC(degradation="hide") == to.DRC(degradation=[to.degradation.Hide()])
    assert to.Loss(t="100") == to.Loss(t=100)
    assert isinstance(Flip("loss(t=50)").attack, Attack)
