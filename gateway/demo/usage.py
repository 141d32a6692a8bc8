"""What the demo upstream bills: prompt caching and the usage object. Pure but for its memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from gateway.demo.request import TTL_S, Block

LOOK_BACK_BLOCKS = 20
MAX_PREFIXES = 4096


@dataclass(frozen=True, slots=True)
class InputUsage:
    """Where the tokens of one prompt were billed; the four add up to the whole prompt."""

    plain: int
    written_5m: int
    written_1h: int
    read: int

    def as_json(self, output_tokens: int) -> dict[str, object]:
        """Return the `usage` object of an answer."""
        return {
            "input_tokens": self.plain,
            "cache_creation_input_tokens": self.written_5m + self.written_1h,
            "cache_read_input_tokens": self.read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": self.written_5m,
                "ephemeral_1h_input_tokens": self.written_1h,
            },
            "output_tokens": output_tokens,
            "service_tier": "standard",
        }


class PromptCache:
    """The prefixes a provider remembers, per model, each until its time is over.

    A block with `cache_control` ends a prefix. The longest known prefix that ends at a breakpoint,
    or at most 20 blocks before one, is read and its time starts anew; what follows it up to each
    later breakpoint is written. Unlike with a real provider there is no minimum length, so that
    short examples show it at work.
    """

    def __init__(self, max_prefixes: int = MAX_PREFIXES) -> None:
        self._max = max_prefixes
        self._expiry: OrderedDict[bytes, tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._expiry)

    def bill(self, model: str, blocks: Sequence[Block], now: float) -> InputUsage:
        """Return what this prompt costs, and remember its prefixes.

        Args:
            model: Caches are never shared between models.
            blocks: The whole prompt in order.
            now: Any clock that does not go back, in seconds.
        """
        keys = _prefix_keys(model, blocks)
        breakpoints = [index for index, block in enumerate(blocks) if block.ttl_s is not None]
        hit = self._longest_hit(keys, breakpoints, now)
        read = sum(block.tokens for block in blocks[: hit + 1])
        written = dict.fromkeys(TTL_S.values(), 0)
        done = hit + 1
        for index in breakpoints:
            ttl = blocks[index].ttl_s
            if index < done or ttl is None:
                continue
            written[ttl] += sum(block.tokens for block in blocks[done : index + 1])
            done = index + 1
            self._remember(keys[index], now, ttl)
        return InputUsage(
            plain=sum(block.tokens for block in blocks[done:]),
            written_5m=written[TTL_S["5m"]],
            written_1h=written[TTL_S["1h"]],
            read=read,
        )

    def _longest_hit(self, keys: Sequence[bytes], breakpoints: Sequence[int], now: float) -> int:
        """Return the index of the last block that is read; -1 when nothing is."""
        for end in reversed(breakpoints):
            for index in range(end, max(end - LOOK_BACK_BLOCKS, 0) - 1, -1):
                known = self._expiry.get(keys[index])
                if known is not None and known[0] > now:
                    self._remember(keys[index], now, known[1])
                    return index
        return -1

    def _remember(self, key: bytes, now: float, ttl_s: int) -> None:
        self._expiry[key] = (now + ttl_s, ttl_s)
        self._expiry.move_to_end(key)
        while len(self._expiry) > self._max:
            self._expiry.popitem(last=False)


def _prefix_keys(model: str, blocks: Sequence[Block]) -> tuple[bytes, ...]:
    """Return for each block the digest of everything up to and with it."""
    digest = sha256(f"{model}\n".encode())
    keys = []
    for block in blocks:
        digest.update(block.identity)
        keys.append(digest.digest())
    return tuple(keys)
