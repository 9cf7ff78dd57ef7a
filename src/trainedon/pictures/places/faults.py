"""What went wrong with a store, as a person can act on it: told by the error's kind, its HTTP status, or its words."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

_BY_STATUS = {
    401: "needs a login: give the credentials for it",
    403: "refuses access: ask its owner, or check the credentials",
    407: "lies behind a proxy that needs a login: give the credentials for it",
    429: "is asked too often: run the same command again later",
}
_FAILING = "cannot be read, as its server is failing now (HTTP {}): run the same command again later"
_BY_WORDS = (
    (r"name or service not known|nodename nor servname|getaddrinfo|name resolution", "is on no host of this name"),
    (r"connection refused|connect call failed|cannot connect to host", "is on a host that does not answer there"),
    (r"time(d)? ?out", "is on a host that does not answer in time"),
)
_REMEDY = ": check address and network, and run the same command again"


def explanation(error: BaseException) -> str | None:
    """What follows the address of a store in a message; None where the error says nothing that is known."""
    errors = list(_chain(error))
    for one in errors:
        status = _status(one)
        if status in _BY_STATUS:
            return _BY_STATUS[status]
        if status is not None and status >= 500:
            return _FAILING.format(status)
    for one in errors:
        words = "getaddrinfo" if isinstance(one, socket.gaierror) else f"{type(one).__name__} {one}".lower()
        for pattern, said in _BY_WORDS:
            if re.search(pattern, words):
                return said + _REMEDY
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those from which it was made."""
    for _ in range(8):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _status(error: BaseException) -> int | None:
    """The HTTP status that an error of aiohttp, botocore, gcsfs or azure carries."""
    answer = getattr(error, "response", None)
    if isinstance(answer, dict):  # of botocore
        status: int | None = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status
    for name in ("status", "status_code", "code"):  # one after the other, as aiohttp warns of its last
        value = getattr(error, name, None)
        if isinstance(value, int):
            return value
    return None
