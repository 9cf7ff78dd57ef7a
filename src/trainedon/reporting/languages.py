"""The page in other languages: made in English, and then said block by block with a catalogue, all of it or nothing.

The catalogue is keyed by the English sentence, with placeholders for what is filled in: `{x}` for words, which must be
in the catalogue themselves, `{x#}` for numbers, which are written as the language writes them, `{x!}` for names, which
stay whatever they are, `{x~}` for what is said where the catalogue has it, and stays where it has not. A block of the
page (a paragraph, a cell) of which anything is not known stays English as a whole, and is marked `lang="en"`: half a
sentence in another language can say the opposite. Names, digests, code and whatever else is marked `translate="no"` are
passed over.
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
STARTS = r"(?=[A-Z“<\ue000])"
SENTENCES = re.compile(rf"(?<=[.!?:]) {STARTS}|(?<=[.!?]) (?=[\d−])|(?<=[.!?]</b>) {STARTS}|(?<=</a>)(?=<a )")
SENTENCE_END = re.compile(r"[.!?](?:</b>)? (?=[A-Z“<\ue000\d−])")
PLACEHOLDER = re.compile(r"\{(\w+)([#!~]?)\}")
ATOM = re.compile("\ue000(\\d+)\ue001")
NUMBER = r"(?:(?:more than |less than )?[−-]?\d(?:[\d.,\u202f]*\d)?(?:e[−-]?\d+)?(?:[ \u00a0]%)?|—)"
FIGURE = re.compile(NUMBER)
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
            filled = {name: self.value(match[name], kind) for name, kind in kinds.items()}
            if None not in filled.values():
                return PLACEHOLDER.sub(lambda one, filled=filled: filled[one[1]], said)  # type: ignore[misc]
        return None

    def value(self, text: str, kind: str = "") -> str | None:
        """What is filled in: names as they are, numbers as the language writes them, words by the catalogue; None where
        it lacks them. Only what it says as a whole goes beyond the end of a sentence."""
        if kind == "!":
            return None if SENTENCE_END.search(text) else text
        if kind == "#" or self.is_number(text):
            return self.number(text)
        if SENTENCE_END.search(text):
            return self.exact.get(text)
        said = self.say(text)
        if said is None and DATE.fullmatch(text):
            return self.dated(text)
        return text if said is None and kind == "~" else said

    def is_number(self, text: str) -> bool:
        """Whether there are no words in it: a number, such as 2.0e−5, or nothing but marks and names that stay."""
        plain = MARKUP.sub("", ATOM.sub("", text))
        return not LETTER.search(plain) or FIGURE.fullmatch(plain) is not None

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
        """A text of several sentences, and those of them that the catalogue lacks; with any such, it stays English."""
        parts, done, missing, at = SENTENCES.split(text), [], [], 0
        while at < len(parts):
            for end in range(len(parts), at, -1):  # some entries are several sentences
                said = self._words(" ".join(parts[at:end]))
                if said is not None:
                    break
            else:
                end, said = at + 1, parts[at]
                missing.append(parts[at])
            done.append(said)
            at = end
        return (text if missing else " ".join(done)), missing

    def _words(self, text: str) -> str | None:
        """One sentence; what has no words in it, such as a name that stays, is as it was."""
        return self.number(text) if self.is_number(text) else self.say(text)


@cache
def entries() -> dict[str, dict[str, str]]:
    """English sentence -> language -> the sentence in it."""
    text = resources.files("trainedon.reporting").joinpath("catalogues/sentences.json").read_text("utf-8")
    found: dict[str, dict[str, str]] = json.loads(text)
    return found


@cache
def catalogue(language: Language) -> Catalogue:
    return Catalogue(language)


def _kinds(key: str) -> dict[str, str]:
    """Placeholder -> `#`, `!` or `~` as above, nothing for words."""
    return dict(PLACEHOLDER.findall(key))


def _pattern(key: str) -> re.Pattern[str]:
    parts, at = [], 0
    for one in PLACEHOLDER.finditer(key):
        parts += [re.escape(key[at : one.start()]), f"(?P<{one[1]}>{NUMBER if one[2] == '#' else '.+?'})"]
        at = one.end()
    return re.compile("".join([*parts, re.escape(key[at:])]).replace("\\ ", "[ \u00a0]"), re.DOTALL)


def translated(page: str, language: Language) -> str:
    """The page in another language; a block of which its catalogue lacks anything stays English, and is marked."""
    return "".join(text for text, _ in _pieces(page, language))


def untranslated(page: str, language: Language) -> list[str]:
    """What of a page the catalogue lacks, in order."""
    return [one for _, missing in _pieces(page, language) for one in missing]


def _pieces(page: str, language: Language) -> Iterator[tuple[str, list[str]]]:
    """The page in pieces, each with what is missing in it: a tag between blocks, and the block that follows it."""
    said, opened, segment, kept, depth = catalogue(language), "", list[str](), list[str](), 0
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
            yield _piece(opened, segment, token, said)
            opened, segment = token, []
    yield _piece(opened, segment, "", said)


def _piece(opened: str, segment: list[str], closed: str, said: Catalogue) -> tuple[str, list[str]]:
    """A tag and the block behind it. What stays English is marked at the tag where it is all that this holds, as in a
    drawing or a title, which can hold no other; else by a tag of its own."""
    tag, missing = _tag(opened, said)
    text, lacking = _said(segment, said)
    first, last = TAG.match(opened), TAG.match(closed)
    if lacking and first and last and not first[1] and last[1] and first[2] == last[2]:
        tag = f'{tag[:-1]} lang="en">'
    elif lacking:
        text = f'<span lang="en">{text}</span>'
    return tag + text, [*missing, *lacking]


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
        found = text if missing else f"{before}{found}{after}"
    return ATOM.sub(lambda one: atoms[int(one[1])], found), missing


def _tag(token: str, said: Catalogue) -> tuple[str, list[str]]:
    """A tag with its words in the language, and those that are missing. Names stand in `title`, and are left."""
    missing = []

    def replaced(found: re.Match[str]) -> str:
        name, text = found[1], found[2].replace("&#39;", "'")
        known = said.value(text) if text else text
        if known is None and name != "title":
            missing.append(text)
        return f' {name}="{found[2] if known is None else known}"'

    if not token or token.startswith(("<script", "<style")):
        return token, missing
    return ATTRIBUTES.sub(replaced, token), missing
