"""What is said about a choice, remembered or not."""

from __future__ import annotations

import pytest

from gateway.told import Choice, line, tell

KEPT = Choice("main", "anthropic", "default", "claude-x", "claude-x", "claude-x")


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
    told = tell(Choice("main", "p", "default", "own-name", chosen, requested))
    headers = dict(told.headers)
    assert headers.pop(b"x-gateway-override", None) == header
    assert headers == {b"x-gateway-provider": b"p", b"x-gateway-model": b"own-name"}
    assert told.override.startswith(said)
    assert bool(told.override) == bool(said)
    assert told.override.isprintable()


def test_route_is_one_line_whatever_an_agent_is_called() -> None:
    told = tell(Choice("a\nb", "p", "agent_rule:a\r", "m", "m", "m"))
    assert told.route.isprintable()
    assert told.route.startswith("Routing request: agent_type=")
    assert (line("plain"), line("two\nlines").isprintable()) == ("plain", True)


def test_same_choice_is_told_in_the_same_words() -> None:
    route = "Routing request: agent_type=main, provider=anthropic, reason=default"
    again = Choice("main", "anthropic", "default", "claude-x", "claude-x", "claude-x")
    assert tell(KEPT) is tell(again)
    assert tell(KEPT).route == route
    long = Choice("main", "p", "default", "m", "m", "x" * 201)
    assert tell(long) is not tell(long), "a client may not fill the memory"
    assert tell(long) == tell(long)
