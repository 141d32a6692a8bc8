"""How each criterion of a gate is looked at by hand: what to type and what to see. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ByHand:
    """One criterion for a person.

    Attributes:
        do: A command for a shell, or what to do in words; $GW is the gateway's base URL.
        see: What is right.
        shell: Whether `do` is a command.
    """

    do: str
    see: str
    shell: bool = True


def _said(who: str) -> ByHand:
    return ByHand(
        f"Ask {who}, then: `invoke approve --gate ID --by NAME --scope phase-N:FINGERPRINT "
        "--expires 24h --out approvals.jsonl`",
        "A line more in the file; the gate reads it with `--approvals approvals.jsonl`.",
        shell=False,
    )


_STREAM = (
    "curl -sN $GW/v1/messages -H 'content-type: application/json' -H \"x-api-key: $KEY\" "
    '-H \'anthropic-version: 2023-06-01\' -d \'{"model": "\'$MODEL\'", "max_tokens": 64, '
    '"stream": true, "messages": [{"role": "user", "content": "Count to twenty."}]}\''
)

BY_HAND: Mapping[str, ByHand] = {
    "config-loaded": ByHand(
        "curl -s $GW/gateway/workers | jq -r '.workers[] | .fingerprint'",
        "One line a worker, all of them the fingerprint that `invoke plan` names.",
    ),
    "evidence-integrity": ByHand(
        "for i in 1 2; do curl -s $GW/health | jq '{uptime_seconds, boot_id}'; "
        "curl -s $GW/metrics | grep ^gateway_requests_total; sleep 5; done",
        "The uptime grew by five seconds; no counter fell while boot_id stayed the same.",
    ),
    "gateway-healthy": ByHand(
        "curl -s $GW/gateway/health | jq '{status, providers}'",
        "`healthy`, and `true` for every provider.",
    ),
    "stream-conformance": ByHand(
        _STREAM,
        "message_start first, message_stop last, a usage with tokens, and deltas that come one "
        "by one, not all at once.",
    ),
    "canary-intact": ByHand(
        "The same with `tools` and `tool_choice` in the body, and with an `anthropic-beta` header; "
        "compare with what the provider answers directly.",
        "The tool call comes, no text is missing at its beginning, and the audit record's "
        "`request_shape.betas` names every beta.",
        shell=False,
    ),
    "audit-complete": ByHand(
        "curl -s \"$GW/gateway/audit?start_time=$BEGAN&limit=1000\" | "
        "jq -r '.entries[].request_id' | sort > recorded; "
        "sort sent | comm -23 - recorded; uniq -d recorded",
        "Nothing: each x-gateway-request-id that was sent is recorded, once. Equal counts prove "
        "nothing.",
    ),
    "cost-accuracy": ByHand(
        "curl -s \"$GW/gateway/audit?start_time=$BEGAN\" | "
        "jq '.entries[] | {model, input_tokens, output_tokens, cost_usd}'",
        "Tokens times the price per million of that model, to a millionth of a dollar.",
    ),
    "baseline-captured": ByHand(
        "Send the streams above over the old path and note the time to the first delta.",
        "At least fifty whole streams; without them no later phase can say what became slower.",
        shell=False,
    ),
    "start-failures": ByHand(
        "for url in $FLEET; do curl -s -o /dev/null -w '%{http_code} '$url'\\n' $url/health; done",
        "200 for each. One of nineteen systems is more than a twentieth.",
    ),
    "sole-route": ByHand(
        "jq '{gatewayEnabled, proxyEnabled}' $CCO_HOME/config/daemon-config.json",
        "`true` and `false`.",
    ),
    "daemon-record": ByHand(
        "cat $CCO_HOME/daemon.pid; kill -0 $(jq .pid $CCO_HOME/daemon.pid)",
        "A living process, its gateway_port, and no proxy_port.",
    ),
    "streaming-failures": ByHand(
        "curl -s $GW/metrics | grep -e ^gateway_streams_broken_total -e 'stream=\"true\"'",
        "Note both at the beginning and at the end: broken by anybody but the client, of all.",
    ),
    "error-rate": ByHand(
        "curl -s $GW/metrics | grep ^gateway_requests_total",
        "Note them at the beginning and at the end: other than 2xx and 499, of all but 499.",
    ),
    "availability": ByHand(
        "while sleep 30; do date -u +%T; "
        "curl -so /dev/null -m 5 -w '%{http_code}\\n' $GW/health; done",
        "Each stretch of other answers counts from the last 200 before to the first one after.",
    ),
    "latency-ratio": ByHand(
        "Send the same streams again and compare the times to the first delta, on logarithms, "
        "model by model.",
        "The whole interval below the first bound; between the bounds a person decides.",
        shell=False,
    ),
    "latency-average": ByHand(
        "curl -s $GW/metrics | grep -e ^gateway_overhead_seconds_sum "
        "-e ^gateway_overhead_seconds_count",
        "Growth of the sum by growth of the count, minute by minute; never since the start.",
    ),
    "process-restarts": ByHand(
        "curl -s $GW/gateway/workers | jq -r '.workers[].boot_id'",
        "The same ids as at the beginning.",
    ),
    "log-errors": ByHand(
        "grep -ci error $CCO_HOME/daemon.log",
        "No more than before the gate began.",
    ),
    "memory-growth": ByHand(
        "ps -o rss= -p $(jq .pid $CCO_HOME/daemon.pid) --ppid $(jq .pid $CCO_HOME/daemon.pid)",
        "It levels off; six windows of ten minutes tell.",
    ),
    "disk-growth": ByHand(
        "du -sm $CCO_HOME", "It grows no faster than the audit's retention lets it."
    ),
    "launcher-refuses": ByHand(
        "Stop the gateway, start a client with `launch`, start the gateway again. Then approve.",
        "`Error: LLM Gateway not available`, exit code 1, and no client that goes around it.",
        shell=False,
    ),
    "rollback-rehearsed": ByHand(
        "Set gatewayEnabled false and proxyEnabled true, restart, send a request, and go back. "
        "Then approve.",
        "The old path answers, and after it the gateway again.",
        shell=False,
    ),
    "proxy-removed": _said("whoever removed the old proxy"),
    "critical-bugs": _said("whoever keeps the list of bugs"),
    "user-feedback": _said("the users"),
    "team-approval": _said("the team"),
    "earlier-findings": ByHand(
        "Only with `--evidence FILE`: read the rows `found` of the file.",
        "None. What was lost once is not found again by asking once more.",
        shell=False,
    ),
}  # fmt: skip
"""By criterion; a row for every criterion of every phase."""
