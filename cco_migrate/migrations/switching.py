"""The edits of daemon-config.json that send clients where they are wanted. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cco_migrate.checks.daemon_record import SHARE_KEY, SWITCH_KEYS, WHOLE, Switches
from cco_migrate.editing import edits
from cco_migrate.model import JsonObject
from cco_migrate.steps.creation import EMPTY


def switch_edits(data: bytes | None, path: Path, wanted: Switches) -> tuple[JsonObject, ...]:
    """Return the edits that set both switches, each in the spelling in which the file has it.

    The share is set where it divides, and removed where everything goes to the gateway: a file that
    nobody divides by says nothing of it.
    """
    found: Any = edits.parse(data or EMPTY, edits.Format.JSON, path)  # Any: an object, checked
    values = dict(zip(SWITCH_KEYS, (wanted.gateway, wanted.proxy), strict=True))
    made: list[JsonObject] = [
        {"op": "set", "key": [name], "value": values[key]}
        for key, old in SWITCH_KEYS.items()
        for name in ([one for one in (key, old) if one in found] or [key])
    ]
    if wanted.share != WHOLE:
        made.append({"op": "set", "key": [SHARE_KEY], "value": wanted.share})
    elif SHARE_KEY in found:
        made.append({"op": "remove", "key": [SHARE_KEY]})
    return tuple(made)
