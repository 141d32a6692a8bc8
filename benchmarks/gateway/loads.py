"""What all measurements work with, and the streams they take; opens sockets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.gateway.bodies import Pace, paced_request
from benchmarks.gateway.clients import request_bytes
from benchmarks.gateway.counters import Counter
from benchmarks.gateway.errors import WrongAnswer
from benchmarks.gateway.programs import Address
from benchmarks.gateway.streams import StreamLoad, StreamReport, take_streams


@dataclass(frozen=True, slots=True)
class Bench:
    """What every measurement works with.

    Attributes:
        rounds: How often each count and time is taken; the median counts.
        canned: Answers at once.
        paced: Streams at the pace it is asked for.
    """

    counter: Counter
    rounds: int
    canned: Address
    paced: Address
    scratch: Path


def take(address: Address, pace: Pace, streams: int) -> StreamReport:
    """Take so many streams at once. Raises WrongAnswer when none is whole."""
    request = request_bytes(address, paced_request(pace))
    return uvloop.run(take_streams(address, StreamLoad(request, pace, streams)))


def take_whole(address: Address, pace: Pace, streams: int) -> None:
    """Take streams that must all be whole. Raises WrongAnswer."""
    report = take(address, pace, streams)
    if report.broken or report.faults.total:
        raise WrongAnswer(
            f"{report.broken} of {streams} streams broke, {report.faults.total} deltas were lost, "
            f"doubled or reordered: {report.shown}"
        )
