"""The one door for text from outside on its way into records and logs. Pure."""

from __future__ import annotations

import hashlib
import re

MAX_CHARS = 1000
"""Longer text is cut: an error message needs no more, and an echoed body must not get in."""

MAX_BODY_BYTES = 256 * 1024
"""So much of a body is kept."""

_MARK = "***"
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # A credential after its scheme, whatever it looks like.
        r"(?P<keep>\b(?:bearer|basic)\s+)(?P<secret>(?!\*\*\*)[\w.~+/=-]{6,})",
        # A value after the name of a credential, quoted or not, in JSON within JSON too.
        r"""(?P<keep>\b[\w-]*(?:api[-_]?key|authorization|cookie|passw(?:or)?d|secret|token)\\*["']?"""
        r"""\s*[:=]\s*\\*["']?(?:(?:bearer|basic)\s+)?)(?P<secret>(?!\*\*\*|bearer\b|basic\b)"""
        r"""[\w.~+/=%-]{8,})""",
        # Keys that are known by their beginning.
        r"(?P<keep>\b)(?P<secret>(?:sk|pk|rk)-[\w-]{6,}|gh[opusr]_\w{20,}|AKIA[0-9A-Z]{16}"
        r"|eyJ[\w-]{8,}\.[\w.-]+)",
        # Names and passwords in URLs.
        r"(?P<keep>\b\w+://)(?P<secret>(?!\*\*\*)[^\s/@]+:[^\s/@]+)(?=@)",
    )
)
# Nothing of the above matches without one of these; most texts have none.
_SUSPECT = re.compile(
    r"[spr]k-|gh[opusr]_|akia|eyj|bearer|basic|key|auth|cookie|pass|secret|token|://",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def redact(text: str) -> str:
    """Return text on one line, cut to size, each credential as `***` and four digits of its hash.

    The digits let two records be compared without saying what the secret was.
    """
    if _SUSPECT.search(text):
        for pattern in _PATTERNS:
            text = pattern.sub(_mask, text)
    return text[:MAX_CHARS] if text.isprintable() else _CONTROL.sub(" ", text)[:MAX_CHARS]


def redact_body(data: bytes | None) -> str | None:
    """Return a body as text, line ends kept, cut to size, without its secrets; None for None."""
    if data is None:
        return None
    text = data[:MAX_BODY_BYTES].decode(errors="replace")
    if _SUSPECT.search(text):
        for pattern in _PATTERNS:
            text = pattern.sub(_mask, text)
    return text if len(data) <= MAX_BODY_BYTES else f"{text}… (cut)"


def _mask(match: re.Match[str]) -> str:
    digest = hashlib.sha256(match["secret"].encode(errors="replace")).hexdigest()
    return f"{match['keep']}{_MARK}{digest[:4]}"
