"""A client that asks a gateway for stream after stream, from a thread, and counts broken ones."""

from __future__ import annotations

import http.client
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urlsplit

from cco_migrate.checks.client_requests import small_request
from cco_migrate.checks.sse import StreamCheck

ANSWER_S = 60.0
PAUSE_S, RETRY_S = 0.02, 0.25
_CHUNK_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Seen:
    """What the client saw so far.

    Attributes:
        whole: Request ids of the streams that ended as they should, in order.
        begun_s: When each of them was asked for, by the monotonic clock.
        broken: What was wrong with each of the others.
    """

    whole: tuple[str, ...]
    begun_s: tuple[float, ...]
    broken: tuple[str, ...]


class StreamingClient:
    """Asks again and again while inside a `with`, on a new connection each time.

    Args:
        url: Base URL of the gateway.
        model: Asked for.
        credential: Sent as `x-api-key`.
    """

    def __init__(self, url: str, model: str, credential: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        request = small_request(model, run="rehearsal", stream=True)
        self._body = request.body
        self._headers = {**dict(request.headers), "x-api-key": credential, "connection": "close"}
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._whole: list[tuple[str, float]] = []
        self._broken: list[str] = []

    def __enter__(self) -> StreamingClient:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._left.set()
        self._thread.join(ANSWER_S)

    @property
    def seen(self) -> Seen:
        """What was seen so far."""
        whole = tuple(self._whole)
        return Seen(
            tuple(one for one, _ in whole), tuple(at for _, at in whole), tuple(self._broken)
        )

    def _run(self) -> None:
        pause_s = PAUSE_S
        while not self._left.wait(pause_s):
            begun_s = time.monotonic()
            try:
                request_id, fault = self._once()
            except (OSError, http.client.HTTPException) as error:
                request_id, fault = "", str(error) or type(error).__name__
            if fault:
                self._broken.append(fault)
            else:
                self._whole.append((request_id, begun_s))
            pause_s = RETRY_S if fault else PAUSE_S

    def _once(self) -> tuple[str, str]:
        """Ask for one stream; return its request id, and what was wrong or ""."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=ANSWER_S)
        try:
            connection.request("POST", "/v1/messages?beta=true", self._body, self._headers)
            answer, check = connection.getresponse(), StreamCheck()
            while chunk := answer.read1(_CHUNK_BYTES):
                check.feed(chunk)
        finally:
            connection.close()
        request_id = answer.getheader("x-gateway-request-id") or ""
        if answer.status != 200:
            return request_id, f"it was answered with {answer.status}"
        whole = check.events[-1:] == ["message_stop"]
        return request_id, "" if whole else "the stream has no message_stop at its end"
