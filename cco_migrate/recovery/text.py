"""A rehearsal in words: a line for each round, a short table at the end. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from cco_migrate.recovery.record import Record
from cco_migrate.recovery.ways import ROUNDS, Taken, Timing
from cco_migrate.verdict import Verdict


def round_line(number: int, rounds: int, taken: Sequence[Taken]) -> str:
    """Return what one round came to."""
    told = ", ".join(f"back by {one.way} {_ended(one)}" for one in taken)
    broken = sum(one.streams_broken for one in taken)
    streams = sum(one.streams for one in taken) + broken
    return f"{number:>4} of {rounds}  {told}; {broken} of {streams} streams broken"


def table(record: Record) -> tuple[str, ...]:
    """Return the lines of the table."""
    lost, streams = record.lost, record.streams
    return (
        f"{'WAY BACK':<10}{'n':>4}{'p50':>10}{'p95':>10}{'promised':>10}  VERDICT",
        *(_row(one) for one in record.timings),
        f"RECOVERY POINT  {lost.requests_lost} of {lost.requests} recorded requests lost, "
        f"{lost.files_different} of {lost.files} files not as before",
        f"STREAMS  {streams.whole} whole, {streams.broken} broken while it was switched",
    )


def conclusion(record: Record) -> str:
    """Return the verdict in a sentence."""
    match record.verdict:
        case Verdict.NO_GO:
            said = "; ".join(record.shortfalls)
            return f"NO-GO  the ways back are not what is promised: {said}"
        case Verdict.GO:
            return f"GO  every way back was taken {record.rounds} times, in the time promised"
    return (
        f"INCONCLUSIVE  {record.rounds} of {ROUNDS} rounds: this does not count as a rehearsal, "
        "and is not recorded"
    )


def _ended(taken: Taken) -> str:
    if taken.faults:
        return f"FAULT: {'; '.join(taken.faults)}"
    return f"{taken.seconds:.1f} s" if taken.seconds is not None else "not ended"


def _row(timing: Timing) -> str:
    figures = "".join(
        f"{seconds:>8.1f} s" for seconds in (timing.p50_s, timing.p95_s, timing.promise_s)
    )
    return f"{timing.way:<10}{len(timing.seconds):>4}{figures}  {timing.verdict.value}"
