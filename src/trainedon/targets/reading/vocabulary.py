"""Tokenizers, and whether they are their text encoder's: one that lost its words makes the same of every caption."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trainedon.errors import UserError
from trainedon.targets.reading import configs
from trainedon.targets.reading.charsmap import check_charsmap, decoded
from trainedon.targets.reading.model_files import brief, object_of, shown
from trainedon.targets.reading.opened import Ledger

MOST = 32 * 2**20  # bytes of a vocabulary; those of 250 000 words have 17 million
MOST_WORDS = 2_000_000
LONGEST = 1000  # letters of a word
# What transformers reads of CLIP's and T5's tokenizers that says what becomes of words. All else has no say.
SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
WORDS = ("vocab.json", "merges.txt", "spiece.model", "tokenizer.json")
# Settings that name files or code, or only what others do with the tokenizer: taken away, so that they have no say.
UNASKED = ("name_or_path", "tokenizer_class", "processor_class", "chat_template", "fast_tokenizer_files", "gguf_file")
SENTENCE = "the quick brown fox jumps over a lazy dog"
CLASS = re.compile(r"\\[pP]\{\^?\w+\}")  # of letters, numbers
SLOW = re.compile(r"\)\s*[*+?{]|[*+?}][*+{]|\{\d*,?\d{3}|\\\d|\(\?")  # what is repeated in a repetition, or very often
MOST_SET = 10_000  # of a setting that is a number; T5's tokenizers have 100 words that stand for gaps
TRIED = 200  # words of a vocabulary that are tried


class Unread(Exception):
    """The tokenizers library gave up on a vocabulary or a caption."""


@contextmanager
def unpanicked() -> Iterator[None]:
    """Raises Unread for what the tokenizers library raises: Exception itself, and for a panic of its Rust one that is
    none of Python's ordinary exceptions."""
    try:
        yield
    except BaseException as error:
        if type(error) is not Exception and type(error).__name__ != "PanicException":
            raise
        raise Unread(brief(error)) from None


def tokenizer(files: Ledger, folder: Path, kind: Any) -> Any:
    """A tokenizer of transformers, from a copy of just those files that the ledger hashed. Raises UserError when its
    words are missing or cannot be read, and where it names code."""
    known = {path.name for path in files.listed(folder)}
    if not folder.is_dir():
        raise UserError(f"{folder} is missing: the model folder is incomplete")
    if not known & {"vocab.json", "spiece.model", "tokenizer.json"}:
        raise UserError(f"{folder} holds no vocabulary ({', '.join(WORDS)}): get the whole folder again")
    if "tokenizer.json" not in known and ("vocab.json" in known) != ("merges.txt" in known):
        lost = "merges.txt" if "vocab.json" in known else "vocab.json"
        raise UserError(f"{folder}: {lost} is missing, half of the vocabulary: get the whole folder again")
    with tempfile.TemporaryDirectory(prefix="trainedon-") as copy:
        for name in sorted(known.intersection(SETTINGS + WORDS)):
            (Path(copy) / name).write_bytes(_checked(files.text(folder / name, MOST), folder / name))
        try:
            with unpanicked():
                found = kind.from_pretrained(copy, local_files_only=True)
        except Exception as error:  # noqa: BLE001 (a damaged file makes errors of any class)
            reason = brief(error).replace(copy, str(folder))
            raise UserError(f"{folder}: the tokenizer cannot be read ({reason})") from None
    if type(found.model_max_length) is not int:
        raise UserError(f"{folder}/tokenizer_config.json: model_max_length is no whole number: it is damaged")
    found.name_or_path = str(folder)
    return found


def _checked(data: bytes, path: Path) -> bytes:
    """What is copied of a tokenizer's file. Raises UserError for what could not be one."""
    if path.name == "spiece.model":
        _check_sentencepiece(data, path)
    if path.suffix != ".json":
        return data
    value = object_of(data, path)
    if path.name in SETTINGS:
        configs.check_tokenizer(value, path)
    if path.name == "vocab.json":
        _check_list(value, path)
    elif path.name == "tokenizer.json":
        model = value.get("model")
        model = model if isinstance(model, dict) else {}
        listed = model.get("vocab")
        if isinstance(listed, dict) and not isinstance(model.get("merges"), list):
            raise UserError(f"{path} lists words without their merges, half of the vocabulary: it is damaged")
        if isinstance(listed, list):  # of T5: pairs of a word and its weight
            listed = {one[0]: 0 for one in listed if isinstance(one, list) and one and isinstance(one[0], str)}
        _check_list(listed, path)
        _check_rules({key: one for key, one in value.items() if key not in ("model", "added_tokens")}, path)
    elif path.name == "special_tokens_map.json":
        _check_numbers(value, path)
    elif path.name == "tokenizer_config.json":
        _check_numbers(value, path)
        kept = {key: one for key, one in value.items() if key not in UNASKED and not key.endswith("_file")}
        return json.dumps(kept).encode()
    return data


def _check_sentencepiece(data: bytes, path: Path) -> None:
    """Raises UserError for a model of SentencePiece that is damaged, or has words or a map of characters that no
    tokenizer has."""
    from transformers.convert_slow_tokenizer import import_protobuf

    try:
        model = import_protobuf().ModelProto()
    except ImportError:  # then transformers does not read such a file either
        return
    try:
        model.ParseFromString(data)
        if model.normalizer_spec.precompiled_charsmap:
            check_charsmap(model.normalizer_spec.precompiled_charsmap)
    except Exception as error:  # noqa: BLE001 (protobuf's errors have no class in common with others)
        raise UserError(f"{path.parent}: the tokenizer cannot be read ({path.name}: {brief(error)})") from None
    _check_list({one.piece: 0 for one in model.pieces}, path)


