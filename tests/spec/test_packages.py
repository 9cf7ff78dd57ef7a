"""Parts that other packages offer: found, typed, and left out where they cannot be loaded."""

import re
import shutil
import sys
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from examples import blocks

from trainedon.attacks import Attack, attacks, parse_attacks
from trainedon.attacks.core.pool import Pool
from trainedon.attacks.drc.by_family import for_model
from trainedon.cli.catalogue import listing
from trainedon.compare import Similarity
from trainedon.degrade import Degradation, Roi
from trainedon.errors import PartError, UserError
from trainedon.restore import Restorer
from trainedon.spec import LeftOut, left_out
from trainedon.sweeps.grid import plan
from trainedon.targets import Shadows, load_target
from trainedon.unforeseen import kept

TESTS = Path(__file__).parent.parent
HAVE = ("gradients", "unseen", "labels", "captions", "classes")


@pytest.fixture(params=["as types", "as text"])
def package(request, tmp_path, monkeypatch, forgotten):
    """The sample package, installed: its annotations are types, or text by `from __future__ import annotations`."""
    folder = tmp_path / "site-packages"
    shutil.copytree(TESTS / "sample_package", folder, ignore=shutil.ignore_patterns("__pycache__"))
    module = folder / "sample_attack.py"
    if request.param == "as text":
        text = module.read_text()
        module.write_text(text.replace("\n\nfrom", "\n\nfrom __future__ import annotations\n\nfrom", 1))
    monkeypatch.syspath_prepend(folder)


@pytest.fixture
def broken(monkeypatch, forgotten):
    monkeypatch.syspath_prepend(TESTS / "broken_package")


