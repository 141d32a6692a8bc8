"""The pages people look at, in a real browser: the dashboard with live figures, the report."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

SCRIPT = str(Path(sys.executable).parent / "cco-migrate")
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A demo deployment after its migration."""
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run([SCRIPT, "migrate", "--yes", "--fix"], cwd=folder, check=False)
    assert done.returncode == 0
    yield folder
    subprocess.run([SCRIPT, "demo.down"], cwd=folder, check=True)


class Browser:
    """A headless Chromium, driven over WebDriver."""

    def __init__(self, driver: httpx.Client, session: str) -> None:
        self._driver, self._session = driver, session

    def text_of(self, url: str, wanted: str, timeout_s: float = 20) -> str:
        """Open a page and return its visible text once it says what is wanted, or at the end."""
        self._call("url", {"url": url})
        until = time.monotonic() + timeout_s
        while True:
            script = {"script": "return document.body.innerText", "args": []}
            text = str(self._call("execute/sync", script))
            if wanted in text or time.monotonic() > until:
                return text
            time.sleep(0.1)

    def resize(self, width: int) -> None:
        """Make the window so many pixels wide."""
        self._call("window/rect", {"width": width, "height": 900})

    def returned(self, expression: str) -> object:
        """Return the value of an expression on the page that is open."""
        return self._call("execute/sync", {"script": f"return {expression}", "args": []})

    def printed(self) -> bytes:
        """Return the page that is open as a PDF."""
        return base64.b64decode(str(self._call("print", {"background": True})))

    def complaints(self) -> list[str]:
        """Return what the console said since it was asked last."""
        rows = self._call("se/log", {"type": "browser"})
        assert isinstance(rows, list)
        return [str(row["message"]) for row in rows]

    def _call(self, path: str, body: Mapping[str, object]) -> object:
        answer = self._driver.post(f"/session/{self._session}/{path}", json=body)
        return answer.raise_for_status().json()["value"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A missing browser fails, it does not skip."""
    assert shutil.which("chromedriver"), "chromedriver is not installed; .ci/run installs it"
    command = ["chromedriver", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = (re.search(r"on port (\d+)\.", line) for line in process.stdout)
        port = next(match[1] for match in found if match)
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60
        ) as driver:
            options = {
                "browserName": "chrome",
                "goog:chromeOptions": {"args": ARGUMENTS},
                "goog:loggingPrefs": {"browser": "ALL"},
            }
            wanted = {"capabilities": {"alwaysMatch": {**options, "pageLoadStrategy": "eager"}}}
            answer = driver.post("/session", json=wanted).raise_for_status().json()["value"]
            yield Browser(driver, answer["sessionId"])
            driver.delete(f"/session/{answer['sessionId']}")
        process.terminate()


def test_dashboard_shows_live_figures(migrated: Path, browser: Browser) -> None:
    port = json.loads((migrated / ".cco-demo/demo.json").read_bytes())["gateway_port"]
    page = browser.text_of(f"http://127.0.0.1:{port}/", "20 of 48 requests")
    for text in ("20 of 48 requests", "Cost Savings", "Model Overrides", "4 rules loaded", "live"):
        assert text in page
    assert "claude-haiku-4-5-20251001" in page


def test_report_is_readable_without_scripts_or_network(migrated: Path, browser: Browser) -> None:
    page = browser.text_of(report_of(migrated).as_uri(), "11 of 12 proven")
    for text in (
        "The change is applied, loaded and proved",
        "11 of 12 proven",
        "cco-migrate rollback",
    ):
        assert text in page


@pytest.mark.parametrize("width", [1200, 400])
def test_report_fits_the_window_and_asks_for_nothing(
    migrated: Path, browser: Browser, width: int
) -> None:
    browser.resize(width)
    browser.complaints()
    browser.text_of(report_of(migrated).as_uri(), "Timeline")
    over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.returned(over) == 0
    assert browser.returned(CLIPPED) == []
    assert browser.returned("performance.getEntriesByType('resource').length") == 0
    assert browser.complaints() == []


def test_report_is_printed_on_a_few_pages(migrated: Path, browser: Browser) -> None:
    browser.text_of(report_of(migrated).as_uri(), "Timeline")
    pdf = browser.printed()
    assert pdf.startswith(b"%PDF-")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 8


def test_evidence_is_verified_and_a_changed_byte_is_found(migrated: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(report_of(migrated).parent, tmp_path / "evidence")
    command = [SCRIPT, "report.verify", "--dir", str(folder)]
    good = subprocess.run(command, cwd=migrated, capture_output=True, text=True, check=False)
    assert (good.returncode, good.stdout.split()[0]) == (0, "VERIFIED")
    text = (folder / "report.md").read_text()
    (folder / "report.md").write_text(text.replace("11 of 12", "12 of 12", 1))
    bad = subprocess.run(command, cwd=migrated, capture_output=True, text=True, check=False)
    assert bad.returncode == 9
    assert "report.md:3: it was changed after it was written" in bad.stdout


CLIPPED = """[...document.querySelectorAll("main *")].filter(one =>
    one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display != "inline"
    && getComputedStyle(one).overflowX != "auto" && !one.closest("svg, .diff, caption, thead")
    && one.clientWidth > 0).map(one => one.outerHTML.slice(0, 120))"""
"""What is wider than the box it stands in; a diff may be scrolled, captions are for the ear."""


def report_of(folder: Path) -> Path:
    """Return the report of the only run."""
    return next((folder / ".cco-demo/home/migrate/runs").glob("*/report.html"))
