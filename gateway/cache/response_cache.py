"""Whole answers for requests that ask exactly the same: their key, and a memory of them. Pure."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.wire.http import Header

_BILLING = "x-anthropic-billing-header"
# What lets an answer depend on more than the request, or do more than answer.
_ACTING = ("tools", "functions", "mcp_servers", "container")
_OVERHEAD_BYTES = 512  # what an entry takes beside its bytes
# Headers that describe the answer; those that describe one delivery of it are left out.
_KEPT_HEADERS = frozenset({b"content-type", b"anthropic-organization-id"})

_encode = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class Kept:
    """A complete, successful answer.

    Attributes:
        headers: Those that describe the answer, not its delivery.
        body: All bytes; of an event stream, from its first event to its last.
        stream: Whether it is an event stream.
    """

    headers: tuple[Header, ...]
    body: bytes
    stream: bool

    @property
    def size_bytes(self) -> int:
        """What it takes in memory."""
        return len(self.body) + sum(len(name) + len(value) for name, value in self.headers)


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """How a store of answers outside this process is doing.

    Attributes:
        up: Whether it is asked now.
        failures: Answers that could not be read or kept since the start, and attempts to find out
            whether it is back.
        error: What is wrong with it; None when nothing is.
    """

    up: bool
    failures: int
    error: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What beside the body decides an answer.

    Attributes:
        provider: Who is asked, and how: what one provider answered is not what another one of the
            same name would, under the configuration of another day or another gateway.
        target: Path and query at the provider.
        payer: Digest or text of the credential that pays; answers are not shared across payers, so
            that nobody is answered who would have been refused.
        versions: Headers that change an answer, e.g. `anthropic-beta`.
    """

    provider: tuple[str, ...]
    model: str
    target: bytes
    payer: bytes
    versions: tuple[bytes, ...] = ()


class ResponseCache:
    """Answers by the digest of their request: least recently used ones go first."""

    def __init__(self, max_bytes: int, ttl_s: float, clock: Callable[[], float]) -> None:
        """Make an empty cache.

        Args:
            max_bytes: What all answers may take.
            ttl_s: Age at which an answer is forgotten, seconds.
            clock: Monotonic time in seconds.
        """
        self._max_bytes, self._ttl_s, self._clock = max_bytes, ttl_s, clock
        self._found: OrderedDict[bytes, tuple[float, Kept]] = OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._found)

    def get(self, key: bytes) -> Kept | None:
        """Return the answer; None when there is none, or none young enough."""
        entry = self._found.get(key)
        if entry is None:
            return None
        until, kept = entry
        if self._clock() >= until:
            self._drop(key)
            return None
        self._found.move_to_end(key)
        return kept

    def put(self, key: bytes, kept: Kept) -> None:
        """Keep an answer, in place of those not used for longest; not one that is too large."""
        size = kept.size_bytes + _OVERHEAD_BYTES
        if key in self._found:
            self._drop(key)
        if size > self._max_bytes:
            return
        self._found[key] = (self._clock() + self._ttl_s, kept)
        self.size_bytes += size
        while self.size_bytes > self._max_bytes:
            self._drop(next(iter(self._found)))

    def _drop(self, key: bytes) -> None:
        _, kept = self._found.pop(key)
        self.size_bytes -= kept.size_bytes + _OVERHEAD_BYTES


def cache_key(body: bytes, asked: Asked, *, any_temperature: bool) -> bytes | None:
    """Return what identifies the whole request; None when its answer may not be kept.

    Every field counts but the two that differ from session to session and change no answer. The
    model is that of `asked`, after any override.

    Args:
        body: A valid JSON object.
        any_temperature: Whether requests without `temperature: 0` are kept, too.
    """
    try:
        document = msgspec.json.decode(body)
    except msgspec.ValidationError:
        return None  # a number that no float holds (1e999) cannot be compared
    if any(document.get(name) for name in _ACTING):
        return None
    if not any_temperature and document.get("temperature") != 0:
        return None
    document["model"] = asked.model
    document.pop("agent_type", None)
    _without_session(document)
    digest = hashlib.sha256()
    provider = _encode(asked.provider)
    parts = (provider, asked.target, asked.payer, *asked.versions)
    for part in (*parts, _encode(document)):
        digest.update(b"%d:%b" % (len(part), part))
    return digest.digest()


def kept_headers(headers: Iterable[Header]) -> tuple[Header, ...]:
    """Return the headers of an answer that are true of every repetition, too."""
    return tuple(header for header in headers if header[0] in _KEPT_HEADERS)


def _without_session(document: dict[str, Any]) -> None:  # Any: a client's JSON
    metadata = document.get("metadata")
    if isinstance(metadata, dict):
        metadata.pop("user_id", None)
        if not metadata:
            del document["metadata"]
    system = document.get("system")
    if isinstance(system, list):
        document["system"] = [block for block in system if not _is_billing(block)]


def _is_billing(block: object) -> bool:
    text = block.get("text") if isinstance(block, dict) else None
    return isinstance(text, str) and text.startswith(_BILLING)
