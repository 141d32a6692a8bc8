"""What one client connection may cost: sizes and times. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client connection may cost.

    Attributes:
        head_bytes: Request line and headers together, and so each single header too.
        target_bytes: Path and query.
        body_bytes: Decoded body.
        head_timeout_s: From the first byte of a head, or the start of a connection, to its end.
        body_idle_timeout_s: Longest pause between two pieces of a body.
        body_bytes_per_s: How fast a body arrives at least, on average since its head, counted
            from `body_idle_timeout_s` on.
        buffered_bytes: What bodies and buffered answers of all connections may take.
        memory_wait_s: Longest wait for a part of them.
        keep_alive_s: How long an idle connection is kept.
        write_stall_s: How long a client may take nothing of an answer before it is cut off.
        sweep_s: How often these times are looked at.
    """

    head_bytes: int = 64 << 10
    target_bytes: int = 16 << 10
    body_bytes: int = 32 << 20
    head_timeout_s: float = 20.0
    body_idle_timeout_s: float = 60.0
    body_bytes_per_s: float = 8192.0
    buffered_bytes: int = 256 << 20
    memory_wait_s: float = 30.0
    keep_alive_s: float = 75.0
    write_stall_s: float = 300.0
    sweep_s: float = 1.0