@pytest.mark.usefixtures("package")
def test_parameters_have_the_types_that_are_declared(tmp_path, target_folders):
    (tmp_path / "captions.txt").write_text("a cat\na dog\n")
    (attack,) = parse_attacks(
        "flatness(power=2, draws=3, upside_down=true, channel=1, title_of='a, b', steps=5+6, limits=0.5+1, "
        f"pool={tmp_path / 'captions.txt'}, reference={target_folders['epsilon']})"
    )
    assert (attack.power, attack.draws, attack.upside_down, attack.channel) == (2.0, 3, True, 1)
    assert (attack.title_of, attack.steps, attack.limits) == ("a, b", (5, 6), (0.5, 1.0))
    assert attack.pool == Pool.of(["a cat", "a dog"])
    assert attack.reference.model == str(target_folders["epsilon"])
    shadows = Shadows("0" * 64, ("a", "b"), tmp_path)
    (plain,) = parse_attacks("flatness(channel=None)", shadows=shadows, reference=None)
    assert plain.channel is None and plain.shadows is shadows and plain.reference is None


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flatness(power=abc)", "flatness: power takes a number, not 'abc'"),
        ("flatness(draws=1.5)", "flatness: draws takes a whole number, not '1.5'"),
        ("flatness(upside_down=1)", "flatness: upside_down is true or false, not '1'"),
        ("flatness(channel=red)", "flatness: channel takes a whole number, not 'red'"),
        ("flatness(steps=1+x)", "flatness: steps takes whole numbers joined by +"),
        ("flatness(limits=1)", "flatness: limits takes 2 values joined by +, not '1'"),
        ("flatness(pool=nowhere.txt)", "nowhere.txt cannot be read"),
        ("flatness(loss)", "flatness has no parameter 'loss'"),
        ("flatness(shadows=nowhere)", "nowhere holds no finished shadow models"),
        ("minus", "minus works on another attack: name it, such as minus(pia)"),
        ("minus(loss, pia)", "minus works on one attack, not on 2"),
        ("named", "named: word is missing"),
        ("drc(roi=stripe:x)", "stripe: rows takes a whole number"),
        ("flatnes", "unknown attack 'flatnes' (did you mean flatness?)"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(text, message):
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        parse_attacks(text)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("package")
def test_wrappers_hold_attacks_and_take_what_is_given_to_all(target_folders, batch_of):
    target, batch = load_target(target_folders["epsilon"]), batch_of(3)
    (plain, minus, highest) = parse_attacks("flatness, minus(flatness(power=1)), highest(flatness, minus(flatness))")
    np.testing.assert_array_equal(minus.score(target, batch), -plain.score(target, batch))
    np.testing.assert_array_equal(highest.score(target, batch), np.abs(plain.score(target, batch)))
    (given,) = parse_attacks("minus(minus(loss(t=50)))", seed=7)
    assert (given.seed, given.attack.seed, given.attack.attack.seed) == (7, 7, 7)
    assert given.spelled() == "minus(minus(loss(t=50)))"
    assert plan("minus(flatness)", ["attack.power=1,2"], (), HAVE).attacks[1].attack.power == 2.0


@pytest.mark.usefixtures("package")
def test_what_is_spelled_is_read_back():
    for text in (
        "flatness(power=2.5, upside_down=True, channel=1, title_of='it, (x', steps=5+6+7, limits=0.5+2.0)",
        "flatness(title_of='', steps=none)",
        "highest(flatness(draws=2), minus(loss(t=50, seed=3), seed=4))",
        "named(word='None')",
        "flatness(norm=l1)",
        "named(loss(t=50, seed=3), word=a)",
    ):
        (attack,) = parse_attacks(text)
        assert attack.spelled({}) == text and parse_attacks(attack.spelled({})) == [attack]


@pytest.mark.usefixtures("package")
def test_what_another_package_offers_is_made_once_to_see_that_it_can_be(monkeypatch):
    attacks()
    made = []
    kind = attacks()["flatness"]
    monkeypatch.setattr(kind, "__post_init__", lambda self: made.append(self), raising=False)
    attacks()
    left_out()
    assert not made


@pytest.mark.usefixtures("broken")
@pytest.mark.filterwarnings("ignore::trainedon.spec.LeftOut")
@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("failing", "RuntimeError: no score"),
        ("flip(failing)", "RuntimeError: no score"),
        ("failing(empty=true)", "trainedon.errors.PartError: failing answered (0,) for 2 pictures"),
        (
            "failing(plain=true)",
            "trainedon.errors.PartError: failing answered a ndarray: answer a tensor, or Scored(array)",
        ),
    ],
)
def test_a_fault_of_another_package_is_told_as_its_own(text, what, target_folders, batch_of, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (attack,) = parse_attacks(text)
    with pytest.raises((RuntimeError, PartError)) as raised:
        attack.score(load_target(target_folders["epsilon"]), batch_of(2))
    said = kept(raised.value)
    assert said.startswith(f"a fault of the package broken-parts, not of your input ({what}); the details are in ")
    (log,) = tmp_path.glob("trainedon-error-*.log")
    assert "broken-parts 1.0" in log.read_text() and said.endswith("report it to its authors, with that file")


@pytest.mark.usefixtures("package")
def test_all_and_the_list_have_them_beside_our_own():
    assert {"flatness", "highest"} <= {attack.name for attack in parse_attacks("all")}
    rows = {row.name: row for row in listing()}
    assert rows["minus"].parameters == "ATTACK, seed=0" and rows["minus"].passes == "1 x the attack inside"
    assert rows["highest"].parameters == "flatness"
    assert rows["named"].parameters == "word=WORD, beside=None, among=None"
    assert rows["named"].passes == "as its parameters have it"
    assert "pool=FILE, reference=MODEL, shadows=DIR" in rows["flatness"].parameters


@pytest.mark.usefixtures("package")
def test_attacks_inside_that_may_be_none_are_meant_by_the_model_too(target_folders):
    target = load_target(target_folders["stable diffusion"])
    none, one, several = parse_attacks("named(word=a), named(drc, word=a), named(word=a, among=drc+pia)")
    assert none.inside() == [] and for_model([none], target) == [none]
    assert [each.inside()[0].name for each in for_model([one, several], target)] == ["drc-latent"] * 2


@pytest.mark.usefixtures("package")
def test_a_region_degradation_restorer_and_similarity_are_one_class_each(target_folders, batch_of):
    text = "drc-hide(roi=stripe:2+inverted(stripe(14)), degradation=negative, restorer=lazy:factor=0.5, encoder=grey)"
    (attack,) = parse_attacks(text)
    assert [part.spelled() for part in attack.roi.parts] == ["stripe:2", "inverted(stripe:14)"]
    assert attack.restorer.factor == 0.5 and attack.encoder.name == "grey"
    assert np.isfinite(attack.score(load_target(target_folders["epsilon"]), batch_of(3))).all()
    made = plan(text, ["factor=0.1,0.2", "encoder=grey,pixel"], (), HAVE).attacks
    assert [one.restorer.factor for one in made] == [0.1, 0.1, 0.2, 0.2]
    for base, word in ((Roi, "stripe"), (Degradation, "negative"), (Restorer, "lazy"), (Similarity, "grey")):
        with pytest.raises(UserError, match=f"choose from .*{word}"):
            base.parse("moon")


@pytest.mark.usefixtures("broken")
def test_what_cannot_be_loaded_is_named_and_left_out_and_stops_nobody():
    assert parse_attacks("loss")[0].name == "loss"  # nobody needs to be asked
    with pytest.warns(LeftOut) as told:
        known = attacks()
    assert "drc@1" in known and known["loss"].__module__.startswith("trainedon.")
    assert {"missing", "untitled", "again", "text", "odd", "loose", "all"}.isdisjoint(known)
    assert parse_attacks("loss")[0].name == "loss"  # though a package offers another one under this name
    messages = [str(warning.message) for warning in told]
    for name, reason in {
        "missing": "ModuleNotFoundError: No module named 'broken_parts_that_are_not_there'",
        "untitled": "broken_parts:Untitled does not declare title",
        "again": "two attacks are called loss",
        "loss": "two attacks are called loss",
        "text": "is no part",
        "hiding": "inside is a method of every attack: call the parameter otherwise",
        "loose": "broken_parts:Loose is not a frozen dataclass",
        "everything": "an attack cannot be called 'all'",
        "odd": "the annotations of Odd cannot be resolved: name 'Nothing' is not defined",
    }.items():
        assert any(f"the attack {name} of another package cannot" in one and reason in one for one in messages), name
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert attacks() == known, "each is told of once"
    with pytest.raises(UserError, match="the attack untitled of another package cannot be loaded"):
        parse_attacks("untitled")


@pytest.mark.usefixtures("broken")
def test_the_list_goes_on_without_an_attack_that_fails():
    with pytest.warns(LeftOut):
        rows = {row.name for row in listing()}
    assert "loss" in rows and "costly" not in rows
    with pytest.warns(LeftOut, match="region nowhere"):
        lines = left_out()
    assert len(lines) == 11 and any("ZeroDivisionError: no cost" in line for line in lines)
    assert "costly" not in Attack.noun.registered()


@pytest.mark.usefixtures("forgotten")
def test_the_region_of_the_guide_is_one_file_and_hides_the_edge(batch_of):
    (code,) = [code for _, code in blocks(TESTS.parent / "CONTRIBUTING.md") if "class Frame" in code]
    sys.modules["frame"] = module = ModuleType("frame")  # where annotations are resolved
    exec(code, vars(module))
    (mask,) = Roi.parse("frame:2").masks(None, batch_of(1))
    assert mask.sum() == 16**2 - 12**2 and not mask[0, 2:-2, 2:-2].any()
    assert parse_attacks("drc(roi=inverted(frame))")[0].roi.roi == module.Frame()
    assert [one.roi.width for one in plan("drc(roi=frame)", ["roi.width=1,2"], (), HAVE).attacks] == [1, 2]
