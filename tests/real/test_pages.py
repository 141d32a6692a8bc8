"""The pages people look at, in a real browser: the dashboard with live figures, the report."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
import threading
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

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A demo deployment after its migration."""
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run([SCRIPT, "migrate", "--yes", "--fix"], cwd=folder, check=False)
    assert done.returncode == 0
    yield folder
    subprocess.run([SCRIPT, "demo.down"], cwd=folder, check=True)


@pytest.fixture(scope="module")
def cut_over(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A demo deployment after its cutover, soaked beside a captured baseline of the old path."""
    folder = tmp_path_factory.mktemp("cutover")

    def run(*words: str, codes: tuple[int, ...] = (0,)) -> None:
        done = subprocess.run([SCRIPT, *words], cwd=folder, check=False)
        assert done.returncode in codes, words

    run("demo.up")
    port = json.loads((folder / ".cco-demo/demo.json").read_bytes())["gateway_port"]
    run("gate", "--phase", "0", "--streams", "60", "--baseline", "baseline.json")
    with Client(f"http://127.0.0.1:{port}"):
        waived = "availability,error-rate,streaming-failures,latency-average"
        run(
            "migrate", "--kind", "gateway-cutover", "--phase", "2", "--yes",
            "--baseline", "baseline.json", "--soak", "6s", "--soak-interval", "0.2s",
            "--canary", "25", "--canary-soak", "3s",
            "--waive", waived, "--why", "a demo has no days",
            codes=(0, 4),  # what a few seconds cannot decide leaves the run open
        )  # fmt: skip
    yield folder
    run("demo.down")


class Client:
    """Asks for answer after answer until it is left."""

    def __init__(self, url: str) -> None:
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(url,))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join()

    def _run(self, url: str) -> None:
        body = {
            "model": "claude-haiku-4-5-20251001", "max_tokens": 16,
            "messages": [{"role": "user", "content": "Say a word."}],
        }  # fmt: skip
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
            while not self._left.wait(0.1):
                client.post("/v1/messages", json=body, headers={"x-api-key": "any"})


class Browser:
    """A headless Chromium, driven over WebDriver."""

    def __init__(self, driver: httpx.Client, session: str) -> None:
        self._driver, self._session = driver, session

    def text_of(self, url: str, wanted: str, timeout_s: float = 60) -> str:
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

    def look(self, scheme: str) -> None:
        """Prefer a colour scheme, "light" or "dark"."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        what = {"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}}
        self._call("goog/cdp/execute", what)

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
    assert browser.returned(OUTSIDE) == []
    assert browser.returned("performance.getEntriesByType('resource').length") == 0
    assert browser.complaints() == []


def test_report_is_printed_on_a_few_pages(migrated: Path, browser: Browser) -> None:
    browser.text_of(report_of(migrated).as_uri(), "Timeline")
    pdf = browser.printed()
    assert pdf.startswith(b"%PDF-")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 8


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 400])
def test_report_of_a_cutover_fits_the_window_and_asks_for_nothing(
    cut_over: Path, browser: Browser, width: int, scheme: str
) -> None:
    browser.resize(width)
    browser.look(scheme)
    browser.complaints()
    page = browser.text_of(report_of(cut_over).as_uri(), "Timeline")
    for text in (
        "Key figures", "above 99.9 %", "Time to the first token, before and after",
        "The soak over time", "canary of 25 %", "a demo has no days",
    ):  # fmt: skip
        assert text in page
    over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.returned(over) == 0
    assert browser.returned(CLIPPED) == []
    assert browser.returned(OUTSIDE) == []
    assert browser.returned("performance.getEntriesByType('resource').length") == 0
    assert browser.complaints() == []


def test_charts_of_a_cutover_are_drawn_and_have_words(cut_over: Path, browser: Browser) -> None:
    browser.look("dark")
    browser.text_of(report_of(cut_over).as_uri(), "Timeline")
    drawn = browser.returned(DRAWN)
    assert isinstance(drawn, list)
    assert len(drawn) >= 3
    assert all(width > 100 for width in drawn)
    assert browser.returned(OVERLAPPING) == []
    assert browser.returned(SMALL) == []
    unnamed = "[...document.querySelectorAll('svg[role=img]')].filter(one => !one.ariaLabel).length"
    assert browser.returned(unnamed) == 0
    colours = (
        "new Set([...document.querySelectorAll('.series path')].map(one => "
        "getComputedStyle(one).stroke)).has(getComputedStyle(document.body).backgroundColor)"
    )
    assert browser.returned(colours) is False


def test_report_of_a_cutover_is_printed_whole(cut_over: Path, browser: Browser) -> None:
    browser.look("dark")
    browser.text_of(report_of(cut_over).as_uri(), "Timeline")
    pdf = browser.printed()
    assert pdf.startswith(b"%PDF-")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 16


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


OUTSIDE = """[...document.querySelectorAll(".chart text")].filter(one => {
    const box = one.getBoundingClientRect(), frame = one.closest("svg").getBoundingClientRect();
    return box.left < frame.left - 1 || box.right > frame.right + 1
        || box.top < frame.top - 2 || box.bottom > frame.bottom + 2
}).map(one => one.textContent)"""
"""Words of a chart that stand outside of it."""


DRAWN = """[...document.querySelectorAll("[aria-labelledby=t-lines] .chart")].map(chart => {
    const lines = [...chart.querySelectorAll(".series .line")];
    const boxes = lines.map(one => one.getBoundingClientRect());
    return Math.max(...boxes.map(one => one.right)) - Math.min(...boxes.map(one => one.left))
})"""
"""How many pixels the lines of a chart span, from the first stage to the last."""


OVERLAPPING = """[...document.querySelectorAll(".chart")].flatMap(chart => {
    const boxes = [...chart.querySelectorAll("text")].map(one => one.getBoundingClientRect());
    return boxes.filter((one, at) => boxes.slice(at + 1).some(other =>
        one.left < other.right - 1 && other.left < one.right - 1
        && one.top < other.bottom - 2 && other.top < one.bottom - 2)).map(() => chart.ariaLabel)
})"""
"""Charts whose words lie on each other."""


SMALL = """[...document.querySelectorAll(".chart")].filter(one =>
    12 * one.getBoundingClientRect().width / one.viewBox.baseVal.width < 10
).map(one => one.ariaLabel)"""
"""Charts that are shown so small that their words of 12 pixels are less than 10."""


def report_of(folder: Path) -> Path:
    """Return the report of the only run."""
    return next((folder / ".cco-demo/home/migrate/runs").glob("*/report.html"))
