"""The dashboard page: self-contained, and as strict about scripts as its own policy says."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

import pytest

PAGE = files("gateway").joinpath("dashboard/index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("tag", "directive"), [("script", "script-src"), ("style", "style-src")])
def test_policy_allows_exactly_the_inline_code_of_the_page(tag: str, directive: str) -> None:
    blocks = re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", PAGE, re.DOTALL)
    assert len(blocks) == 1
    digest = b64encode(sha256(blocks[0].encode()).digest()).decode()
    allowed = f"{directive} 'sha256-{digest}';"
    assert allowed in PAGE, f"the page was edited: its policy has to say {allowed}"


def test_page_loads_nothing_from_elsewhere() -> None:
    assert "default-src 'none'" in PAGE
    assert "connect-src 'self'" in PAGE
    outside = re.findall(r"""(?:src|href)=["'](?!data:)[^"']+|https?://[^"' ]+""", PAGE)
    # The namespace of the inline icon is a name, not an address that is loaded.
    assert outside == ["http://www.w3.org/2000/svg"]


@pytest.mark.parametrize(
    "way", ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " style="]
)
def test_page_never_makes_markup_of_data(way: str) -> None:
    assert way not in PAGE


@pytest.mark.parametrize("section", ["Model Overrides", "Cost Savings", "Recent requests"])
def test_page_has_the_documented_sections(section: str) -> None:
    assert f">{section}</h2>" in PAGE


@pytest.mark.parametrize(
    "path",
    [
        "/health",
        "/gateway/workers",
        "/gateway/metrics",
        "/api/overrides/stats",
        "/api/machine/stats",
        "/api/stream",
    ],
)
def test_page_asks_the_operator_api(path: str) -> None:
    assert f'"{path}"' in PAGE
