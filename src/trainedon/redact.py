"""Text without what nobody may read (passwords, tokens and signatures in addresses, the name of a home folder), and
without characters that mislead who reads it."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

# An address as far as it can go: up to white space or a quote. Chained ones (`zip::https://...`) come part by part.
_ADDRESS = re.compile(r"(?<![\w+.-])[A-Za-z][\w+.-]+://[^\s'\"`<>]*")
_CONTAINERS = ("abfs", "abfss", "az", "adl", "wasb", "wasbs")  # what stands before @ is no user there, but a container
# What a path makes of an address: `https:/host/x`.
_SQUEEZED = re.compile(
    r"(?<![\w+.-])((?:https?|ftp|sftp|ssh|s3a?|gc?s|az|abfss?|adl|wasbs?|hf|hdfs|ray|smb|github|dropbox):/)([^/\s'\"`<>][^\s'\"`<>]*)",
    re.IGNORECASE,
)
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # controls, direction overrides, lone surrogates, ...
_USER = re.compile(r"(?<=/)[^/\s:@'\"]+:[^/\s@'\"]+@")  # in what is nearly an address, such as https:/me:secret@host


def clean(text: str) -> str:
    """The text without characters that hide or reorder others: each becomes U+FFFD, so that it is seen."""
    return "".join("\ufffd" if unicodedata.category(char) in _HIDDEN else char for char in text)


def redacted(text: str) -> str:
    """The text with every address in it as it may be printed and kept, and the home folder as `~`."""
    home = str(Path.home())
    if len(home) > 1:
        text = re.sub(rf"(?<![\w/.-]){re.escape(home)}(?=/|$|[^\w.-])", "~", text)
    return without_secrets(text)


def without_secrets(text: str) -> str:
    """The text with every address in it as it may be printed and kept, also where it became a path."""
    text = _SQUEEZED.sub(lambda found: found[1] + redacted_address(f"{found[1]}/{found[2]}")[len(found[1]) + 1 :], text)
    return _USER.sub("", _ADDRESS.sub(lambda found: redacted_address(found[0]), text))


def redacted_address(url: str) -> str:
    """One address, whatever characters it is made of, as it may be printed and kept."""
    return "::".join(map(_part, url.split("::")))


def redacted_argument(argument: str) -> str:
    """One argument of a command: an address, `--option=ADDRESS`, or another text."""
    option, mark, value = argument.partition("=")
    if option.startswith("-") and mark and _ADDRESS.match(value.rpartition("::")[2]):
        return f"{option}={redacted_address(value)}"
    return redacted_address(argument) if _ADDRESS.match(argument.rpartition("::")[2]) else redacted(argument)


def _part(text: str) -> str:
    scheme, mark, rest = text.partition("://")
    if not mark:
        return text
    return scheme + mark + _without_answers(scheme, _without_user(scheme, rest))


def _without_answers(scheme: str, rest: str) -> str:
    """Without a query, a fragment or parameters, where signatures and tokens stand. Elsewhere than on the web `?` and
    `#` may belong to the key of an object, or number a row (`file.npz#12`): there they stay unless they say
    `key=value`."""
    for mark in "?#;":
        before, found, after = rest.partition(mark)
        if found and ("=" in after or (mark == "?" and scheme.lower().startswith("http"))):
            rest = before
    return rest


def _without_user(scheme: str, rest: str) -> str:
    host, slash, path = rest.partition("/")
    if "@" in host:
        user, _, host = host.rpartition("@")
        kept = f"{user}@" if scheme.lower() in _CONTAINERS and ":" not in user and "@" not in user else ""
        return kept + host + slash + path
    if ":" in host and not host.startswith("[") and "@" in path:
        return path.rpartition("@")[2]  # a password with a slash in it
    return rest
