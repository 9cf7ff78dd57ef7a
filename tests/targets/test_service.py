"""A model of which nothing is seen but the variations that it makes of pictures."""

from dataclasses import replace

import diffusers
import numpy as np
import pytest
import tiny
import torch

from trainedon.attacks import parse_attacks
from trainedon.errors import UserError
from trainedon.pictures import Batch
from trainedon.targets import Service

SHAPE = (3, 16, 16)


def remembers(known: torch.Tensor):
    """A service that brings pictures back as they were if it knows them, and paler otherwise."""

    def vary(pixels, strength, seeds, captions):
        assert 0 < strength < 1 and len(seeds) == len(captions) == len(pixels)
        seen = (pixels[:, None] == known[None]).flatten(2).all(2).any(1)
        noise = torch.stack([torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
        return torch.where(seen.view(-1, 1, 1, 1), pixels + strength * noise, pixels / 2 + strength * noise)

    return vary


def test_rediffuse_tells_from_variations_alone(batch_of):
    batch = batch_of(6)
    service = Service.of(remembers(batch.pixels[:3]), SHAPE)
    (attack,) = parse_attacks("rediffuse")
    with service.counted() as spent:
        scores = attack.score(service, batch)
    assert scores[:3].min() > scores[3:].max()
    assert spent.forward == 6 * attack.cost(service).forward == 60
    assert np.array_equal(attack.score(service, batch.take([4, 1])), scores[[4, 1]])
    (other,) = parse_attacks("rediffuse(seed=1)")
    assert not np.array_equal(other.score(service, batch), scores)


def test_other_attacks_say_why_not(batch_of):
    service = Service.of(remembers(torch.zeros(1, *SHAPE)), SHAPE, name="painter")
    for spec in ("loss", "drc", "fremia(pia)", "timesteps(secmi, t=50+100)"):
        (attack,) = parse_attacks(spec)
        with pytest.raises(UserError, match="painter only varies pictures: take rediffuse"):
            attack.score(service, batch_of(2))


def test_an_answer_of_another_shape_is_refused(batch_of):
    service = Service.of(lambda pixels, *_: pixels[:, :, :4], SHAPE)
    (attack,) = parse_attacks("rediffuse")
    with pytest.raises(UserError, match="must answer with a variation of each"):
        attack.score(service, batch_of(2))


@pytest.mark.filterwarnings("ignore")
def test_a_pipeline_of_diffusers_is_a_service(tmp_path, batch_of):
    folder = tiny.save("stable diffusion", tmp_path)
    pipeline = diffusers.StableDiffusionImg2ImgPipeline.from_pretrained(folder, safety_checker=None)
    service = Service.of_pipeline(pipeline, SHAPE, steps=5)
    (attack,) = parse_attacks("rediffuse(n=2, metric=ssim)")
    batch: Batch = replace(batch_of(3), captions=("a tree", "two birds", None))
    scores = attack.score(service, batch)
    assert np.isfinite(scores).all() and len(set(scores)) == 3
    assert np.array_equal(attack.score(service, batch), scores)
    assert not np.array_equal(attack.score(service, replace(batch, captions=("a", "b", "c"))), scores)
