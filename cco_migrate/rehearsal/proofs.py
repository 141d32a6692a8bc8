"""What is there after a way back, seen from outside: files, records, ports. Asks the clone."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from cco_migrate.checks.daemon_record import read_record
from cco_migrate.client import NotAGateway, Unreachable
from cco_migrate.config import ConfigName
from cco_migrate.context import Context
from cco_migrate.errors import ToolkitError
from cco_migrate.rehearsal.streams import StreamingClient

LOOKED_BACK = 500
"""So many of the newest records are looked for after a way back."""

RECORDED_S = 15.0
STREAM_S = 60.0
PROXY_S = 60.0


def different(before: Mapping[ConfigName, bytes | None], context: Context) -> list[ConfigName]:
    """Return the files that are not as before, to the byte; None was an absent one."""
    now = context.config_files()
    return [name for name, data in before.items() if now[name] != data]


def newest(context: Context) -> set[str]:
    """Return the ids of the newest records; raises ToolkitError when there are none to see."""
    found = context.gateway.audit(limit=LOOKED_BACK)
    if found is None:
        raise ToolkitError("the clone keeps no records: what a way back loses cannot be shown")
    return {str(row["request_id"]) for row in found}


def lost(context: Context, recorded: set[str]) -> set[str]:
    """Return which records are gone; those of the last moments are given time to be written."""
    missing = set(recorded)

    def complete() -> bool:
        try:
            found = context.gateway.audit(request_ids=missing) or ()
        except (Unreachable, NotAGateway):
            return False
        missing.difference_update(str(row["request_id"]) for row in found)
        return not missing

    if recorded:
        context.waiting("the records of before", RECORDED_S)
        context.world.clock.wait_until(complete, RECORDED_S)
    return missing


def not_served(client: StreamingClient, context: Context) -> Iterator[str]:
    """Yield why no stream is served that began just now; nothing when one is."""
    clock = context.world.clock
    now_s = clock.monotonic()
    context.waiting("a stream that began after the way back", STREAM_S)
    if not clock.wait_until(lambda: max(client.seen.begun_s, default=0.0) >= now_s, STREAM_S):
        said = client.seen.broken[-1:] or ("no answer came",)
        yield f"no stream was served after the way back: {said[0]}"


def not_proxied(upstream: str, credential: str, context: Context) -> Iterator[str]:
    """Send a request to the upstream through the old proxy; yield why it was not answered."""
    record = read_record(context)
    if record is None or record.proxy_port is None:
        yield "the old proxy does not serve: daemon.pid has no proxy_port"
        return
    connection = http.client.HTTPConnection("127.0.0.1", record.proxy_port, timeout=PROXY_S)
    try:
        headers = {"host": urlsplit(upstream).netloc, "x-api-key": credential}
        connection.request("GET", f"{upstream}/v1/models", headers=headers)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        yield f"the old proxy does not serve: {str(error) or type(error).__name__}"
    else:
        if status != 200:
            yield f"the old proxy answers {status}"
    finally:
        connection.close()
