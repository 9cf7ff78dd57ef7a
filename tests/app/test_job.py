"""Work in a thread: watched, stopped, and its errors in one sentence."""

import threading

import pytest

from trainedon import UserError
from trainedon.app import phrases
from trainedon.app.job import Job, JobState


def test_it_is_watched_stopped_and_begun_anew():
    job, inside, on = Job(), threading.Event(), threading.Event()

    def work(progress):
        progress("reading", 1, 4)
        inside.set()
        on.wait()
        progress("reading", 2, 4)

    job.start(work)
    inside.wait()
    assert (job.now.state, job.now.what, job.now.done, job.now.total) == ("at work", "reading", 1, 4)
    with pytest.raises(UserError, match="an audit is at work"):
        job.start(work)
    job.stop()
    assert job.now.state == "stopping"
    on.set()
    job.stop(None)
    assert (job.now.state, job.now.done) == ("stopped", 1)
    job.start(work)
    job._thread.join()
    assert job.now.state == "done"


@pytest.mark.parametrize(
    ("error", "says"),
    [(UserError("give a folder"), "give a folder"), (MemoryError(), "memory ran out"), (ValueError("x"), "a fault of")],
)
def test_what_fails_ends_in_a_sentence(error, says):
    job = Job()

    def work(progress):
        raise error

    job.start(work)
    job._thread.join()
    assert job.now.state == "failed" and says in job.now.message
    assert phrases.progress(job.now).startswith('<p class="fault"')


def test_what_is_said_is_never_markup():
    hostile = "<script>alert(1)</script>\x1b[31m\u202e"
    for said in (phrases.fault(hostile), phrases.progress(JobState("at work", hostile, 1, 2))):
        assert "<script" not in said and "\x1b" not in said and "\u202e" not in said


def test_how_long_it_lasts_in_words():
    assert [phrases.lasts(s) for s in (0, 1, 40, 100, 3600, 86400, 10 * 86400)] == [
        *("1 second", "1 second", "40 seconds", "2 minutes", "60 minutes", "24 hours", "10 days")
    ]
