"""Twins from the making to the claim."""

import hashlib
import json
import shutil

import numpy as np
import pytest
from commandline import call
from PIL import Image

import trainedon
from trainedon.errors import UserError
from trainedon.evidence import chosen_copy, read_twins, twins_commitment
from trainedon.evidence.protocol.claims import claim_by_twins
from trainedon.evidence.protocol.obstacles import of_twins
from trainedon.pictures import scan, take_inventory
from trainedon.runs import verify
from trainedon.twinning import make_twins

ATTACK = "loss(t=100)"


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


@pytest.fixture
def twins(toy_pictures, tmp_path):
    """Of the toy members, with one kept copy each."""
    make_twins(toy_pictures["members"], tmp_path / "twins", "crop", secret="s")
    return tmp_path / "twins"


def audit(model, twins, out=None, suspects=None, **options):
    given = {"twins": twins / "twins.json", "out": out, "attacks": ATTACK}
    return trainedon.audit(model, suspects or twins, **given | options)


def test_one_copy_is_published_by_its_coin_and_the_others_are_kept(toy_pictures, tmp_path):
    made = make_twins(toy_pictures["members"], tmp_path, "pattern", kept=2)
    assert made == read_twins(tmp_path / "twins.json")
    assert len(names(tmp_path / "publish")) == len(made.pictures) == len(names(toy_pictures["members"]))
    assert names(tmp_path / "publish") == names(toy_pictures["members"])
    assert len(names(tmp_path / "kept")) == 2 * len(made.pictures)
    for picture in made.pictures:
        assert picture.published.sha256 == picture.digests[chosen_copy(made.secret, picture.digests)]
    assert made.commitment == twins_commitment(made.secret, "pattern", 2, [one.digests for one in made.pictures])
    published = [picture.published for picture in made.pictures]
    kept = [copy for picture in made.pictures for copy in picture.kept]
    for folder, copies in (("publish", published), ("kept", kept)):
        listed = {item.picture: item.sha256 for item in take_inventory(scan(tmp_path / folder), "suspect")}
        assert listed == {copy.file: copy.sha256 for copy in copies}


def test_every_copy_is_as_likely_to_be_published():
    counts = np.bincount([chosen_copy(f"secret {i}", ["a" * 64, "b" * 64, "c" * 64]) for i in range(3000)])
    assert counts.min() > 900


def test_the_commitment_is_the_one_that_the_page_says():
    def h(*parts):
        return hashlib.sha256(b"".join(hashlib.sha256(part.encode()).digest() for part in parts))

    groups = [["b" * 64, "a" * 64], ["d" * 64, "c" * 64]]
    hashes = sorted(h("trainedon/twins/picture", *sorted(group)).hexdigest() for group in groups)
    whole = h("trainedon/twins/commitment", "s", "crop", "1", *hashes).hexdigest()
    assert twins_commitment("s", "crop", 1, groups) == twins_commitment("s", "crop", 1, groups[::-1]) == whole
    coin = h("trainedon/twins/choose", "s", "a" * 64, "b" * 64).digest()[:16]
    assert chosen_copy("s", groups[0]) == int.from_bytes(coin) % 2


def test_the_commitment_settles_secret_way_number_and_pairs():
    a, b, c, d = ("abcd"[i] * 64 for i in range(4))
    others = [
        ("s", "crop", 1, [[a, c], [b, d]]),
        ("s", "crop", 3, [[a, b, c, d]]),
        ("s", "turn", 1, [[a, b], [c, d]]),
        ("s", "crop", 2, [[a, b], [c, d]]),
        (f"s\x1f{a}\x1f{b}", "crop", 1, [[c, d]]),
        (f"s{a}{b}", "crop", 1, [[c, d]]),
    ]
    found = {twins_commitment(*told) for told in [("s", "crop", 1, [[a, b], [c, d]]), *others]}
    assert len(found) == 1 + len(others)


def test_copies_that_are_paired_anew_are_refused(twins):
    """For the best of all pairings: each coin of the new pairs points at the copy that is given as published."""
    path = twins / "twins.json"
    told = json.loads(path.read_text())
    copies = [copy for one in told["pictures"] for copy in (one["published"], *one["kept"])]
    for one, pair in zip(told["pictures"], zip(copies[::2], copies[3::2] + copies[1:2], strict=True), strict=True):
        pair = sorted(pair, key=lambda copy: copy["sha256"])
        first = chosen_copy(told["secret"], [copy["sha256"] for copy in pair])
        one["published"], one["kept"] = pair[first], [pair[1 - first]]
    path.write_text(json.dumps(told))
    with pytest.raises(UserError, match="does not follow from its secret"):
        read_twins(path)
    groups = [[one["published"]["sha256"], one["kept"][0]["sha256"]] for one in told["pictures"]]
    path.write_text(json.dumps(told | {"commitment": twins_commitment(told["secret"], told["way"], 1, groups)}))
    assert read_twins(path).pictures, "the commitment alone tells them apart"


