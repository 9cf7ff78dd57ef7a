"""The page itself, made with Gradio: what is clicked calls the desk, and what comes of it is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

import gradio as gr
from gradio.server_messages import ProcessCompletedMessage

from trainedon.app import phrases
from trainedon.app.desk import AuditQuestion, Desk, SetName
from trainedon.embedded import EMBEDDED
from trainedon.errors import PictureError, UserError
from trainedon.unforeseen import kept, of_the_machine

CSS = (Path(__file__).parent / "app.css").read_text("utf-8")
SCRIPT = (Path(__file__).parent / "app.js").read_text("utf-8")
TICK = 1.0  # seconds
AGAINST = [("I have none: compare each picture with its mirror image", "mirror"), ("I have some", "unseen")]
# Handlers are for the page alone, and none of them is offered to other programs. They are answered one after another,
# in the order of clicks: an earlier answer that came later would wipe what the later one said.
PRIVATE: dict[str, Any] = {"api_visibility": "private", "concurrency_id": "desk", "concurrency_limit": 1}
QUIETLY: dict[str, Any] = PRIVATE | {"show_progress": "hidden"}
UNANSWERED = "the page is open"
MOST_OPEN = 3
Updates = dict[Any, Any]  # component -> its new value


def theme() -> Any:
    """Colours, and fonts that are there: Gradio's own would be fetched."""
    fonts: dict[str, Any] = {"font": ("system-ui", "sans-serif"), "font_mono": ("ui-monospace", "monospace")}
    soft = gr.themes.Soft(primary_hue="orange", secondary_hue="stone", neutral_hue="stone", **fonts)
    return soft.set(block_info_text_color="*neutral_600", block_info_text_color_dark="*neutral_300")  # to be read


def page(desk: Desk) -> Any:
    """The page of one desk."""
    with gr.Blocks(title="trainedon", analytics_enabled=False) as blocks:
        gr.HTML(phrases.HEAD)
        named = [(name, name) for name in desk.models.named]
        model = gr.Dropdown(
            [(phrases.EMBEDDED_MODEL, EMBEDDED), *named],
            value=desk.models.named[0] if named else EMBEDDED,
            label="1. Which model?",
            info=phrases.MODEL,
            allow_custom_value=True,
            elem_id="model",
        )
        with gr.Tabs():
            with gr.Tab("My pictures"):
                audit = _AuditForm(desk, model)
            with gr.Tab("One picture"):
                _LookForm(desk, model)

        pages = _OpenPages(blocks)

        def opened(request: gr.Request) -> Updates:
            pages.keep_open(str(request.session_hash))
            return audit.all_of_it()

        blocks.load(opened, None, audit.parts, **QUIETLY)
    return blocks


class _OpenPages:
    """Answers reach a page over one stream, which Gradio closes once nothing is asked. What a person asks while that is
    on its way, on a slow machine, would be answered to nobody: so one question is never answered, and it stays open.

    That is so of the pages that were opened last: a browser has six connections, for all its tabs."""

    def __init__(self, blocks: Any) -> None:
        self._blocks = blocks
        self._open: list[str] = []

    def keep_open(self, session: str) -> None:
        self._open.append(session)
        with suppress(AttributeError, KeyError):  # a Gradio that keeps this elsewhere works, but for that
            self._blocks._queue.pending_event_ids_session[session].add(UNANSWERED)
            while len(self._open) > MOST_OPEN:
                self._answer(self._open.pop(0))

    def _answer(self, session: str) -> None:
        """The stream is closed as after any other answer, if it is there."""
        messages = self._blocks._queue.pending_messages_per_session.get(session)
        if messages is None:
            self._blocks._queue.pending_event_ids_session.get(session, set()).discard(UNANSWERED)
        else:
            messages.put_nowait(ProcessCompletedMessage(event_id=UNANSWERED, output={}, success=True))


