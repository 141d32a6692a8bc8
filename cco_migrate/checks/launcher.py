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


def launched(context: Context, old_proxy_port: int | None, session: str = "") -> JsonObject:
    """Launch a client and return what it was started with: the facts of `judged`.

    Args:
        old_proxy_port: Named by a variable left over in the client's shell; None for none.
        session: The client's session id; "" for a client that is told none.
    """
    try:
        command = _command(old_proxy_port, context, session)
        done = context.world.processes.run(command, TIMEOUT_S)
    except ToolkitError as error:
        return {"unmeasured": str(error)}
    told = done.output.rpartition(_MARK)[2] if _MARK in done.output else ""
    record = read_record(context)
    facts = {
        "old_proxy_port": old_proxy_port,
        "proxy_port": record.proxy_port if record else None,
        "url": context.instance.url,
    }
    if done.code or not told:
        return {**facts, "refused": last_words(done.output) or f"exit code {done.code}"}
    given = {name: _public(value) for name, value in json.loads(told).items() if value}
    return {**facts, "environment": given}


def judged(step: Step, to: str, facts: JsonObject) -> Judgement:
    """Return whether a client that was launched is led there, "gateway" or "proxy", and only so."""
    if "unmeasured" in facts:
        return Judgement(step.id, Verdict.INCONCLUSIVE, str(facts["unmeasured"]), dict(facts))
    if "refused" in facts:
        said = f"the launcher refuses clients: {facts['refused']}"
        return Judgement(step.id, Verdict.NO_GO, said, dict(facts))
    given = facts["environment"]
    if to == "proxy":
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


def launcher_of(context: Context, command: str) -> list[str]:
    """Return a command of the gateway about this instance's state root and configuration."""
    instance = context.instance
    return context.world.processes.python_module(
        "gateway", command, "--home", str(instance.home), "--config-dir", str(instance.config_dir)
    )


def last_words(output: str) -> str:
    """Return the end of what a command said, in one line; "" when it said nothing."""
    return " ".join(output.strip().splitlines()[-3:])


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
        return launched(context, receipt["old_proxy_port"])

    def judge(self, step: Step, facts: JsonObject) -> Judgement:
        """GO when the variables lead where the plan says and none leads elsewhere."""
        return judged(step, step.params["to"], facts)


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


def _command(old_proxy_port: int | None, context: Context, session: str) -> list[str]:
    left = f"http://127.0.0.1:{old_proxy_port}"
    before = [f"{name}={left}" for name in PROXIES[:2]] if old_proxy_port else []
    launcher = launcher_of(context, "launch")
    named = [f"--session-id={session}"] if session else []  # also a variable that is never set
    client = [launcher[0], "-c", _CLIENT, _MARK, BASE_URL, *PROXIES, *named]
    return ["/usr/bin/env", *before, *launcher, "--", *client]


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
