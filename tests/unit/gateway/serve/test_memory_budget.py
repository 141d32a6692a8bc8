"""The memory budget: who waits, whose turn it is, and that nobody waits for ever."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.serve.memory import SMALL_BYTES, Hold, MemoryBudget

MB = 1 << 20
PIECE = 64 << 10


@dataclass(eq=False)
class Upload:
    """A body on its way, of known length or chunked, as a connection would receive it."""

    budget: MemoryBudget
    size: int
    chunked: bool = False
    arrived: int = 0
    granted: int = 0
    hold: Hold = field(init=False)

    def __post_init__(self) -> None:
        self.hold = self.budget.hold(self.note)

    def note(self) -> None:
        self.granted += 1

    @property
    def waits(self) -> bool:
        return self.hold.wanted > self.hold.held

    @property
    def whole(self) -> bool:
        return self.arrived == self.size and not self.waits

    def receive(self) -> bool:
        """Take one more piece if there is room; return whether one was taken."""
        if self.whole or not self.hold.ask(self.arrived if self.chunked else self.size):
            return False
        self.arrived = min(self.size, self.arrived + PIECE)
        self.hold.ask(self.arrived if self.chunked else self.size)
        return True

    def receive_all(self) -> bool:
        while not self.whole and self.receive():
            pass
        return self.whole


def test_sized_body_is_granted_whole_or_waits() -> None:
    budget = MemoryBudget(10 * MB)
    first, second, third = (Upload(budget, size * MB) for size in (6, 6, 4))
    assert first.receive_all()
    assert not second.receive()
    assert (second.hold.held, second.arrived) == (0, 0), "it waits with nothing in hand"
    assert not third.receive(), "it would fit, but it came later"
    first.hold.release()
    assert (second.granted, third.granted) == (1, 1)
    assert second.receive_all()
    assert third.receive_all()
    assert (budget.used, budget.waiting) == (10 * MB, 0)


def test_small_body_does_not_wait_behind_a_large_one() -> None:
    budget = MemoryBudget(10 * MB)
    first, large = Upload(budget, 6 * MB), Upload(budget, 6 * MB)
    small, full = Upload(budget, SMALL_BYTES), Upload(budget, SMALL_BYTES + 1)
    assert first.receive_all()
    assert not large.receive()
    assert small.receive_all()
    assert not full.receive()
    assert budget.waiting == 2


@pytest.mark.parametrize("used", [0, 1])
def test_body_larger_than_the_budget_is_received_alone(used: int) -> None:
    budget = MemoryBudget(10 * MB)
    before = budget.hold(lambda: None)
    before.take(used)
    huge, other = Upload(budget, 20 * MB), Upload(budget, 1 * MB)
    assert huge.receive_all() is not used
    before.release()
    assert huge.receive_all()
    assert not other.receive()
    huge.hold.release()
    assert other.receive_all()


def test_oldest_chunked_body_ends_when_all_memory_is_held_by_waiting_ones() -> None:
    budget = MemoryBudget(10 * MB)
    uploads = [Upload(budget, 8 * MB, chunked=True) for _ in range(3)]
    while sum(upload.receive() for upload in uploads):
        assert budget.used <= 10 * MB + 8 * MB
    assert [upload.whole for upload in uploads] == [True, False, False]
    assert budget.used > 10 * MB
    sized = Upload(budget, 1 * MB)
    assert not sized.receive(), "nobody else gets anything while the limit is exceeded"
    for upload in uploads[:2]:
        upload.hold.release()
        for other in uploads:
            other.receive_all()
    assert uploads[2].whole
    assert sized.receive_all()


def test_waiting_body_that_gives_up_makes_way() -> None:
    budget = MemoryBudget(10 * MB)
    first, second, third = (Upload(budget, 6 * MB) for _ in range(3))
    assert first.receive_all()
    assert not second.receive()
    assert not third.receive()
    second.hold.release()
    first.hold.release()
    assert (second.granted, third.granted) == (0, 1)
    assert third.receive_all()
    assert budget.used == 6 * MB


def test_answer_is_granted_at_once_or_not_at_all() -> None:
    budget = MemoryBudget(10 * MB)
    first, second = Upload(budget, 3 * MB), Upload(budget, 3 * MB)
    assert first.receive_all()
    assert second.receive_all()
    assert first.hold.try_more(4 * MB)
    assert not second.hold.try_more(1)
    assert (first.hold.held, second.hold.held, budget.used) == (7 * MB, 3 * MB, 10 * MB)
    waiting = Upload(budget, 5 * MB)
    assert not waiting.receive()
    first.hold.release(keep=6 * MB)
    assert not second.hold.try_more(1), "there is room now, but another one waits for it"
    second.hold.release()
    first.hold.release(keep=9 * MB)
    assert first.hold.held == 6 * MB
    first.hold.release()
    assert waiting.receive_all()
    assert budget.used == 5 * MB


def test_what_has_arrived_already_is_counted_though_there_is_no_room() -> None:
    budget = MemoryBudget(100)
    hold = budget.hold(lambda: None)
    hold.take(150)
    hold.take(20)
    assert (budget.used, hold.held) == (150, 150)
    for _ in range(2):
        hold.release()
    assert budget.used == 0


@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.booleans(), st.integers(0, 30)), min_size=1, max_size=12
    )
)
def test_every_body_arrives_within_the_limit_and_one_body(
    bodies: list[tuple[int, bool, int]],
) -> None:
    """Each body is answered some rounds after it has arrived; then what it holds is released."""
    limit, largest = 60 * PIECE, 40 * PIECE
    budget = MemoryBudget(limit)
    open_ = [(Upload(budget, pieces * PIECE, chunked), rest) for pieces, chunked, rest in bodies]
    for _ in range(sum(pieces + rest + 2 for pieces, _, rest in bodies) + 10):
        for number, (upload, rest) in enumerate(open_):
            if not upload.whole:
                upload.receive()
            elif rest:
                open_[number] = (upload, rest - 1)
            else:
                upload.hold.release()
            small = sum(SMALL_BYTES for _ in open_)  # one piece a body is counted after it came
            assert budget.used <= limit + largest + small
    assert all(upload.whole for upload, _ in open_)
    assert (budget.used, budget.waiting) == (0, 0)
