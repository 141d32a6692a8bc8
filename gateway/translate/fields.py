"""Put together objects of which many members are optional. Pure."""

from __future__ import annotations


def present(**fields: object) -> dict[str, object]:
    """Return the fields in their order, without those that are None: nobody asked for them."""
    return {name: value for name, value in fields.items() if value is not None}
