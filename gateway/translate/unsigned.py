"""Thinking that Anthropic did not sign: how it is marked, found and left out of a request. Pure.

Anthropic signs what its models think, and refuses a conversation that holds thinking it did not
sign. What other models think is shown to clients all the same, with `MARK` for a signature; they
send it back with every later turn, also when that goes to Anthropic. There it is left out, and
nothing else of the request changes: signed thinking has to arrive as it was made. In the middle of
a tool loop Anthropic then answers without thinking, rather than refuse (Extended thinking,
"Graceful thinking degradation").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from gateway.overrides.adaptation import Change
from gateway.wire.edits import EACH, Edit, Which

MARK = "gateway-unsigned"
"""The signature of thinking that the gateway wrote, or its beginning. No signature of Anthropic's
looks like it: those are base64, which has no hyphen."""

SIGNATURE = b'"signature"'
"""A request that does not mention this, as every client spells it, holds no thinking."""

WORD = "thinking_blocks"
"""What the audit record says of a request from which thinking was left out."""

_BLANK = b" \t\n\r"
_MOST = len(MARK) + 16  # bytes behind the name that tell what the signature is, with some blanks


class Unsigned(msgspec.Struct, frozen=True):
    """A kind of thinking that a provider does not take.

    Attributes:
        change: What leaves it out; a turn that held nothing else goes with it, for an empty one
            would be refused, and the turns of the user around it count as one.
        beginnings: What a signature begins with that makes it worth looking for.
    """

    change: Change
    beginnings: tuple[bytes, ...]

    def may_stand_in(self, body: bytes) -> bool:
        """Return whether there may be something to leave out; False is sure for JSON as it is made.

        Most requests that mention a signature hold only those of Anthropic's, and looking at each
        is a fraction of walking the conversation.
        """
        return any(value.startswith(self.beginnings) for value in _signatures(body))


class _Block(msgspec.Struct, gc=False):
    type: str | None = None
    signature: str | None = None


_read = msgspec.json.Decoder(_Block).decode


def _marked(block: bytes) -> bool:
    """Return whether the gateway wrote a content block's thinking."""
    return (_signature_of(block) or "").startswith(MARK)


def _unsigned(block: bytes) -> bool:
    """Return whether a content block's thinking has no signature of a provider's."""
    signature = _signature_of(block)
    return signature is not None and (not signature or signature.startswith(MARK))


def _signature_of(block: bytes) -> str | None:
    """Return the signature of a content block, empty when it has none; None when it is another."""
    try:
        read = _read(block)
    except msgspec.ValidationError:
        return None  # of another form than expected: left to the provider
    return (read.signature or "") if read.type == "thinking" else None


def _change(holds: Callable[[bytes], bool]) -> Change:
    which = Which("signature", holds)
    return Change(WORD, (Edit(("messages", EACH, "content", EACH), None, which=which),))


_MARKS = (b'"' + MARK.encode(),)

MARKED = Unsigned(_change(_marked), _MARKS)
"""Thinking that the gateway wrote."""

MARKED_OR_EMPTY = Unsigned(_change(_unsigned), (*_MARKS, b'""', b"null"))
"""That, and what came unsigned from elsewhere: another gateway, or another provider.

Only Anthropic is known to refuse the latter. Others who speak its format sign nothing, and some of
them refuse a conversation without the thinking they sent.
"""


def _signatures(body: bytes) -> Iterator[bytes]:
    """Yield the beginning of what stands behind each mention of a signature, from the last on."""
    at = len(body)
    while (at := body.rfind(SIGNATURE, 0, at)) >= 0:
        start = at + len(SIGNATURE)
        yield body[start : start + _MOST].lstrip(_BLANK).removeprefix(b":").lstrip(_BLANK)