def _check_list(words: object, path: Path) -> None:
    if not (isinstance(words, dict) and all(type(number) is int for number in words.values())):
        raise UserError(f"{path} does not list words with their numbers: it is damaged")
    if len(words) > MOST_WORDS or max(map(len, words), default=0) > LONGEST:
        raise UserError(f"{path} lists more or longer words than any vocabulary has: it is damaged")


def _check_numbers(settings: dict[str, Any], path: Path) -> None:
    """Raises UserError for a setting that would make up words without end, such as T5's `extra_ids`."""
    for key, value in settings.items():
        if key != "model_max_length" and isinstance(value, int | float) and not abs(value) <= MOST_SET:
            raise UserError(f"{path} sets {shown(key)} to {shown(str(value))}, which no tokenizer has: it is damaged")


def _check_rules(value: object, path: Path) -> None:
    """Raises UserError for a regular expression or a map of characters that could take for ever, or all memory, to be
    read or to be used."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            _check_rules(one, path)
    if isinstance(value, dict) and "precompiled_charsmap" in value:
        try:
            check_charsmap(decoded(value["precompiled_charsmap"]))
        except ValueError as error:
            raise UserError(f"{path.parent}: the tokenizer cannot be read ({path.name}: {error})") from None
    pattern = value.get("Regex") if isinstance(value, dict) else None
    if isinstance(pattern, str) and (len(pattern) > 500 or SLOW.search(CLASS.sub("x", pattern))):
        raise UserError(f"{path}: the pattern {shown(pattern)!r} is not read: it is no tokenizer of CLIP or T5")


def check_words(found: Any, encoder: Any, folder: Path) -> None:
    """Raises UserError when a tokenizer is not that of its text encoder, or tells no words apart.

    encoder: the configuration of the text encoder; None where there is none, as in pipelines without the largest.
    """
    if encoder is not None:
        _check_sizes(found, encoder, folder)
    try:
        with unpanicked():
            reason = _lost(found)
    except Exception as error:  # noqa: BLE001 (what a tokenizer says of its own settings)
        reason = brief(error)
    if reason:
        raise UserError(f"{folder}: the tokenizer has lost its words ({reason}): get the whole folder again")


def _check_sizes(found: Any, encoder: Any, folder: Path) -> None:
    """Numbers of words and places, and those that begin, end and fill up a caption."""
    words, known = found.get_vocab(), encoder.vocab_size
    size = max(len(words), max(words.values(), default=-1) + 1)
    if size > known:
        raise UserError(f"{folder} knows {size} words, and the text encoder {known}: it is another model's")
    if size < known // 2:
        raise UserError(f"{folder} knows {size} of the text encoder's {known} words: get the whole folder again")
    longest = getattr(encoder, "max_position_embeddings", None)
    if longest is not None and not 4 <= found.model_max_length <= longest:
        raise UserError(
            f"{folder} makes up to {found.model_max_length} tokens of a caption, and the text encoder takes {longest}: "
            "it is another model's, or its tokenizer_config.json is missing"
        )
    needed = {"eos": found.eos_token_id, "pad": found.pad_token_id}
    needed |= {"bos": found.bos_token_id} if _clip(found) else {}
    for name, number in needed.items():
        if type(number) is not int or not 0 <= number < known:
            raise UserError(
                f"{folder} has no {name}_token: special_tokens_map.json or tokenizer_config.json is damaged"
            )
    said = encoder.eos_token_id
    # CLIP's first configurations say 2 for the end, and its class a number that small vocabularies do not have
    if said not in (None, 2, found.eos_token_id) and said < known:
        raise UserError(
            f"{folder} ends a caption with token {found.eos_token_id}, and the text encoder expects {said}: it is "
            "another model's"
        )


def _clip(found: Any) -> bool:
    return type(found).__name__.startswith("CLIP")


def _lost(found: Any) -> str | None:
    """Why a tokenizer tells no words apart; None where it does, those of English or its own."""
    reason = _misread(found, SENTENCE.split())
    if reason is None or _clip(found):  # which can spell any word
        return reason
    own = [word for word in _own_words(found) if _misread(found, [word]) is None]
    return None if len(own) >= 4 and _misread(found, own) is None else reason


def _misread(found: Any, words: list[str]) -> str | None:
    """What is wrong with what becomes of some words, alone and in a sentence."""
    numbers = {word: _numbers(found, word) for word in words}
    if len({*numbers.values()}) < len({*words}):
        alike = next(word for word in words if list(numbers.values()).count(numbers[word]) > 1)
        return f"{shown(alike)!r} is the same to it as other words"
    inside = found(" ".join(words), add_special_tokens=False).input_ids
    if not inside or (found.unk_token_id is not None and found.unk_token_id in inside):
        return f"{shown(' '.join(words))!r} has words that it does not know"
    said = found.decode(inside)
    if _letters(said) != _letters(" ".join(words)):
        return f"it reads {shown(said)!r} for {shown(' '.join(words))!r}"
    return None


def _numbers(found: Any, text: str) -> tuple[int, ...]:
    """What a text encoder is told of a caption: its tokens, cut and filled up as pipelines do it."""
    length = min(found.model_max_length, 77)
    told = found([text], padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids
    if told.shape != (1, length):
        raise ValueError(f"it makes {list(told.shape)} tokens of a caption, where [1, {length}] are asked for")
    return tuple(told[0].tolist())


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.lower()))


def _own_words(found: Any) -> Iterator[str]:
    """Some words of a vocabulary, from all over it."""
    special = {*found.all_special_tokens}
    words = [word for word in found.get_vocab() if word not in special]
    for word in words[:: max(1, len(words) // TRIED)]:
        text = found.convert_tokens_to_string([word]).strip()
        if text.isalpha():
            yield text
