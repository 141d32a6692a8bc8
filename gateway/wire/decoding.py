"""Decode JSON from outside: what that raises, and values that stay undecoded. Pure."""

from __future__ import annotations

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that are no JSON, of another form than expected, or too deep."""

NULL = msgspec.Raw(b"null")
"""Default of a field that stays undecoded: absent and null are the same."""

members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
"""Return the members of a JSON object, undecoded; of a name that stands twice, the last."""


def given(raw: msgspec.Raw) -> msgspec.Raw | None:
    """Return an undecoded value; None when it is absent or null."""
    return None if bytes(raw) == b"null" else raw
