"""A page that another version of the program wrote: what must hold of it, whatever its words.

Such a page cannot be written again and compared. That nothing here is found says little of it, and that is said: the
page of a stranger's run may name any version.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from html.parser import HTMLParser

from trainedon.reporting.page import script_digest

HEADLINE = r'<div class="stats">.*?<p class="second">|<figcaption>For every possible threshold.*?</figcaption>'
# Of scripts that pages of earlier versions have.
EARLIER_SCRIPTS = {"sha256-uc9gPftGCNu1FJqweTEUMI/lo8NSNYnCPKBoUzFZ7EA="}
VOID = {"meta", "img", "br", "hr", "link", "input", "source", "col", "wbr"}
UNSEEN = {"script", "style", "template", "noscript", "title"}  # elements whose text no reader sees


def wrong_with(shown: str, due: str, sentence: str) -> str | None:
    """What is wrong with a page, in words, or None. due: the page that this version writes of the same run. sentence:
    the claim; empty where there is none."""
    page, ours = _Reader(shown), _Reader(due)
    if page.active:
        return f"it holds what no page of this program does: {page.active}"
    if not page.is_guarded:
        return "its policy, by which a browser runs no script but the program's own, is missing or another one"
    if sentence and not any(page.answer.startswith(one) for one in (_plain(sentence), ours.answer) if one):
        return f"its answer is not the claim that the scores give: {page.answer[:80]!r}"
    return None if _same_figures(shown, due) else "it shows a number or a picture that the scores do not give"


class _Reader(HTMLParser):
    """Reads a page as a browser does: its policy, its scripts, and the answer that a reader sees.

    active: what could run besides known scripts, or load something, the first of it. answer: the text of the first
    paragraph of class `answer` in the section `answer`.
    """

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.active, self.is_guarded, self.answer = "", False, ""
        self._open: list[tuple[str, bool]] = []  # each with whether it is hidden
        self._in_section, self._in_answer, self._script = 0, 0, list[str]()
        self.feed(page)
        self.close()
        self.answer = _plain(self.answer)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "meta" and told.get("http-equiv", "").lower() == "content-security-policy":
            self.is_guarded = not self._has("body") and _allows_nothing_else(told.get("content", ""))
        if tag in ("iframe", "object", "embed", "base", "frame") or (tag == "script" and "src" in told):
            self.active = self.active or f"<{tag}>"
        handlers = [name for name in told if name.startswith("on")]
        handlers += [name for name, value in told.items() if value.strip().lower().startswith("javascript:")]
        self.active = self.active or (f"{handlers[0]} of <{tag}>" if handlers else "")
        if tag in VOID:
            return
        self._open.append((tag, "hidden" in told or "style" in told or tag in UNSEEN))
        if tag == "section" and told.get("id") == "answer" and not self._in_section:
            self._in_section = len(self._open)
        if self._in_section and not self._in_answer and not self.answer and told.get("class") == "answer":
            self._in_answer = len(self._open)
        if tag == "script":
            self._script = []

    def handle_endtag(self, tag: str) -> None:
        if tag == "script" and not self.active and _digest("".join(self._script)) not in _scripts():
            self.active = "a script"
        while self._has(tag):
            closed, _ = self._open.pop()
            self._in_answer = 0 if self._in_answer > len(self._open) else self._in_answer
            self._in_section = 0 if self._in_section > len(self._open) else self._in_section
            if closed == tag:
                break

    def handle_data(self, data: str) -> None:
        if self._has("script"):
            self._script.append(data)
        elif self._in_answer and not any(hidden for _, hidden in self._open):
            self.answer += data

    def _has(self, tag: str) -> bool:
        return any(one == tag for one, _ in self._open)


def _allows_nothing_else(policy: str) -> bool:
    """Whether a content security policy allows nothing to be loaded or run but data, a style sheet and our script."""
    told = [rule.lower().split(maxsplit=1) for rule in policy.split(";") if rule.strip()]
    rules = {name: {*" ".join(values).split()} for name, *values in told}
    scripts = {one for name, values in rules.items() if name.startswith("script-src") for one in values}
    loaded = {one for name in ("connect-src", "frame-src", "img-src") for one in rules.get(name, ())}
    return (
        len(rules) == len(told)  # of one that is told twice, browsers take the first
        and rules.get("default-src") == {"'none'"}
        and scripts <= {f"'{one}'".lower() for one in _scripts()} | {"'none'"}
        and loaded <= {"data:", "'self'", "'none'"}
    )


def _scripts() -> set[str]:
    return {script_digest(), *EARLIER_SCRIPTS}


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _plain(text: str) -> str:
    return " ".join(text.split())


def _same_figures(shown: str, due: str) -> bool:
    """Whether a page shows no number and no picture more often than another one: earlier versions showed less. Their
    headline spoke of the first attack: its numbers need only stand somewhere."""
    known, rest = _figures(due), re.sub(HEADLINE, " ", shown, flags=re.DOTALL)
    headline = _figures(" ".join(re.findall(HEADLINE, shown, re.DOTALL)))
    return _figures(rest) <= known and headline.keys() <= known.keys()


def _figures(page: str) -> Counter[str]:
    """The pictures of a page, and all numbers that stand in its text and its charts; but for ROC curves, which earlier
    versions drew further than pictures sufficed."""
    pictures = re.findall(r"data:image/[^\"')]+", page)
    page = re.sub(r"<(style|script)\b.*?</\1>|<svg class=\"chart roc\".*?</svg>", " ", page, flags=re.DOTALL)
    # Digests of the policy, and which column of the table of pictures a choice is about, are no findings.
    rest = re.sub(r"<meta[^>]*>|data:image/[^\"')]+| data-column=\"\d+\"|</?\w+", " ", page, flags=re.DOTALL)
    return Counter(pictures) + Counter(number.rstrip(".,") for number in re.findall(r"\d[\d.,]*", rest))
