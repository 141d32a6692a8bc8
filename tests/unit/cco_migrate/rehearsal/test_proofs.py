"""What is wrong after a way back is seen: in files, records, streams, at the old proxy."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import parse_qs, urlsplit

import pytest

from cco_migrate.client import AUDIT_FIELDS
from cco_migrate.config import ConfigName
from cco_migrate.context import Context
from cco_migrate.errors import ToolkitError
from cco_migrate.rehearsal import proofs
from cco_migrate.rehearsal.streams import StreamingClient

Reply = tuple[int, Mapping[str, str], bytes | Sequence[bytes | None]]
Script = Callable[[str, str, bytes], Reply]


def audit_of(*ids: str) -> Script:
    """Answer as a gateway that has these records."""

    def script(_method: str, target: str, _body: bytes) -> Reply:
        asked = parse_qs(urlsplit(target).query).get("request_id", [",".join(ids)])[0].split(",")
        rows = [dict.fromkeys(AUDIT_FIELDS, 0) | {"request_id": one} for one in ids if one in asked]
        return 200, {}, json.dumps({"entries": rows, "total": len(rows)}).encode()

    return script


@pytest.mark.parametrize(
    ("ids", "gone"), [(("a", "b", "c"), set()), (("a", "c"), {"b"}), ((), {"a", "b"})]
)
def test_records_of_before_that_are_gone_are_named(
    context_at: Callable[[str], Context],
    serve: Callable[[Script], str],
    monkeypatch: pytest.MonkeyPatch,
    ids: tuple[str, ...],
    gone: set[str],
) -> None:
    monkeypatch.setattr(proofs, "RECORDED_S", 0.05)
    context = context_at(serve(audit_of(*ids)))
    assert proofs.lost(context, {"a", "b"}) == gone


def test_newest_records_are_read_and_a_gateway_without_any_is_refused(
    context_at: Callable[[str], Context], serve: Callable[[Script], str]
) -> None:
    assert proofs.newest(context_at(serve(audit_of("a", "b")))) == {"a", "b"}
    mute = context_at(serve(lambda *_: (404, {}, b"{}")))
    with pytest.raises(ToolkitError, match="keeps no records"):
        proofs.newest(mute)


@pytest.mark.parametrize(
    ("before", "now", "different"),
    [
        (b"{}", b"{}", []),
        (b"{}", b"{ }", [ConfigName.DAEMON]),
        (None, b"{}", [ConfigName.DAEMON]),
        (b"{}", None, [ConfigName.DAEMON]),
        (None, None, []),
    ],
)
def test_files_are_compared_to_the_byte(
    context_at: Callable[[str], Context],
    before: bytes | None,
    now: bytes | None,
    different: list[ConfigName],
) -> None:
    context = context_at("http://127.0.0.1:1")
    if now is not None:
        (context.instance.config_dir / ConfigName.DAEMON.filename).write_bytes(now)
    files = dict.fromkeys(ConfigName, None) | {ConfigName.DAEMON: before}
    assert proofs.different(files, context) == different


def test_port_that_serves_no_stream_is_told(
    context_at: Callable[[str], Context], monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    monkeypatch.setattr(proofs, "STREAM_S", 0.05)
    url = f"http://127.0.0.1:{closed_port}"
    with StreamingClient(url, "m", "key") as client:
        (said,) = proofs.not_served(client, context_at(url))
    assert "no stream was served after the way back" in said


@pytest.mark.parametrize(
    ("status", "said"), [(200, []), (502, ["the old proxy answers 502"])]
)  # fmt: skip
def test_old_proxy_is_asked_for_something_of_the_upstream(
    context_at: Callable[[str], Context],
    serve: Callable[[Script], str],
    status: int,
    said: list[str],
) -> None:
    asked = list[str]()

    def proxy(_method: str, target: str, _body: bytes) -> Reply:
        asked.append(target)
        return status, {}, b"{}"

    context = context_at("http://127.0.0.1:1")
    record = {"port": 1, "gateway_port": None, "proxy_port": urlsplit(serve(proxy)).port}
    (context.instance.home / "daemon.pid").write_text(json.dumps(record))
    assert list(proofs.not_proxied("http://127.0.0.1:9", "key", context)) == said
    assert asked == ["http://127.0.0.1:9/v1/models"]


@pytest.mark.parametrize("port", [None, "closed"])
def test_old_proxy_that_is_not_there_is_told(
    context_at: Callable[[str], Context], closed_port: int, port: str | None
) -> None:
    context = context_at("http://127.0.0.1:1")
    record = {"port": 1, "gateway_port": None, "proxy_port": closed_port if port else None}
    (context.instance.home / "daemon.pid").write_text(json.dumps(record))
    (said,) = proofs.not_proxied("http://127.0.0.1:9", "key", context)
    assert "the old proxy does not serve" in said
