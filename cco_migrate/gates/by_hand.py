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
        "--expires 24h`",
        "The gate on this state root reads it. For a gate elsewhere add `--out approvals.jsonl` "
        "and give it with `--approvals approvals.jsonl`.",
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
    "audit-gaps": ByHand(
        "curl -s \"$GW/gateway/audit?limit=1000\" | jq -r '.entries[] | [.boot_id, .seq] | @tsv' | "
        "sort -k1,1 -k2,2n | awk '$1 == boot && $2 != last + 1 {print boot, last, $2} "
        "{boot = $1; last = $2}'",
        "Nothing: each process has numbered its requests without a gap. A number whose neighbours "
        "are minutes old may still be in flight.",
    ),
    "cache-hit-rate": ByHand(
        "curl -s \"$GW/gateway/audit?limit=1000\" | "
        "jq '[.entries[] | select(.cache_read_tokens != null) | .cache_read_tokens > 0] "
        "| (map(select(.)) | length) / length'",
        "More than 0.3. It is the provider's prompt cache; the gateway's own is off by default.",
    ),
    "overrides-applied": ByHand(
        "curl -s \"$GW/gateway/audit?limit=1000\" | jq '[.entries[] "
        "| select(.requested_model != null and .model != .requested_model)] | length'",
        "More than 0, once clients asked for a model that a rule names.",
    ),
    "cost-accuracy": ByHand(
        "curl -s \"$GW/gateway/audit?start_time=$BEGAN\" | "
        "jq '.entries[] | {model, input_tokens, output_tokens, cost_usd}'",
        "Tokens times the price per million of that model, to a millionth of a dollar.",
    ),
    "baseline-captured": ByHand(
        "Send the streams above over the old path, three at one time, with "
        "`curl --proxy http://127.0.0.1:PORT` and the provider's URL where it is a proxy; note the "
        "time to the first delta and when the last stream ends.",
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
    "throughput-ratio": ByHand(
        "Send three of the streams at one time, over each path, and note when the last one ends.",
        "Streams a second of the new path over those of the old, burst by burst, on logarithms.",
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
        "awk 'tolower($0) ~ /error/ {n++} END {print n + 0}' $CCO_HOME/daemon.log",
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
        "`invoke rollback.rehearse`. Where it cannot run: set gatewayEnabled false and "
        "proxyEnabled true, restart, send a request, go back, and approve.",
        "The old path answers, and after it the gateway again. The gate reads the record itself.",
        shell=False,
    ),
    "proxy-removed": _said("whoever removed the old proxy"),
    "complaints": ByHand(
        "Count the users who complained, then: `invoke approve --gate complaints --count N "
        "--of USERS --by NAME --scope phase-N:FINGERPRINT --expires 24h`",
        "The gate names both figures. Silence is no praise: few complaints are never GO.",
        shell=False,
    ),
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
