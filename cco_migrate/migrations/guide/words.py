"""What a person does at a step and what they should see, and what several guides say. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Commands:
    """Commands of a shell, as they are typed.

    Attributes:
        run: `$GW`, `$CONFIG`, `$STATE`, `$KEY` and `$SESSION` are explained at the top of a page.
        prints: Some of what they print; empty when that says nothing.
        code: Their exit code.
        not_run: Why the tests cannot run them, for readers too; empty for what they do run.
    """

    run: str
    prints: str = ""
    code: int = 0
    not_run: str = ""


@dataclass(frozen=True, slots=True)
class Guide:
    """One step for people.

    Attributes:
        does: What happens, in a sentence.
        expect: What is seen when it went well.
        by_hand: How to do it without this tool, in words or commands; empty when it cannot be done.
        if_not: What to do when it did not go well.
    """

    does: str
    expect: str
    by_hand: Commands | str = ""
    if_not: str = ""


NO_SYSTEMD = "needs systemd, which only the marked tests have"
UNITS = "cco-gateway.socket cco-gateway.service"

STOP = Guide(
    "Stops the gateway after its streams have ended; a bundled gateway needs no stop.",
    "Nothing answers any more, or: not needed.",
    Commands(f"systemctl stop {UNITS}", not_run=NO_SYSTEMD),
    "Still draining: wait, or look who holds the stream; it is never killed by name.",
)
