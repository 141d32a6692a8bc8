"""Deltas of a stream: what is lost, doubled, reordered or glued is seen, wherever bytes are cut."""

from __future__ import annotations

import pytest

from benchmarks.gateway.bodies import Format, stamp, stream_delta, stream_head, stream_tail
from benchmarks.gateway.deltas import DeltaReader, Faults, faults, percentile

DELTAS = 4


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((0, 1, 2, 3), Faults()),
        ((0, 1, 3), Faults(lost=1)),
        ((), Faults(lost=4)),
        ((0, 1, 1, 2, 3), Faults(doubled=1)),
        ((0, 1, 2, 3, 0, 1), Faults(doubled=2)),
        ((0, 2, 1, 3), Faults(reordered=1)),
        ((3, 0, 1, 2), Faults(reordered=3)),
        ((2, 0, 0), Faults(lost=2, doubled=1, reordered=1)),
    ],
)
def test_faults_of_a_stream_are_counted(numbers: tuple[int, ...], expected: Faults) -> None:
    assert faults(numbers, DELTAS) == expected


def test_faults_of_streams_add_up() -> None:
    both = Faults(1, 2, 3) + Faults(10, 20, 30)
    assert both == Faults(11, 22, 33)
    assert both.total == 66


@pytest.mark.parametrize("number", [-1, DELTAS])
def test_number_that_was_never_sent_raises(number: int) -> None:
    with pytest.raises(ValueError, match=f"delta {number} came"):
        faults((0, number), DELTAS)


def stream(wire: Format) -> bytes:
    deltas = b"".join(stream_delta(wire, number, 1_000_000 * number) for number in range(DELTAS))
    return stream_head(wire) + deltas + stream_tail(wire, DELTAS)


@pytest.mark.parametrize("wire", Format)
def test_stream_cut_at_every_byte_is_read_whole(wire: Format) -> None:
    data = stream(wire)
    for cut in range(len(data) + 1):
        reader = DeltaReader(wire.last)
        reader.feed(data[:cut], 5_000_000)
        reader.feed(data[cut:], 5_000_000)
        assert reader.numbers == [0, 1, 2, 3], cut
        assert reader.delays_ms == [5.0, 4.0, 3.0, 2.0], cut
        assert reader.ended, cut


@pytest.mark.parametrize("wire", Format)
def test_stream_fed_byte_by_byte_has_nothing_glued(wire: Format) -> None:
    reader = DeltaReader(wire.last)
    for byte in stream(wire):
        reader.feed(bytes((byte,)), 0)
    assert reader.numbers == [0, 1, 2, 3]
    assert reader.ended
    assert reader.glued == 0


def test_deltas_read_together_are_glued() -> None:
    reader = DeltaReader(b"message_stop")
    one, two, three = (stamp(number, 1).encode() for number in range(3))
    reader.feed(one, 2)
    assert reader.glued == 0
    reader.feed(two + three, 2)
    assert reader.glued == 1


def test_stream_without_its_last_event_has_not_ended() -> None:
    reader = DeltaReader(Format.MESSAGES.last)
    reader.feed(stream(Format.MESSAGES).partition(b"event: message_stop")[0], 0)
    assert not reader.ended


@pytest.mark.parametrize(
    ("share", "value"), [(0.01, 1.0), (0.5, 50.0), (0.99, 99.0), (0.995, 100.0), (1.0, 100.0)]
)
def test_percentile_is_the_value_that_so_many_do_not_exceed(share: float, value: float) -> None:
    assert percentile(map(float, range(100, 0, -1)), share) == value


def test_percentile_of_nothing_raises() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile((), 0.5)
