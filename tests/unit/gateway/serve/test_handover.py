"""What a supervisor leaves to its successor, and what the two say; a socket pair between them."""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.serve import handover
from gateway.serve.channel import ControlChannel, Message
from gateway.serve.handover import Estate, Phase, Request, from_predecessor, variable

ESTATE = Estate(listener=10, lock=11, proxy_listener=None, generation=4)


@pytest.fixture
def channel() -> Iterator[tuple[ControlChannel, int]]:
    """Return the predecessor's end, and the descriptor of the other one."""
    ours, theirs = socket.socketpair()
    yield ControlChannel(ours), theirs.detach()
    ours.close()


def said(channel: ControlChannel) -> list[Message]:
    return channel.read()[0]


@pytest.mark.parametrize(
    "request_", [Request(), Request("/opt/python", ("--workers", "2")), Request(None, ("--port",))]
)
def test_request_is_read_once(tmp_path: Path, request_: Request) -> None:
    handover.write_request(tmp_path, request_)
    assert handover.take_request(tmp_path) == request_
    assert handover.take_request(tmp_path) == Request()


@pytest.mark.parametrize("content", ["", "[]", '{"python": null}', '{"words": 1, "python": "p"}'])
def test_request_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / handover.REQUEST_FILE).write_text(content)
    with pytest.raises(GatewayError, match="held no request"):
        handover.take_request(tmp_path)


def test_process_of_nobody_has_no_predecessor() -> None:
    with from_predecessor({"PATH": "/bin"}) as found:
        assert found is None


def test_both_sides_understand_each_other(channel: tuple[ControlChannel, int]) -> None:
    before, descriptor = channel
    environ = {"PATH": "/bin", handover.ENVIRONMENT: variable(ESTATE, descriptor)}
    with selectors.DefaultSelector() as selector, from_predecessor(environ) as found:
        assert found is not None
        assert (environ, found.estate, found.phase) == ({"PATH": "/bin"}, ESTATE, Phase.STARTING)
        found.listen(selector)
        found.ready()
        for sent, phase in (("take", Phase.TAKING), ("left", Phase.LEFT)):
            before.send({"type": sent})
            found.hear()
            assert (found.phase, found.ended) == (phase, False)
        found.taken()
        told = said(before)
        assert [message["type"] for message in told] == ["started", "ready", "taken"]
        assert told[0]["pid"] == os.getpid()
        before.close()
        found.hear()
        assert found.ended
        assert not selector.get_map()


def test_error_is_told_to_the_predecessor(channel: tuple[ControlChannel, int]) -> None:
    before, descriptor = channel
    environ = {handover.ENVIRONMENT: variable(ESTATE, descriptor)}
    with pytest.raises(GatewayError), from_predecessor(environ):
        raise GatewayError("a file is wrong")
    assert said(before)[-1] == {"type": "failed", "error": "a file is wrong"}


def test_another_protocol_is_refused_with_the_way_out(channel: tuple[ControlChannel, int]) -> None:
    before, descriptor = channel
    told = variable(ESTATE, descriptor).replace('"version": 1', '"version": 7')
    with (
        pytest.raises(GatewayError, match="speaks 7: stop the daemon and start it"),
        from_predecessor({handover.ENVIRONMENT: told}),
    ):
        pytest.fail("it took over")
    assert "protocol 1" in said(before)[0]["error"]


def test_descriptors_to_inherit_are_those_that_are_open() -> None:
    assert ESTATE.descriptors == (10, 11)
    assert Estate(10, 11, 12, 0).descriptors == (10, 11, 12)
