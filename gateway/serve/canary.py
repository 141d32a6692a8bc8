"""Decide which launches go to the gateway while the old proxy serves beside it. Pure.

A launch is drawn by what its session is known by, so that the same session always goes the same
way: a conversation that changed its way in the middle could be blamed on neither.

* The id, when the client is told one. `--session-id` comes before `--resume`: a fork names both,
  and the new one is what it will be resumed by.
* Else the folder it is started in. A client without an id makes one up that nobody knows yet, and
  continues the latest session *of its folder*; both are then drawn alike. A session that was begun
  without an id and is resumed by it is drawn anew, once; from then on it stays.

The salt belongs to one state root. Without it the same folder, as every container of a fleet has
it, would be drawn alike everywhere, and a share of launches would become a share of folders.

A draw is one of a hundred places, and the gateway has those below the share: a share that is raised
moves sessions to the gateway and never one back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

PLACES = 100
"""How many places there are: one for each percent."""

_BY_ID = ("--session-id", "--resume", "-r")


class Way(StrEnum):
    """Where a launch is sent."""

    GATEWAY = "gateway"
    PROXY = "proxy"


class KnownBy(StrEnum):
    """What a session is told from others by."""

    ID = "session id"
    FOLDER = "folder"


@dataclass(frozen=True, slots=True)
class SessionKey:
    """What a launch is drawn by.

    Attributes:
        value: The id, or the folder's absolute path.
    """

    known_by: KnownBy
    value: str


def session_key(client: Sequence[str], folder: Path) -> SessionKey:
    """Return what the session of this command line, started in this folder, is known by."""
    for option in _BY_ID:
        found = _value(client[1:], option)
        if found is not None:
            return SessionKey(KnownBy.ID, found)
    return SessionKey(KnownBy.FOLDER, str(folder))


def place(key: SessionKey, salt: bytes) -> int:
    """Return the place of a session, from 0 to 99; evenly spread, and the same for ever."""
    named = f"{key.known_by.value}\0{key.value}".encode(errors="surrogateescape")
    digest = sha256(salt + b"\0" + named).digest()
    return int.from_bytes(digest[:8]) * PLACES >> 64


def way(key: SessionKey, salt: bytes, share: int) -> Way:
    """Return where a session is sent.

    Args:
        share: How many of a hundred sessions go to the gateway, 0 to 100.
    """
    return Way.GATEWAY if place(key, salt) < share else Way.PROXY


def _value(words: Sequence[str], option: str) -> str | None:
    """Return the value of an option; None without any: then the client asks which session."""
    for at, word in enumerate(words):
        if word == "--":
            return None
        if word.startswith(f"{option}=") and option.startswith("--"):
            return word.removeprefix(f"{option}=") or None
        if word == option:
            following = words[at + 1] if at + 1 < len(words) else "-"
            return None if following.startswith("-") or not following else following
    return None
