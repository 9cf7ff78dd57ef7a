"""Tokenizers: which pass for their text encoder's, and which have lost their words."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import sentencepiece
import tiny
from tokenizers.normalizers import Precompiled
from transformers import CLIPTokenizer, T5TokenizerFast

from trainedon.errors import UserError
from trainedon.targets.reading.charsmap import check_charsmap
from trainedon.targets.reading.opened import Ledger
from trainedon.targets.reading.vocabulary import Unread, check_words, tokenizer, unpanicked

ENCODER = SimpleNamespace(vocab_size=190, max_position_embeddings=16, eos_token_id=189)
T5 = SimpleNamespace(vocab_size=32, eos_token_id=1)
CHINESE = "的一是不了人我在有他这为之大来以个中上们到说国和地也子时道出"


def opened(folder, kind):
    with Ledger(folder) as files:
        return tokenizer(files, folder, kind)


def t5(pieces):
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((one, -3.0) for one in pieces)]
    return T5TokenizerFast(vocab=pieces, extra_ids=0)


@pytest.mark.parametrize("caption", ["a red cat on a mat", "", "naïve café, 12% ☕", "A  B\tC", "x" * 200])
@pytest.mark.parametrize("kind", ["clip", "t5"])
def test_a_copy_makes_the_same_of_every_caption(tmp_path, kind, caption):
    made = tiny.clip_words() if kind == "clip" else tiny.t5_words()
    made.save_pretrained(tmp_path)
    theirs = type(made).from_pretrained(tmp_path, local_files_only=True)
    ours = opened(tmp_path, type(made))
    assert ours(caption).input_ids == theirs(caption).input_ids
    assert ours.get_vocab() == theirs.get_vocab() and ours.model_max_length == theirs.model_max_length
    assert ours.special_tokens_map == theirs.special_tokens_map and ours.name_or_path == str(tmp_path)
    check_words(ours, ENCODER if kind == "clip" else T5, tmp_path)


def test_words_and_merges_in_files_of_their_own(tmp_path):
    words = tiny.clip_words().get_vocab()
    (tmp_path / "vocab.json").write_text(json.dumps(words))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    (tmp_path / "tokenizer_config.json").write_text('{"model_max_length": 16, "tokenizer_class": "CLIPTokenizer"}')
    (tmp_path / "README.md").write_text("a tokenizer")
    check_words(opened(tmp_path, CLIPTokenizer), ENCODER, tmp_path)


def test_another_alphabet_is_no_lost_vocabulary(tmp_path):
    t5(CHINESE).save_pretrained(tmp_path)
    check_words(opened(tmp_path, T5TokenizerFast), SimpleNamespace(vocab_size=40, eos_token_id=1), tmp_path)


@pytest.mark.parametrize("pieces", [[], [f"<{number}>" for number in range(26)], ["a"] * 3, "bcdfghjklmnpqrstvwxyz"])
def test_a_t5_that_knows_hardly_a_word(tmp_path, pieces):
    pieces = list(dict.fromkeys(pieces))
    if pieces[:1] == ["b"]:
        check_words(t5(pieces), None, tmp_path)  # no vowels, but words of its own
        return
    with pytest.raises(UserError, match="has lost its words"):
        check_words(t5(pieces), None, tmp_path)


def changed(folder, **settings):
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return opened(folder, CLIPTokenizer)


@pytest.fixture
def folder(tmp_path):
    tiny.clip_words().save_pretrained(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


@pytest.mark.parametrize(
    "settings, says",
    [
        ({"model_max_length": 77}, "up to 77 tokens of a caption, and the text encoder takes 16"),
        ({"model_max_length": 2}, "up to 2 tokens"),
        ({"model_max_length": [16]}, r"model_max_length = \[16\] is refused"),
    ],
)
def test_settings_that_leave_nothing_of_a_caption(folder, settings, says):
    with pytest.raises(UserError, match=says):
        check_words(changed(folder, **settings), ENCODER, folder)


def test_paths_in_the_settings_have_no_say(folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    value = json.loads((other / "tokenizer.json").read_text())
    value["model"]["vocab"] = {word: 189 - number for word, number in value["model"]["vocab"].items()}
    (other / "tokenizer.json").write_text(json.dumps(value))
    named = {f"{name}_file": str(other / "tokenizer.json") for name in ("tokenizer", "vocab", "merges", "added_tokens")}
    found = changed(folder, **named, name_or_path=str(other), fast_tokenizer_files=["../other/tokenizer.json"])
    assert found("a cat").input_ids == tiny.clip_words()("a cat").input_ids


@pytest.mark.parametrize("encoder, says", [
    ({"vocab_size": 100}, "knows 190 words, and the text encoder 100: it is another model's"),
    ({"vocab_size": 49408}, "knows 190 of the text encoder's 49408 words"),
    ({"max_position_embeddings": 8}, "the text encoder takes 8"),
    ({"eos_token_id": 7}, "ends a caption with token 189, and the text encoder expects 7"),
])  # fmt: skip
def test_a_tokenizer_of_another_encoder(folder, encoder, says):
    with pytest.raises(UserError, match=says):
        check_words(opened(folder, CLIPTokenizer), SimpleNamespace(**{**vars(ENCODER), **encoder}), folder)


def test_configurations_that_say_2_for_the_end_whatever_it_is(folder):
    check_words(opened(folder, CLIPTokenizer), SimpleNamespace(**{**vars(ENCODER), "eos_token_id": 2}), folder)


@pytest.mark.parametrize("pattern", ["(a+)+$", "((a{100}){100}){100}", "a{1000}", r"(a)\1", "a**", "x" * 501])
def test_patterns_that_never_end_are_not_read(folder, pattern):
    path = folder / "tokenizer.json"
    value = json.loads(path.read_text())
    value["normalizer"] = {"type": "Replace", "pattern": {"Regex": pattern}, "content": ""}
    path.write_text(json.dumps(value))
    with pytest.raises(UserError, match="is not read: it is no tokenizer of CLIP or T5"):
        opened(folder, CLIPTokenizer)


MAPS = sorted((Path(sentencepiece.__file__).parent / "package_data").glob("*.bin"))
needs_maps = pytest.mark.skipif(not MAPS, reason="this sentencepiece comes without its maps of characters")


@needs_maps
@pytest.mark.parametrize("path", MAPS, ids=lambda path: path.stem)
def test_sentencepieces_own_maps_of_characters_are_read(path):
    check_charsmap(path.read_bytes())


@needs_maps
def test_maps_that_are_let_pass_end_nothing():
    """Of maps in which some bytes were changed, those that pass can be asked about every character."""
    whole, random, passed = MAPS[-1].read_bytes(), np.random.default_rng(0), 0
    letters = "".join(map(chr, range(1, 0xD800)))
    for _ in range(20):
        damaged = bytearray(whole)
        for place in random.integers(4, 4 + int.from_bytes(whole[:4], "little"), 3):
            damaged[place] = random.integers(256)
        try:
            check_charsmap(bytes(damaged))
        except ValueError:
            continue
        Precompiled(bytes(damaged)).normalize_str(" ".join(letters))
        passed += 1
    assert passed


def test_a_panic_is_an_ordinary_error():
    panic = type("PanicException", (BaseException,), {})
    with pytest.raises(Unread, match="out of bounds"), unpanicked():
        raise panic("index out of bounds")
    with pytest.raises(KeyboardInterrupt), unpanicked():
        raise KeyboardInterrupt
