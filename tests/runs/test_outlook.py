"""What is said of the time to go, and how often an audit asks for the same latents."""

import logging
import math

import diffusers
import pytest
import tiny

import trainedon as to
from trainedon.attacks import parse_attacks
from trainedon.runs.scoring import outlook
from trainedon.runs.scoring.outlook import Outlook, lasting
from trainedon.runs.scoring.painting import painted, painting_cost
from trainedon.targets import Evaluations


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, "trainedon")
    return lambda: [record.message for record in caplog.records if "to go" in record.message]


@pytest.mark.parametrize(
    ("seconds", "text"), [(61, "1 minutes"), (3600, "60 minutes"), (7200, "2.0 hours"), (300_000, "3.5 days")]
)
def test_times_in_the_unit_that_suits(seconds, text):
    assert lasting(seconds) == text


def test_after_the_first_batch_the_passes_that_are_left_are_reckoned_at_its_pace(target, said):
    attacks = parse_attacks("loss, pia")  # 1 and 2 passes a picture
    told = Outlook(target, attacks)
    told.tell((0, 0), [1000], 0, 10, Evaluations(forward=10, spared=50.0))  # 5 s a pass
    told.tell((0, 0), [1000], 0, 20, Evaluations(forward=10, spared=90.0))
    assert said() == [f"about {(990 + 2000) * 5 / 3600:.1f} hours to go, at the pace of the first batch (5 s a pass)"]


def test_what_the_page_shows_is_painted_besides_and_what_was_asked_before_is_not_asked_again(target, said):
    attacks = parse_attacks("drc, turned(drc)")
    score, centre = attacks[0].cost(target).forward, painting_cost(target, attacks[0])
    Outlook(target, attacks).tell((0, 0), [20, 20], 0, 40, Evaluations(forward=1, spared=60.0))
    passes = 40 * (centre.forward + 2 * centre.backward)
    assert centre.forward > score, "the guesses again, and a hidden centre"
    assert said() == [f"about {lasting(60 * passes)} to go, at the pace of the first batch (60 s a pass)"]


def test_of_many_pictures_those_are_painted_that_are_ever_among_the_first():
    assert painted([10, 48], 64) == 58 and painted([64], 64) == 48
    assert painted([64 * 20], 64) == round(48 * (1 + math.log(20)))


def test_of_a_short_run_nothing_is_said(target, said):
    Outlook(target, parse_attacks("loss")).tell((0,), [60], 0, 10, Evaluations(forward=10, spared=10.0))
    Outlook(target, parse_attacks("loss")).tell((), [], 0, 10, Evaluations(forward=10, spared=10.0))
    assert said() == []


def test_a_run_says_it_once(target_folders, toy_pictures, said, monkeypatch):
    monkeypatch.setattr(outlook, "SHORT", 0.0)
    asked = {"unseen": toy_pictures["unseen"], "attacks": "loss, pia"}
    to.audit(target_folders["epsilon"], toy_pictures["members"], **asked, machine=to.Machine(device="cpu"))
    assert len(said()) == 1


@pytest.mark.slow
def test_three_attacks_have_each_picture_and_view_encoded_once(tmp_path, toy_pictures, monkeypatch):
    seen, encode = [], diffusers.AutoencoderKL.encode

    def counted(self, x):
        seen.extend(row.numpy().tobytes() for row in x)
        return encode(self, x)

    monkeypatch.setattr(diffusers.AutoencoderKL, "encode", counted)
    monkeypatch.setattr("trainedon.targets.networks.latent.ALONE", 0)  # one by one, so that none fills a batch up
    asked = {"attacks": "drc-latent, loss, secmi", "unseen": toy_pictures["unseen"], "controls": True}
    machine = to.Machine(device="cpu", batch_size=16)
    to.audit(tiny.save("latent, KL", tmp_path / "model"), toy_pictures["members"], **asked, machine=machine)
    assert len(seen) == len({*seen}) >= 2 * 48
