"""Where does the launcher lead a client? Starts a real one that tells its environment."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from cco_migrate.checks.daemon_record import read_record
from cco_migrate.context import Context
from cco_migrate.errors import ToolkitError
from cco_migrate.model import JsonObject, Step
from cco_migrate.verdict import Judgement, Verdict

TIMEOUT_S = 60.0
BASE_URL = "ANTHROPIC_BASE_URL"
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy", "ALL_PROXY", "all_proxy")
_MARK = "launched-with:"
# Only these are told: what else is in an environment may be a secret.
_CLIENT = (
    "import json, os, sys; "
    "print(sys.argv[1] + json.dumps({n: os.environ.get(n) for n in sys.argv[2:]}))"
)


class LauncherLeads:
    """Params: `to`, "gateway" or "proxy": where a client that is launched now must end up.

    The client is started with a variable left over from the old proxy, as in shells that were
    opened before the cutover.
    """

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Note the port of the old proxy that earlier steps saw; None when they saw none."""
        state = context.evidence.get("state", {})
        return {"old_proxy_port": state.get("proxy_port")}

    def measure(self, step: Step, receipt: JsonObject, context: Context) -> JsonObject:
        """Launch the client, and read what it was started with."""
        context.waiting("a client to be launched", TIMEOUT_S)
        old = receipt["old_proxy_port"]
        try:
            done = context.world.processes.run(_command(old, context), TIMEOUT_S)
        except ToolkitError as error:
            return {"unmeasured": str(error)}
        told = done.output.rpartition(_MARK)[2] if _MARK in done.output else ""
        record = read_record(context)
        facts = {
            "old_proxy_port": old,
            "proxy_port": record.proxy_port if record else None,
            "url": context.instance.url,
        }
        if done.code or not told:
            lines = done.output.strip().splitlines()
            return {**facts, "refused": " ".join(lines[-3:]) or f"exit code {done.code}"}
        given = {name: _public(value) for name, value in json.loads(told).items() if value}
        return {**facts, "environment": given}

    def judge(self, step: Step, facts: JsonObject) -> Judgement:
        """GO when the variables lead where the plan says and none leads elsewhere."""
        if "unmeasured" in facts:
            return Judgement(step.id, Verdict.INCONCLUSIVE, str(facts["unmeasured"]), dict(facts))
        if "refused" in facts:
            said = f"the launcher refuses clients: {facts['refused']}"
            return Judgement(step.id, Verdict.NO_GO, said, dict(facts))
        given = facts["environment"]
        if step.params["to"] == "proxy":
            return _judged_proxy(step, facts, given)
        url = given.get(BASE_URL)
        if url is None or _place(url) != _place(facts["url"]):
            said = f"{BASE_URL} is {url or 'not set'}, the gateway is {facts['url']}"
            return Judgement(step.id, Verdict.NO_GO, said, dict(facts))
        ports = {facts["old_proxy_port"], facts["proxy_port"]} - {None}
        left = [name for name in PROXIES if name in given and _place(given[name])[1] in ports]
        if left:
            said = f"{', '.join(left)} still lead a client to the old proxy"
            return Judgement(step.id, Verdict.NO_GO, said, dict(facts))
        tried = ", a left-over proxy variable removed" if facts["old_proxy_port"] else ""
        said = f"a client is launched with {BASE_URL}={url}{tried}"
        return Judgement(step.id, Verdict.GO, said, dict(facts))


def _judged_proxy(step: Step, facts: JsonObject, given: JsonObject) -> Judgement:
    port, value = facts["proxy_port"], str(given.get("HTTPS_PROXY", ""))
    if BASE_URL in given and _place(given[BASE_URL]) == _place(facts["url"]):
        said = f"{BASE_URL} still leads to the gateway {facts['url']}"
        return Judgement(step.id, Verdict.NO_GO, said, dict(facts))
    if port is None or _place(value)[1] != port:
        said = f"HTTPS_PROXY is {value or 'not set'}, the old proxy is on port {port or 'none'}"
        return Judgement(step.id, Verdict.NO_GO, said, dict(facts))
    said = f"a client is launched with HTTPS_PROXY={value}"
    return Judgement(step.id, Verdict.GO, said, dict(facts))


def _command(old_proxy_port: int | None, context: Context) -> list[str]:
    instance, processes = context.instance, context.world.processes
    left = f"http://127.0.0.1:{old_proxy_port}"
    before = [f"{name}={left}" for name in PROXIES[:2]] if old_proxy_port else []
    launcher = processes.python_module(
        "gateway", "launch", "--home", str(instance.home),
        "--config-dir", str(instance.config_dir), "--",
    )  # fmt: skip
    client = [launcher[0], "-c", _CLIENT, _MARK, BASE_URL, *PROXIES]
    return ["/usr/bin/env", *before, *launcher, *client]


def _public(value: str) -> str:
    """Return an address without its user and password: it is journaled."""
    scheme, _, rest = value.rpartition("://")
    place = rest.rpartition("@")[2].partition("/")[0]
    return f"{scheme or 'http'}://{place}"


def _place(url: str) -> tuple[str | None, int | None]:
    parts = urlsplit(url)
    try:
        return parts.hostname, parts.port
    except ValueError:  # no port of ours
        return parts.hostname, None
