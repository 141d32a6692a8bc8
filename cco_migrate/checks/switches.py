"""Which way do clients take? The switches of the file, and the ports the daemon really serves."""

from __future__ import annotations

from urllib.parse import urlsplit

from cco_migrate import config
from cco_migrate.checks.daemon_record import (
    DaemonRecord,
    Switches,
    accepts,
    read_record,
    record_path,
    switches_path,
)
from cco_migrate.client import NotAGateway, Unreachable
from cco_migrate.config import ConfigName
from cco_migrate.context import Context
from cco_migrate.model import Instance, JsonObject, Step
from cco_migrate.verdict import Judgement, Verdict

WAIT_S = 30.0  # the old proxy is a process of its own, and starts beside new workers


class SwitchesState:
    """Shows what the file says and which ports the daemon tells; later steps compare with it."""

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Nothing to capture."""
        return {}

    def measure(self, step: Step, receipt: JsonObject, context: Context) -> JsonObject:
        """Read the file, the record of the daemon, and ask `/health`."""
        path = switches_path(context)
        data = context.world.files.read_if_there(path)
        document = config.check_file(ConfigName.DAEMON, path, data).document if data else {}
        record = read_record(context)
        facts = {
            "file": data is not None,
            "switches": str(Switches.of(document)),
            **(record.to_json() if record else {}),
        }
        if record is None:
            return {**facts, "unmeasured": f"{record_path(context)} names no daemon"}
        try:
            return {**facts, "status": context.gateway.health().status}
        except (Unreachable, NotAGateway) as error:
            return {**facts, "unmeasured": str(error)}

    def judge(self, step: Step, facts: JsonObject) -> Judgement:
        """GO whenever all could be read: this step only shows."""
        of = "file" if facts["file"] else "no file"
        said = f"{of}: {facts['switches']}"
        if "unmeasured" in facts:
            said = f"{said}; {facts['unmeasured']}"
            return Judgement(step.id, Verdict.INCONCLUSIVE, said, dict(facts))
        gateway, proxy = (facts[name] or "none" for name in ("gateway_port", "proxy_port"))
        said += f"; daemon.pid: gateway port {gateway}, proxy port {proxy}"
        return Judgement(step.id, Verdict.GO, said, dict(facts))


class SwitchesInForce:
    """Params: `gateway`, `proxy`: whether clients are sent there, and it is served.

    The edited file proves nothing; the daemon's record and the ports themselves do.
    """

    def prepare(self, step: Step, context: Context) -> JsonObject:
        """Nothing to compare with: the plan says what must be in force."""
        return {}

    def measure(self, step: Step, receipt: JsonObject, context: Context) -> JsonObject:
        """Wait, bounded, until the record says so, and see who accepts connections."""
        instance = context.instance
        context.waiting("the daemon's record of its ports", WAIT_S)
        context.world.clock.wait_until(
            lambda: not faults_of(read_record(context), step, instance), WAIT_S
        )
        record = read_record(context)
        if record is None:
            return {"unmeasured": f"{record_path(context)} names no daemon"}
        proxy = record.proxy_port
        return {
            **record.to_json(),
            "faults": list(faults_of(record, step, instance)),
            "proxy_answers": None if proxy is None else accepts(proxy),
        }

    def judge(self, step: Step, facts: JsonObject) -> Judgement:
        """GO when clients are sent exactly where the plan says."""
        if "unmeasured" in facts:
            return Judgement(step.id, Verdict.INCONCLUSIVE, str(facts["unmeasured"]), dict(facts))
        faults = [str(fault) for fault in facts["faults"]]
        if facts["proxy_answers"] is False:
            faults.append(f"nobody accepts connections on the proxy port {facts['proxy_port']}")
        if faults:
            return Judgement(step.id, Verdict.NO_GO, "; ".join(faults), dict(facts))
        gateway, proxy = (facts[name] for name in ("gateway_port", "proxy_port"))
        ways = [f"gateway on port {gateway}" if gateway else "no gateway for clients"]
        ways.append(f"old proxy on port {proxy}" if proxy else "no old proxy")
        said = f"daemon.pid: {', '.join(ways)}"
        return Judgement(step.id, Verdict.GO, said, dict(facts))


def faults_of(record: DaemonRecord | None, step: Step, instance: Instance) -> tuple[str, ...]:
    """Return what a record says other than the switches of a step; empty when they are in force."""
    if record is None:
        return ("daemon.pid names no daemon",)
    gateway, port = record.gateway_port, urlsplit(instance.url).port or 80
    faults = []
    if not step.params["gateway"] and gateway is not None:
        faults.append(f"daemon.pid still sends clients to the gateway, port {gateway}")
    elif step.params["gateway"] and gateway is None:
        faults.append("daemon.pid has no gateway_port: the running daemon ignores gatewayEnabled")
    elif step.params["gateway"] and gateway != port:
        mixed = f": {port} is its `port`" if port == record.port else ""
        faults.append(f"gateway_port is {gateway}, this migration is about port {port}{mixed}")
    if step.params["proxy"] and record.proxy_port is None:
        faults.append("daemon.pid has no proxy_port: the old proxy does not serve")
    if not step.params["proxy"] and record.proxy_port is not None:
        faults.append(f"daemon.pid still has the old proxy on port {record.proxy_port}")
    return tuple(faults)