def test_copies_are_written_alike_without_exif_and_with_captions(toy_pictures, tmp_path):
    source = tmp_path / "pictures"
    shutil.copytree(toy_pictures["members"], source / "3")
    exif = Image.Exif()
    exif[0x010E] = "a secret"
    Image.open(source / "3" / "00.png").resize((40, 40)).save(source / "photo.jpg", exif=exif)
    (source / "photo.txt").write_text("two blobs")
    (source / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    shutil.copy(source / "photo.jpg", source / "same.jpg")
    made = make_twins(source, tmp_path / "twins", "turn", quality=90)
    assert {one.picture: one.reason for one in made.set_aside}.keys() == {"broken.png", "same.jpg"}
    for folder in ("publish", "kept"):
        with Image.open(tmp_path / "twins" / folder / "photo.jpg") as image:
            assert image.format == "JPEG" and not image.getexif()
        told = {item.picture: item.caption for item in take_inventory(scan(tmp_path / "twins" / folder), "suspect")}
        assert told["photo.jpg"] == "two blobs" and "3/00.jpg" in told


def test_what_cannot_be_twinned_is_refused(toy_pictures, twins, tmp_path):
    source = toy_pictures["members"]
    with pytest.raises(UserError, match="is not empty"):
        make_twins(source, twins, "crop")
    for options in ({"kept": 0}, {"kept": 100}, {"quality": 96}):
        with pytest.raises(UserError, match="give 1 to"):
            make_twins(source, tmp_path / "new", "crop", **options)
    with pytest.raises(UserError, match="one mirror image"):
        make_twins(source, tmp_path / "new", "mirror", kept=2)
    with pytest.raises(UserError, match="folder of twins"):
        scan(twins)


def test_an_audit_of_a_model_that_knows_none_claims_nothing(twins, target_folders, tmp_path):
    found = audit(target_folders["epsilon"], twins, tmp_path / "run")
    assert found.lead == "twins" and found.claim.level == 1 and found.twins.p_value > 0.01
    assert found.twins.n == found.twins.n_whole == len(names(twins / "publish")) == len(found.pictures)
    assert not {flag.code for flag in found.flags} & {"no-unseen", "blind-baseline-not-run"}
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["identity"]["twins"] == read_twins(twins / "twins.json").commitment
    assert "Published against kept copies" in (tmp_path / "run" / "report.html").read_text()
    assert not [check for check in verify(tmp_path / "run") if check.ok is False]
    again = audit(target_folders["epsilon"], twins, tmp_path / "run", suspects=twins / "publish")
    assert again.twins == found.twins


def test_an_audit_of_a_model_that_was_trained_on_published_copies_claims_level_4(overtrained, toy_pictures, tmp_path):
    # The model was trained on these very pixels; of mirror twins one copy has them. Those stay whose coin published it.
    make_twins(toy_pictures["members"], tmp_path / "all", "mirror", secret="t")
    source = tmp_path / "pictures"
    source.mkdir()
    for path in sorted((tmp_path / "all" / "publish").iterdir()):
        original = np.asarray(Image.open(toy_pictures["members"] / path.name).convert("RGB"))
        if np.array_equal(np.asarray(Image.open(path)), original):
            shutil.copy(toy_pictures["members"] / path.name, source)
    made = make_twins(source, tmp_path / "twins", "mirror", secret="t")
    found = audit(overtrained, tmp_path / "twins", attacks="same-noise(loss(t=100, draws=4))")
    assert len(made.pictures) >= 8
    assert found.claim.level == 4 and "A coin decided" in found.claim.sentence
    assert found.twins.one_run.epsilon > 0 and min(row.q_value for row in found.pictures) < 0.25


def test_a_missing_copy_counts_against_and_a_changed_one_is_refused(twins, target_folders, tmp_path):
    model = target_folders["epsilon"]
    whole = audit(model, twins)
    first = sorted((twins / "kept").iterdir())[0]
    first.unlink()
    found = audit(model, twins)
    assert found.twins.n_whole == found.twins.n - 1 and found.twins.p_value >= whole.twins.p_value
    missing = next(row for row in found.pictures if row.picture == first.name)
    assert missing.q_value is None
    second = sorted((twins / "publish").iterdir())[1]
    Image.open(second).resize((20, 20)).save(second)
    with pytest.raises(UserError, match="or was changed"):
        audit(model, twins)


def test_copies_in_the_wrong_folder_and_changed_coins_are_refused(twins, target_folders, tmp_path):
    with pytest.raises(UserError, match="was kept"):
        audit(target_folders["epsilon"], twins, suspects=twins / "kept")
    told = json.loads((twins / "twins.json").read_text())
    one = told["pictures"][0]
    one["published"], one["kept"][0] = one["kept"][0], one["published"]
    (twins / "twins.json").write_text(json.dumps(told))
    with pytest.raises(UserError, match="does not follow from its secret"):
        audit(target_folders["epsilon"], twins)


@pytest.mark.parametrize(
    "options",
    [
        {"unseen": "."},
        {"drawn": "draw.json"},
        {"choices": trainedon.Choices(limit=3)},
        {"reading": trainedon.Reading(source_from="folder")},
    ],
    ids=["unseen", "drawn", "limit", "source-from"],
)
def test_what_has_no_place_beside_twins_is_refused(twins, target_folders, options):
    with pytest.raises(UserError, match="leave out --"):
        audit(target_folders["epsilon"], twins, **options)


def test_the_command_line_makes_and_audits_them(toy_pictures, target_folders, tmp_path):
    made = call("twins", toy_pictures["members"], "--out", tmp_path / "twins", "--kept", 2)
    assert made.returncode == 0, made.stderr
    assert read_twins(tmp_path / "twins" / "twins.json").commitment in made.stdout
    options = ["--twins", tmp_path / "twins" / "twins.json", "--out", tmp_path / "run", "--attacks", ATTACK]
    found = call("audit", target_folders["epsilon"], tmp_path / "twins", *options)
    assert found.returncode == 0, found.stderr
    assert "Published copies ahead of all kept ones" in found.stdout


def test_a_picture_that_would_be_read_at_half_its_size_is_set_aside(toy_pictures, tmp_path, monkeypatch):
    monkeypatch.setattr("trainedon.pictures.pixels.decoding.REDUCED", 64 * 96 - 1)
    monkeypatch.setattr("trainedon.pictures.pixels.decoding.ENOUGH", 32)
    source = tmp_path / "pictures"
    shutil.copytree(toy_pictures["members"], source)
    with Image.open(source / "00.png") as image:
        image.convert("RGB").resize((96, 64)).save(source / "large.jpg")
    made = make_twins(source, tmp_path / "twins", "crop")
    assert [one.picture for one in made.set_aside] == ["large.jpg"]


def test_the_default_attack_is_one_that_gives_copies_the_same_noise(twins, target_folders):
    found = audit(target_folders["epsilon"], twins, attacks=None)
    assert found.attacks[0].name == "same-noise"


def test_a_control_model_is_asked_the_same_and_caps_the_claim(twins, overtrained, target_folders):
    found = audit(overtrained, twins, control=target_folders["epsilon"])
    assert 0 < found.twins.control_p_value <= 1
    both = found.twins.model_copy(update={"n_first": found.twins.n, "p_value": 1e-6, "finds": True})
    capped = both.model_copy(update={"control_p_value": 1e-4})
    assert [claim_by_twins(test, [*filter(None, [of_twins(test, 0.01)])]).level for test in (both, capped)] == [4, 2]


def test_earlier_runs_on_the_same_twins_are_tries_that_the_claim_is_corrected_for(twins, target_folders, tmp_path):
    model = target_folders["epsilon"]
    assert audit(model, twins, tmp_path / "first").listing.asked == 0
    found = audit(model, twins, tmp_path / "second", attacks="loss(t=200)")
    assert found.listing.asked == 1 and found.claim.level == 1
    assert "corrected for 2 tries (1 earlier run on this model asked about more than half" in found.claim.because
    assert f"p = {min(1, 2 * found.twins.p_value):.2g}," in found.claim.because
    assert "no p-value is corrected" not in found.claim.because
    ahead = found.twins.model_copy(update={"p_value": 0.003, "finds": True})
    assert [claim_by_twins(ahead, [], asked=asked).level for asked in (0, 1, 2, 3)] == [4, 4, 4, 1]
    few = ahead.model_copy(update={"n_whole": 8, "p_value": 2**-8, "one_run": None})
    assert [claim_by_twins(few, [], asked=asked).level for asked in (0, 1, 2)] == [4, 4, 0]


def test_an_audit_in_a_store_goes_on_from_another_machine(twins, target_folders, tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINEDON_CACHE", str(tmp_path / "cache"))
    place = (tmp_path / "store" / "run").as_uri()
    found = audit(target_folders["epsilon"], twins, place)
    assert (tmp_path / "store" / "run" / "twins.json").is_file()
    shutil.rmtree(tmp_path / "cache")  # another machine has no copy
    assert audit(target_folders["epsilon"], twins, place).twins == found.twins