class _AuditForm:
    """From pictures to the verdict."""

    def __init__(self, desk: Desk, model: Any) -> None:
        self.desk = desk
        # Of each page the question that its forecast is of. It is no `gr.State`, for which every page would keep
        # another connection, and does not come from the page, which sends what it knew when something was changed.
        self.told: dict[str | None, AuditQuestion] = {}
        with gr.Row():
            with gr.Column():
                self.suspects = _drop("2. Your pictures: drop them here", "suspects")
                self.suspects_heap = gr.HTML(elem_id="suspects-heap")
                gr.HTML(phrases.SUSPECTS)
            with gr.Column():
                self.against = gr.Radio(
                    AGAINST, value="mirror", label="3. Pictures that the model cannot have seen", elem_id="against"
                )
                self.unseen = _drop("Unseen pictures: drop them here", "unseen", visible=False)
                self.unseen_heap = gr.HTML(elem_id="unseen-heap", visible=False)
                self.hint = gr.HTML(phrases.MIRROR)
        self.ask = gr.Button("4. How long will it take, and what can it tell?", elem_id="ask")
        self.forecast = gr.HTML(elem_id="forecast")
        with gr.Row():
            self.start = gr.Button("5. Start", variant="primary", visible=False, elem_id="start")
            self.stop = gr.Button("Stop", visible=False, elem_id="stop")
            self.go_on = gr.Button("Go on", variant="primary", visible=False, elem_id="go-on")
        self.progress = gr.HTML(elem_id="progress")
        self.verdict = gr.HTML(elem_id="verdict")
        self.reset = gr.Button("Remove all pictures and results", size="sm", elem_id="reset")
        self.timer = gr.Timer(TICK, active=False)
        self.parts = [self.suspects, self.suspects_heap, self.unseen, self.unseen_heap, self.hint, self.forecast]
        self.parts += [self.start, self.stop, self.go_on, self.progress, self.verdict, self.timer]
        self._wire(model)

    def _wire(self, model: Any) -> None:
        question = [model, self.against]
        self._takes("suspects", self.suspects, self.suspects_heap)
        self._takes("unseen", self.unseen, self.unseen_heap)
        for changed in (model, self.against):
            changed.change(self._changed, question, self.parts, **QUIETLY)
        self.ask.click(self._ask, question, self.parts, show_progress_on=self.forecast, **PRIVATE)
        self.start.click(partial(self._act, self._start), question, self.parts, **QUIETLY)
        self.stop.click(partial(self._act, self.desk.job.stop), None, self.parts, **QUIETLY)
        self.go_on.click(partial(self._act, self.desk.go_on), None, self.parts, **QUIETLY)
        self.reset.click(partial(self._act, self.desk.reset), None, self.parts, **QUIETLY)
        self.timer.tick(self._tick, None, self.parts, **QUIETLY)

    def _takes(self, which: SetName, field: Any, heap: Any) -> None:
        field.upload(partial(self._dropped, which), field, self.parts, show_progress_on=heap, **PRIVATE)

    def all_of_it(self) -> Updates:
        """The page as the desk is, for a browser that opens it anew."""
        return self._heaps() | {self.forecast: ""} | self._run() | self._found()

    def _dropped(self, which: SetName, files: Sequence[str] | None) -> Updates:
        """What was dropped is taken off the field, so that more can be dropped."""
        refused, fault = _tried(lambda: self.desk.add(which, [Path(file) for file in files or ()]))
        heaps = self._heaps({which: refused or ()})
        cleared = {self.suspects if which == "suspects" else self.unseen: None}
        return cleared | heaps | {self.forecast: fault} | self._run()

    def _changed(self, model: str, against: str, request: gr.Request) -> Updates:
        """Another model or another way to compare: what was forecast is so no longer, unless it is of these already
        because the click was heard before the change."""
        some = against == "unseen"
        shown = {part: gr.update(visible=some) for part in (self.unseen, self.unseen_heap)}
        shown[self.hint] = phrases.UNSEEN if some else phrases.MIRROR
        if self.told.get(request.session_hash) == _question(model, against):
            return shown
        return shown | {self.forecast: "", self.start: gr.update(visible=False)}

    def _ask(self, model: str, against: str, request: gr.Request) -> Updates:
        question = self.told[request.session_hash] = _question(model, against)
        found, fault = _tried(lambda: self.desk.forecast(question))
        said = fault if found is None else phrases.forecast(found)
        return {self.forecast: said, self.start: gr.update(visible=found is not None)}

    def _start(self, model: str, against: str) -> None:
        self.desk.start(_question(model, against))

    def _act(self, act: Callable[..., object], *given: Any) -> Updates:
        """Do it, and show how things stand."""
        _, fault = _tried(lambda: act(*given))
        return self.all_of_it() | ({self.progress: fault} if fault else {})

    def _tick(self) -> Updates:
        return self._run() | ({} if self.desk.job.now.busy else self._found())

    def _heaps(self, refused: dict[str, Sequence[str]] | None = None) -> Updates:
        said = refused or {}
        return {
            self.suspects_heap: phrases.heap(self.desk.suspects, said.get("suspects", ())),
            self.unseen_heap: phrases.heap(self.desk.unseen, said.get("unseen", ())),
        }

    def _run(self) -> Updates:
        """How far the run is, and what can be done with it."""
        now = self.desk.job.now
        return {
            self.progress: phrases.progress(now),
            self.start: gr.update(visible=False),
            self.stop: gr.update(visible=now.busy, interactive=now.state == "at work"),
            self.go_on: gr.update(visible=self.desk.can_go_on),
            self.timer: gr.Timer(active=now.busy),
        }

    def _found(self) -> Updates:
        result = self.desk.result
        return {self.verdict: "" if result is None else phrases.verdict(result, self.desk.count)}


class _LookForm:
    """What a model makes of one picture."""

    def __init__(self, desk: Desk, model: Any) -> None:
        self.desk = desk
        gr.HTML(phrases.ONE)
        self.picture = _drop("Drop one picture here", "one", file_count="single")
        self.shown = gr.HTML(elem_id="look")
        self.picture.upload(
            self._look, [model, self.picture], [self.picture, self.shown], show_progress_on=self.shown, **PRIVATE
        )

    def _look(self, model: str, file: str | None) -> Updates:
        found, fault = _tried(lambda: self.desk.look(model, Path(file or "")))
        return {self.picture: None, self.shown: fault if found is None else phrases.look(found)}


def _drop(
    label: str, name: str, *, file_count: Literal["single", "multiple"] = "multiple", visible: bool = True
) -> Any:
    return gr.File(file_count=file_count, label=label, elem_id=name, height=170, visible=visible)


def _question(model: str, against: str) -> AuditQuestion:
    return AuditQuestion(model, "unseen" if against == "unseen" else "mirror")


def _tried(act: Callable[[], Any]) -> tuple[Any, str]:
    """What comes of it, or None and the reason in one sentence, as HTML."""
    try:
        return act(), ""
    except (UserError, PictureError) as error:
        return None, phrases.fault(error)
    except Exception as error:  # noqa: BLE001 (whatever it is, a person gets one sentence)
        return None, phrases.fault(of_the_machine(error) or kept(error))
