"""Ask a running gateway over its operator API; blocking, one connection a question."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any

from gateway.errors import GatewayError

_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer.

    Attributes:
        document: The body; None when it is no JSON object.
    """

    status: int
    document: dict[str, Any] | None  # Any: parsed JSON


def get(host: str, port: int, path: str, token: str | None = None) -> Reply:
    """Return the answer to GET, past any proxy the environment names.

    Args:
        token: The admin token, for a gateway that listens beyond loopback; None shows none.

    Raises OSError when nobody answers, GatewayError when what answers does not speak HTTP.
    """
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        shown = {} if token is None else {"authorization": f"Bearer {token}"}
        connection.request("GET", path, headers={"connection": "close", **shown})
        answer = connection.getresponse()
        body = answer.read()
    except http.client.HTTPException as error:
        raise GatewayError(f"port {port} on {host} does not answer like a gateway") from error
    finally:
        connection.close()
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    return Reply(answer.status, document if isinstance(document, dict) else None)
