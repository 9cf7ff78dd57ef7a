"""The page in other languages: made in English, and then said sentence by sentence with a catalogue.

The catalogue is keyed by the English sentence, with named placeholders for what is filled in: `{x}` for words, which
are looked up themselves, `{x#}` for numbers, which are written as the language writes them. So documents, which hold
English sentences, and the page have one catalogue. What it lacks stays English. Names, digests, code and whatever
else is marked `translate="no"` are passed over.
"""

from __future__ import annotations

import json
import re
from calendar import month_name
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import get_args

from trainedon.formats.page_language import Language

LANGUAGES: tuple[Language, ...] = get_args(Language)
INLINE = {"b", "a", "span", "small", "code", "br"}
VOID = {"meta", "img", "br", "hr", "link", "input", "source", "col", "wbr"}
ATTRIBUTES = re.compile(r' (alt|title|aria-label|data-label|data-said)="([^"]*)"')
TOKENS = re.compile(r"(<(?:script|style)>.*?</(?:script|style)>|<[^>]*>)", re.DOTALL)
TAG = re.compile(r"<(/?)(\w+)")
LETTER = re.compile(r"[^\W\d_]")
MARKUP = re.compile(r"<[^>]*>")
SENTENCES = re.compile(r"(?<=[.!?:]) (?=[A-Z“<\ue000])|(?<=</a>)(?=<a )")
PLACEHOLDER = re.compile(r"\{(\w+)(#?)\}")
ATOM = re.compile("\ue000(\\d+)\ue001")
NUMBER = r"(?:(?:more than |less than )?[−-]?\d(?:[\d.,\u202f]*\d)?(?:e[−-]?\d+)?(?:[ \u00a0]%)?|—)"
MONTHS = tuple(month_name)[1:]
DATE = re.compile(rf"(\d+) ({'|'.join(MONTHS)}) (\d{{4}}), (\d\d:\d\d)( UTC)?")


class Catalogue:
    """What is said in one language."""

    def __init__(self, language: Language) -> None:
        every = {key.replace("\u00a0", " "): said for key, said in entries().items()}
        self.language = language
        self.exact = {key: said[language] for key, said in every.items() if not PLACEHOLDER.search(key)}
        # of two that fit, the one that says more itself
        templates = sorted(every.keys() - self.exact.keys(), key=lambda key: (-len(PLACEHOLDER.sub("", key)), key))
        self.patterns = [(_pattern(key), every[key][language], _kinds(key)) for key in templates]
        self.known: dict[str, str | None] = {}

    def say(self, text: str) -> str | None:
        """A sentence or a phrase in the language; None where the catalogue lacks it."""
        if text not in self.known:
            self.known[text] = self._found(text)
        return self.known[text]

    def _found(self, text: str) -> str | None:
        plain = text.replace("\u00a0", " ")  # a space that does not break is one in the catalogue
        if plain in self.exact:
            return self.exact[plain]
        for pattern, said, kinds in self.patterns:
            match = pattern.fullmatch(text)
            if match is None:
                continue
            filled = {name: self.value(match[name], is_number) for name, is_number in kinds.items()}
            return PLACEHOLDER.sub(lambda one, filled=filled: filled[one[1]], said)  # type: ignore[misc]
        return None

    def value(self, text: str, is_number: bool = False) -> str:
        """What is filled in: numbers as the language writes them, words by the catalogue, names as they are."""
        if is_number or not LETTER.search(MARKUP.sub("", text)):
            return self.number(text)
        return self.say(text) or self.dated(text)

    def number(self, text: str) -> str:
        """Digits with a comma for their decimals."""
        for english, own in (("more than ", self.exact["more than"]), ("less than ", self.exact["less than"])):
            text = text.replace(english, f"{own} ")
        return re.sub(r"(?<=\d)\.(?=\d)", ",", text)

    def dated(self, text: str) -> str:
        """A date as the language writes it; anything else as it is."""

        def written(found: re.Match[str]) -> str:
            month = self.exact[found[2]]
            day = f"{found[1]}." if self.language == "de" else found[1]
            return f"{day} {month} {found[3]}, {found[4]}{found[5] or ''}"

        return DATE.sub(written, text)

    def paragraph(self, text: str) -> tuple[str, list[str]]:
        """A text of several sentences, and those of them that the catalogue lacks."""
        whole = self.say(text)
        if whole is not None:
            return whole, []
        parts, done, missing, at = SENTENCES.split(text), [], [], 0
        while at < len(parts):
            for end in range(len(parts), at, -1):
                said = self.say(" ".join(parts[at:end]))
                if said is not None:
                    break
            else:
                end, said = at + 1, self.dated(parts[at])
                if LETTER.search(MARKUP.sub("", ATOM.sub("", parts[at]))):
                    missing.append(parts[at])
            done.append(said)
            at = end
        return " ".join(done), missing


