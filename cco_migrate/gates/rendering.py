"""A gate's outcome as JUnit XML and as Markdown. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from cco_migrate.gates.outcome import Outcome, Row
from cco_migrate.model import JsonObject
from cco_migrate.verdict import Verdict

MAX_SUMMARY_BYTES = 1024 * 1024
"""What a step of GitHub Actions may write into its summary."""

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CUT = "\n\n… cut here; the verdict file has everything.\n"


def junit(outcome: Outcome) -> bytes:
    """Return JUnit XML: NO-GO and HOLD are failures, INCONCLUSIVE is an error, nothing a skip."""
    suite = ET.Element("testsuite", name=f"gate of phase {outcome.phase}")
    for row in outcome.rows:
        case = _case(suite, row.ruling.criterion.id)
        if row.ruling.enforced and row.ruling.in_the_way:
            _told(case, row.ruling.verdict, row.text)
        else:
            ET.SubElement(case, "system-out").text = _xml(f"{row.ruling.verdict}: {row.text}")
    if outcome.irregular:
        _told(_case(suite, "every-criterion-executed"), Verdict.INCONCLUSIVE, outcome.summary)
    for tag, count in (("failure", "failures"), ("error", "errors")):
        suite.set(count, str(len(suite.findall(f"*/{tag}"))))
    suite.set("tests", str(len(suite)))
    suite.set("skipped", "0")
    suites = ET.Element("testsuites")
    suites.append(suite)
    return bytes(ET.tostring(suites, encoding="utf-8", xml_declaration=True))


def markdown(outcome: Outcome) -> str:
    """Return a summary for people, no longer than a CI step may write."""
    lines = [
        f"## {outcome.verdict}: gate of phase {outcome.phase}",
        "",
        _cell(outcome.summary),
        "",
        "| Verdict | Criterion | What was seen |",
        "|---|---|---|",
        *(_line(row) for row in outcome.rows),
    ]
    text = "\n".join(lines) + "\n"
    data = text.encode()
    if len(data) <= MAX_SUMMARY_BYTES:
        return text
    room = MAX_SUMMARY_BYTES - len(_CUT.encode())
    return data[:room].decode(errors="ignore") + _CUT


def document_lines(document: JsonObject) -> Iterator[str]:
    """Yield a verdict file for a terminal: one line a criterion, the verdict last."""
    for row in document["criteria"]:
        mark = "" if row["enforced"] else " (observed only)"
        yield f"  {row['verdict']:<12} {'; '.join((row['summary'], *row['notes']))}{mark}"
    for one in document["irregular"]:
        yield f"  {Verdict.INCONCLUSIVE:<12} {one}"
    where = f"phase {document['phase']}, {document['url']}"
    yield f"{document['verdict']}  {where}: {document['summary']}"


def _case(suite: ET.Element, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname="cco_migrate.gates", name=name)


def _told(case: ET.Element, verdict: Verdict, text: str) -> None:
    tag = "error" if verdict is Verdict.INCONCLUSIVE else "failure"
    ET.SubElement(case, tag, type=verdict.value, message=_xml(text)).text = _xml(text)


def _xml(text: str) -> str:
    return _NOT_XML.sub("�", text)


def _line(row: Row) -> str:
    mark = "" if row.ruling.enforced else " (observed only)"
    name = row.ruling.criterion.id
    said = _cell(row.text.removeprefix(f"{name}: "))
    return f"| {row.ruling.verdict}{mark} | {name} | {said} |"


def _cell(text: str) -> str:
    """Return a text that cannot end its cell or become markup: gateways say what they like."""
    plain = " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace("`", "\\`")
