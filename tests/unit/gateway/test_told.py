"""What is said about a choice."""

from __future__ import annotations

import pytest

from gateway.told import Told, line, tell


def told_of(
    agent: str = "main", reason: str = "default", chosen: str = "m", requested: str = "m"
) -> Told:
    return tell(
        agent=agent,
        provider="p",
        reason=reason,
        model="own-name",
        chosen=chosen,
        requested=requested,
    )


@pytest.mark.parametrize(
    ("chosen", "requested", "header", "said"),
    [
        ("a", "a", None, ""),
        ("b", "a", b"a=>b", "Model override: a → b"),
        ("b", "é\n", b"%C3%A9%0A=%3Eb", "Model override: "),
        ("b", "a" * 201, b"a" * 201 + b"=>b", f"Model override: {'a' * 201} → b"),
    ],
)
def test_override_is_said_to_the_client_and_in_the_log(
    chosen: str, requested: str, header: bytes | None, said: str
) -> None:
    told = told_of(chosen=chosen, requested=requested)
    assert told.lines.endswith(b"\r\n")
    headers = dict(one.split(b": ", 1) for one in told.lines[:-2].split(b"\r\n"))
    assert headers.pop(b"x-gateway-override", None) == header
    assert headers == {b"x-gateway-provider": b"p", b"x-gateway-model": b"own-name"}
    override = told.override.decode()
    assert override.startswith(said)
    assert bool(override) == bool(said)
    assert override.isprintable()


def test_route_is_one_line_whatever_an_agent_is_called() -> None:
    told = told_of(agent="main")
    assert told.route == b"Routing request: agent_type=main, provider=p, reason=default"
    assert told.asked == b"Forwarding to provider: p"
    told = told_of(agent="a\nb", reason="agent_rule:a\r")
    assert told.route.decode().isprintable()
    assert told.route.startswith(b"Routing request: agent_type=")
    assert (line("plain"), line("two\nlines").isprintable()) == ("plain", True)
