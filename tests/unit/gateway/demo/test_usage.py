"""The demo upstream bills a prompt: what is written to the prompt cache and read from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.request import Block, parse
from gateway.demo.usage import InputUsage, PromptCache

if TYPE_CHECKING:
    from tests.unit.gateway.demo.conftest import Body

Json = dict[str, Any]  # decoded JSON of our own making
MODEL = "claude-sonnet-4-5-20250929"
OTHER = "claude-haiku-4-5"
EPHEMERAL = {"type": "ephemeral"}
ONE_HOUR = {"type": "ephemeral", "ttl": "1h"}
BillOf = Callable[..., InputUsage]


@pytest.fixture
def bill_of(body: Body) -> BillOf:
    """Bill a prompt of system blocks; a text that ends in * (5 m) or ! (1 h) is a breakpoint."""

    def bill(cache: PromptCache, now: float, *texts: str, **fields: Any) -> InputUsage:
        system: list[Json] = []
        for text in texts:
            control = {"*": EPHEMERAL, "!": ONE_HOUR}.get(text[-1])
            system.append(
                {"type": "text", "text": text} | ({"cache_control": control} if control else {})
            )
        prompt = parse(
            body(system=system, messages=[{"role": "user", "content": "1234"}], **fields)
        )
        return cache.bill(prompt.model, prompt.blocks, now)

    return bill


def test_cache_writes_a_new_prefix_and_reads_it_the_next_time(bill_of: BillOf) -> None:
    cache = PromptCache()
    assert bill_of(cache, 0, "aaaaaaa*") == InputUsage(1, 2, 0, 0)
    assert bill_of(cache, 1, "aaaaaaa*") == InputUsage(1, 0, 0, 2)


def test_cache_is_not_shared_between_models(bill_of: BillOf) -> None:
    cache = PromptCache()
    bill_of(cache, 0, "aaaaaaa*")
    assert bill_of(cache, 1, "aaaaaaa*", model=OTHER) == InputUsage(1, 2, 0, 0)
    assert bill_of(cache, 2, "aaaaaaa*") == InputUsage(1, 0, 0, 2)


@pytest.mark.parametrize(
    ("mark", "now", "read"), [("*", 299.9, 2), ("*", 300, 0), ("!", 3599, 2), ("!", 3600, 0)]
)
def test_cache_forgets_a_prefix_after_its_time(
    bill_of: BillOf, mark: str, now: float, read: int
) -> None:
    cache = PromptCache()
    bill_of(cache, 0, f"aaaaaaa{mark}")
    assert bill_of(cache, now, f"aaaaaaa{mark}").read == read


def test_cache_read_starts_the_time_anew(bill_of: BillOf) -> None:
    cache = PromptCache()
    for now in (0, 250, 500, 750):
        usage = bill_of(cache, now, "aaaaaaa*")
    assert usage.read == 2


def test_cache_bills_five_minutes_and_one_hour_apart(bill_of: BillOf) -> None:
    assert bill_of(PromptCache(), 0, "aaaa", "bbb!", "ccccccc*", "d") == InputUsage(2, 2, 2, 0)


def test_cache_reads_the_shorter_prefix_when_the_end_is_new(bill_of: BillOf) -> None:
    cache = PromptCache()
    bill_of(cache, 0, "aaa*", "bbb*")
    assert bill_of(cache, 1, "aaa*", "ccccccc*") == InputUsage(1, 2, 0, 1)


def test_cache_looks_back_from_a_moved_breakpoint(body: Body) -> None:
    cache = PromptCache()

    def bill(*turns: str) -> InputUsage:
        earlier = [{"role": "user", "content": turn} for turn in turns[:-1]]
        last = {"type": "text", "text": turns[-1], "cache_control": EPHEMERAL}
        prompt = parse(body(messages=[*earlier, {"role": "user", "content": [last]}]))
        return cache.bill(MODEL, prompt.blocks, 0)

    assert bill("1234") == InputUsage(0, 1, 0, 0)
    assert bill("1234", "12345678", "1") == InputUsage(0, 3, 0, 1)


@pytest.mark.parametrize(("between", "read"), [(19, 1), (20, 0)])
def test_cache_looks_back_twenty_blocks_at_most(
    bill_of: BillOf, body: Body, between: int, read: int
) -> None:
    cache = PromptCache()
    bill_of(cache, 0, "aaa*")
    blocks = [Block(b"system\n", 1, None)] * between
    first = parse(body(system=[{"type": "text", "text": "aaa*"}])).blocks[:1]
    assert cache.bill(MODEL, (*first, *blocks, Block(b"end", 1, 300)), 1).read == read


def test_cache_is_bounded(bill_of: BillOf) -> None:
    cache = PromptCache(max_prefixes=3)
    for n in range(10):
        bill_of(cache, 0, f"{n}*")
    assert len(cache) == 3
    assert bill_of(cache, 1, "9*").read == 1


blocks_strategy = st.lists(
    st.builds(
        Block,
        identity=st.sampled_from([b"a", b"b", b"c"]),
        tokens=st.integers(0, 50),
        ttl_s=st.sampled_from([None, 300, 3600]),
    ),
    max_size=30,
).map(tuple)


@given(st.lists(st.tuples(blocks_strategy, st.integers(0, 400)), max_size=6))
def test_billed_tokens_add_up_to_the_prompt(prompts: list[tuple[tuple[Block, ...], int]]) -> None:
    cache, now = PromptCache(), 0
    for blocks, pause in prompts:
        now += pause
        usage = cache.bill(MODEL, blocks, now)
        parts = (usage.plain, usage.written_5m, usage.written_1h, usage.read)
        assert min(parts) >= 0
        assert sum(parts) == sum(block.tokens for block in blocks)


@given(blocks_strategy)
def test_second_identical_prompt_writes_nothing(blocks: tuple[Block, ...]) -> None:
    cache = PromptCache()
    first, second = cache.bill(MODEL, blocks, 0), cache.bill(MODEL, blocks, 1)
    assert second.written_5m == second.written_1h == 0
    assert second.plain == first.plain
