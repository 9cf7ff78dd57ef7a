"""D = score - score in a view is the opposite number for the file in that view, however it is read."""

import diffusers
import numpy as np
import pytest
import tiny
import torch
from slowly import slowly

from trainedon.attacks import parse_attacks
from trainedon.pictures import Batch, Rendering
from trainedon.pictures.pixels.picture import Picture
from trainedon.targets import load_target

# that draw no noise, which would be another one for the mirror image's own digest
ATTACKS = [
    ("symmetric(pia, symmetries=mirror)", (1,)),
    ("drc@1(degradation=fade(t=200), restorations=1, steps=2, symmetries=mirror)", (1,)),
    ("drc@1(degradation=fade(t=200), restorations=1, steps=2, symmetries=half-turn)", (0, 1)),
    ("symmetric(pia, symmetries=upside-down)", (0,)),
]


RENDERINGS = [Rendering(), Rendering(fit="pad"), Rendering(fit="squash", resample="box")]


@pytest.fixture(scope="module", params=["pixels", "latents"])
def target(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "m"
    if request.param == "latents":
        return load_target(tiny.save("latent, KL", folder))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = tiny.unconditional(sample_size=16)
    diffusers.DDPMPipeline(unet=network, scheduler=diffusers.DDPMScheduler()).save_pretrained(folder)
    return load_target(folder)


def pictures():
    rng = np.random.default_rng(0)
    # read at the same size, enlarged, reduced, and with an odd column on one side
    shapes = [(16, 16), (8, 8), (9, 7), (40, 57), (33, 70), (16, 21), (21, 16)]
    return [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]


@pytest.mark.parametrize("rendering", [RENDERINGS[0], *slowly(*RENDERINGS[1:])], ids=str)
@pytest.mark.parametrize(("text", "axes"), ATTACKS)
def test_a_file_in_the_view_has_the_opposite_score(target, text, axes, rendering):
    (attack,) = parse_attacks(text)
    batches = [
        Batch.from_pictures(
            [Picture(str(i), f"{i:064x}", np.ascontiguousarray(rgb), {}, None) for i, rgb in enumerate(each)],
            target.picture[1:],
            target.picture[0],
            rendering,
        )
        for each in (pictures(), [np.flip(rgb, axes) for rgb in pictures()])
    ]
    here, there = (attack.score(target, batch) for batch in batches)
    assert attack.null_view and np.abs(here).min() > 1e-6 and np.isfinite(here).all()
    # what resampling rounds away may differ
    np.testing.assert_allclose(here, -there, rtol=0, atol=0.02 * np.abs(here).mean())
