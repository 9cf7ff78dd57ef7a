"""Each training asks about the same pictures, changes one thing, and one with noise is a model like the others."""

import numpy as np
import pytest
from PIL import Image

from benchmarks.remedies import ASKED, COPIES, MOST, REMEDIES, REPEATED, UNSEEN, Noise, Pictures, train_with_noise
from trainedon.errors import UserError
from trainedon.targets import load_target
from trainedon.training import Recipe

SMALL = Recipe(size=16, widths=(8, 16), passes=2, batch_size=4, warmup=1)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("faces"), np.random.default_rng(0)
    for number in range(MOST + UNSEEN):
        Image.fromarray(rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


def contents(folder):
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def test_what_is_asked_about_was_trained_on_by_all_and_the_rest_by_none(faces, tmp_path):
    pictures = Pictures(tmp_path, faces)
    asked = set(contents(pictures.folder("asked", slice(ASKED))))
    unseen = set(contents(pictures.folder("unseen", slice(MOST, MOST + UNSEEN))))
    assert (len(asked), len(unseen)) == (ASKED, UNSEEN)
    for name, remedy in REMEDIES.items():
        trained = contents(pictures.folder(name, slice(remedy.members), slice(REPEATED if remedy.repeated else 0)))
        assert asked <= set(trained) and unseen.isdisjoint(trained), name
        assert len(trained) == remedy.members + REPEATED * (COPIES - 1) * remedy.repeated, name


def test_a_snapshot_is_one_that_its_training_leaves():
    for remedy in REMEDIES.values():
        assert remedy.of is None or remedy.snapshot in REMEDIES[remedy.of].snapshots


def test_other_pictures_are_not_mixed_with_those_that_lie_there(faces, tmp_path):
    Pictures(tmp_path, faces).folder("asked", slice(3))
    (tmp_path / "asked" / "0001.png").write_bytes(b"another")
    with pytest.raises(UserError, match="holds other faces"):
        Pictures(tmp_path, faces).folder("asked", slice(3))


def test_too_few_pictures(tmp_path):
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=f"give {MOST + UNSEEN} or more"):
        Pictures(tmp_path / "out", tmp_path).folder("asked", slice(1))


def test_training_with_noise_makes_a_model_which_the_noise_changes(faces, tmp_path):
    source = Pictures(tmp_path, faces).folder("some", slice(8))
    digests = set()
    for number, noise in enumerate([Noise(1.0, 0.0), Noise(1.0, 0.0), Noise(1.0, 1.0), Noise(0.1, 0.0)]):
        folder = tmp_path / f"model-{number}"
        train_with_noise(source, folder, SMALL, noise, lambda *_: None)
        digests.add(load_target(folder).identity.digest)
    assert len(digests) == 3  # the same training twice, and two others


def test_a_recipe_is_changed_in_one_thing():
    usual = REMEDIES["usual"].recipe
    for name, remedy in REMEDIES.items():
        changed = sum(getattr(remedy.recipe, field) != getattr(usual, field) for field in vars(usual))
        assert changed <= 1, name
