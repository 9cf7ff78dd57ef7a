"""What the page says, as HTML: whatever comes from files or from the package is escaped, none of it is markup."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from trainedon.app.desk import BESIDE, FILES
from trainedon.app.dropped import Dropped
from trainedon.app.job import JobState
from trainedon.evidence.statistics.pvalues import smallest_p
from trainedon.redact import clean
from trainedon.reporting.words import LADDER

if TYPE_CHECKING:
    from trainedon.api.results import AuditRun
    from trainedon.app.desk import Forecast, Look

SMALL = 96  # up to this side in pixels a picture is shown with its pixels as squares
MOST_SAID = 8  # of refused files; the rest is counted
HEAD = Markup(
    "<h1>Was this model trained on my pictures?</h1>"
    "<p>Drop pictures in. Each is noised or hidden in part, the model brings it back, and what it remembers too well "
    "is compared with what chance would give. The pictures do not leave this computer, and what you drop here is "
    "removed when the program ends.</p>"
)
EMBEDDED_MODEL = "The embedded one, trained on 256 designs of OpenMoji"
MODEL = (
    "Type the path of a folder or a .safetensors file on this computer, which is read with your rights; or the name of "
    "a model on the hub (owner/name), which is downloaded first."
)
SUSPECTS = Markup(
    "<p>Forty or more. For a model that paints by words, add a caption to each: a .txt file of the same name.</p>"
)
UNSEEN = Markup(
    "<p>Such as the model cannot have been trained on, and alike in every other way: same maker, same kind, same file "
    "format. The more, the more can be told; a hundred is good.</p>"
)
MIRROR = Markup(
    "<p>Each picture is compared with its own mirror image: a model that never saw it has no reason to know one better "
    "than the other. Leave out pictures with writing or digits, which are not as likely the other way round.</p>"
)
ONE = Markup(
    "<p>What does the model make of one picture? <b>One picture alone proves nothing</b>: some come back well from "
    "any model, and chance is large. Whoever picks pictures by what is seen here finds training everywhere, so each "
    "look is remembered, and an audit of pictures that were looked at says so.</p>"
)
OPTIONS = "(What begins with -- is an option of the command line, trainedon audit.)"
# What a run shows of a picture -> what is said below it, in the order in which it is seen.
SHOWN = {
    "original": "Your picture, as the model sees it",
    "degraded": "Its middle, hidden",
    "restored-1": "What the model painted there",
    "viewback": "What it painted in its mirror image",
    "viewpainted": "What it painted in the mirror, turned back",
    "guess": "Noised as a whole: the model's guess",
    "viewguess": "Its guess in the mirror, turned back",
    "ahead": "Orange: the guess is better than in the mirror",
}
# Where no part of the picture was hidden, and all of it became a mosaic.
OF_MOSAIC = {
    "degraded": "Made a mosaic",
    "restored-1": "What the model painted from that",
    "viewback": "What it painted from a mosaic of its mirror image",
}


def fault(sentence: object) -> Markup:
    """Why something was not done."""
    return Markup('<p class="fault" role="alert">{}</p>').format(_capital(str(sentence)))


def heap(dropped: Dropped, refused: Sequence[str] = ()) -> Markup:
    """How many pictures there are, and what was left out of those that were dropped last."""
    n = len(dropped)
    said = Markup('<p class="heap"><b>{}</b></p>').format(f"{n} picture{'s' * (n != 1)}" if n else "No pictures yet")
    if strays := dropped.strays:
        named = f"{', '.join(map(clean, strays[:MOST_SAID]))}{' and others' if len(strays) > MOST_SAID else ''}"
        said += Markup(
            '<p class="fault" role="alert">No picture has the name of {}: a text file is read as the caption of the '
            "picture beside it, as a.txt of a.png.</p>"
        ).format(named)
    if refused:
        rows = Markup("").join(Markup("<li>{}</li>").format(clean(one)) for one in refused[:MOST_SAID])
        more = f"and {len(refused) - MOST_SAID} more" if len(refused) > MOST_SAID else ""
        said += Markup('<div class="fault" role="alert">Left out:<ul>{}</ul>{}</div>').format(rows, more)
    return said


def forecast(found: Forecast) -> Markup:
    """How long it would take, and what could be claimed."""
    estimate, unseen = found.estimate, found.unseen
    hours = estimate.wall_hours + (estimate.inventory_hours or 0)
    said = [f"About {lasts(hours * 3600)} for the scores here, on {estimate.device}."]
    if estimate.painting is not None:
        painting = estimate.painting
        said[0] = (
            f"About {lasts((hours + painting.device_hours) * 3600)} here, on {estimate.device}: "
            f"{lasts(hours * 3600)} for the scores, and {lasts(painting.device_hours * 3600)} to paint "
            f"{painting.pictures} pictures for the page."
        )
    said[0] += " Controls and the page itself come on top."
    if estimate.reachable is not None:
        sentence = estimate.reachable.sentence
        said.append(f"{sentence} {OPTIONS}" if " --" in sentence else sentence)
        level, by_mirror = estimate.reachable.level, estimate.reachable.by_mirror and not estimate.reachable.because
        given = ", given that mirror images of such pictures are about as likely as the pictures" if by_mirror else ""
        means = _uncapital(LADDER[level][0])
        said.append(f"Level {level}{'m' * by_mirror} means: {means}{given}.")
    if unseen:
        least = smallest_p(1, unseen)
        said.append(
            f"With {unseen} unseen picture{'s' * (unseen != 1)} no single picture can get a p-value below {least:.3f}; "
            "the more, the lower."
        )
    rows = Markup("").join(Markup("<li>{}</li>").format(one) for one in said)
    return Markup('<div class="forecast"><b>Before it starts</b><ul>{}</ul></div>').format(rows)


def progress(state: JobState) -> Markup:
    """How far the run is."""
    if state.state == "idle" or state.state == "done":
        return Markup("")
    if state.state == "failed":
        return fault(state.message)
    left = state.seconds_left
    words = {"stopping": "Stopping: ", "stopped": "Stopped, and nothing is lost: "}.get(state.state, "")
    end = "" if left is None or state.state != "at work" else f", about {lasts(left)} left"
    count = f", {int(state.done)} of {state.total}" if state.total > 1 else ""
    said = f"{words}{_work(state.what)}{count}{end}"
    share = state.done / state.total if state.total else 0.0
    return Markup(
        '<div class="progress" role="status"><progress max="1" value="{:.3f}"></progress><p>{}</p></div>'
    ).format(share, _capital(said))


def _work(what: str) -> str:
    """What a run is at, in words of this page. It asks with one attack; controls say that they are such."""
    if what.startswith("control: "):
        return "checking whether something else explains it"
    if what.startswith("drc"):
        return "asking the model about each picture"
    return clean(what)


def verdict(audit: AuditRun, number: int) -> Markup:
    """What the audit found, and its page. number: which one it is, so that no browser shows an earlier page."""
    named = len(audit.named)
    which = f"{named} of {len(audit.pictures)} pictures stand out by themselves." if named else ""
    files = Markup(" ").join(Markup('<a href="{}" download>{}</a>').format(BESIDE + name, name) for name in FILES)
    return Markup(
        '<div class="verdict"><p class="level">Done: claim level {} of 4. {}</p>'
        '<p class="files"><a href="/report" target="_blank" rel="noopener">Open the page by itself</a> '
        '<a href="/run.zip" download>Download everything (zip)</a></p><p class="files">Or one file of it: {}</p>'
        '<iframe title="The page of the audit" src="/report?{}" sandbox="allow-scripts" referrerpolicy="no-referrer">'
        "</iframe></div>"
    ).format(audit.claim.grade, which, files, number)


def look(found: Look) -> Markup:
    """What there is to see of one picture."""
    small = Markup('class="small"') if found.side <= SMALL else ""
    shown = SHOWN | OF_MOSAIC if found.record.mosaic else SHOWN
    figures = Markup("").join(
        Markup('<figure><img {} src="data:image/png;base64,{}" alt="{}"><figcaption>{}</figcaption></figure>').format(
            small, base64.b64encode(found.pictures[name]).decode(), caption, caption
        )
        for name, caption in shown.items()
        if name in found.pictures
    )
    share = found.record.ahead
    ahead = "" if share is None else f"{share:.0%} of its area is guessed better than in the mirror; chance gives half."
    return Markup('<div class="figures">{}</div><p>{} {} One picture alone proves nothing.</p>').format(
        figures, ahead, found.record.note
    )


def lasts(seconds: float) -> str:
    """In words, for people."""
    for unit, size, most in (("second", 1, 90), ("minute", 60, 90), ("hour", 3600, 48), ("day", 86400, float("inf"))):
        if seconds / size < most:
            n = max(1, round(seconds / size))
            return f"{n} {unit}{'s' * (n != 1)}"
    raise AssertionError(seconds)


def _uncapital(text: str) -> str:
    return text[:1].lower() + text[1:]


def _capital(text: str) -> str:
    return clean(text[:1].upper() + text[1:])