@cache
def entries() -> dict[str, dict[str, str]]:
    """English sentence -> language -> the sentence in it."""
    text = resources.files("trainedon.reporting").joinpath("catalogues/sentences.json").read_text("utf-8")
    found: dict[str, dict[str, str]] = json.loads(text)
    return found


@cache
def catalogue(language: Language) -> Catalogue:
    return Catalogue(language)


def _kinds(key: str) -> dict[str, bool]:
    """Placeholder -> whether it is a number."""
    return {name: bool(number) for name, number in PLACEHOLDER.findall(key)}


def _pattern(key: str) -> re.Pattern[str]:
    parts, at = [], 0
    for one in PLACEHOLDER.finditer(key):
        parts += [re.escape(key[at : one.start()]), f"(?P<{one[1]}>{NUMBER if one[2] else '.+?'})"]
        at = one.end()
    return re.compile("".join([*parts, re.escape(key[at:])]).replace("\\ ", "[ \u00a0]"), re.DOTALL)


def translated(page: str, language: Language) -> str:
    """The page in another language; what its catalogue lacks stays English."""
    return "".join(text for text, _ in _pieces(page, language))


def untranslated(page: str, language: Language) -> list[str]:
    """What of a page the catalogue lacks, in order."""
    return [one for _, missing in _pieces(page, language) for one in missing]


def _pieces(page: str, language: Language) -> Iterator[tuple[str, list[str]]]:
    """The page in pieces, each with what is missing in it: tags between blocks, and what stands inside one."""
    said, segment, kept, depth = catalogue(language), list[str](), list[str](), 0
    for token in filter(None, TOKENS.split(page)):
        tag = TAG.match(token)
        if depth:  # inside of what is not translated; a tag of the same kind may lie in it
            kept.append(token)
            depth += 0 if tag is None or tag[2] in VOID else -1 if tag[1] else 1
            if not depth:
                segment.append("".join(kept))
                kept.clear()
        elif tag is not None and ' translate="no"' in token and tag[2] not in VOID:
            kept, depth = [token], 1
        elif tag is None or tag[2] in INLINE:
            segment.append(token)
        else:
            yield _said(segment, said)
            segment = []
            yield _tag(token, said)
    yield _said(segment, said)


def _said(segment: list[str], said: Catalogue) -> tuple[str, list[str]]:
    """One block in the language; what is marked as no words is an atom in it."""
    atoms: list[str] = []
    parts = []
    for part in segment:
        if ' translate="no"' in part.partition(">")[0]:
            atoms.append(part)
            part = f"\ue000{len(atoms) - 1}\ue001"
        parts.append(part)
    text = "".join(parts)
    core = re.sub(r"[ \n]+", " ", text).strip(" ").replace("&#39;", "'")
    if not LETTER.search(MARKUP.sub("", ATOM.sub("", core))):
        found, missing = (said.number(text) if core and not atoms else text), list[str]()
    else:
        before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
        found, missing = said.paragraph(core)
        found = f"{before}{found}{after}"
    return ATOM.sub(lambda one: atoms[int(one[1])], found), missing


def _tag(token: str, said: Catalogue) -> tuple[str, list[str]]:
    """A tag with its words in the language. Names stand in `title`, and are left as they are."""

    def replaced(found: re.Match[str]) -> str:
        return f' {found[1]}="{said.say(found[2]) or found[2]}"'

    return (token if token.startswith(("<script", "<style")) else ATTRIBUTES.sub(replaced, token)), []
