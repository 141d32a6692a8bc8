"""How much of an answer is copied for its record."""

from __future__ import annotations

from gateway.body_log import AnswerLog, LoggedSink
from gateway.redact import MAX_BODY_BYTES, redact_body


class Sink:
    """Notes what it gets, and what was logged by then."""

    def __init__(self, log: AnswerLog) -> None:
        self.log, self.got, self.logged = log, b"", b""

    def body(self, data: bytes) -> None:
        self.got += data
        self.logged = self.log.text()


def test_piece_is_logged_before_it_is_passed_on() -> None:
    log = AnswerLog()
    sink = Sink(log)
    logged = LoggedSink(sink, log)
    for piece in (b"a", b"", b"bc"):
        logged.body(piece)
        assert sink.logged == sink.got
    assert log.text() == b"abc"


def test_log_is_bounded_and_its_text_says_that_it_was_cut() -> None:
    log = AnswerLog()
    for _ in range(5):
        log.add(b"x" * (MAX_BODY_BYTES // 2))
    assert len(log.text()) == MAX_BODY_BYTES + 1
    assert redact_body(log.text()) == "x" * MAX_BODY_BYTES + "… (cut)"
