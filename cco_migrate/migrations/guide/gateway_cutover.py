"""The guide to the soft cutover and its canary, step by step. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from cco_migrate.migrations.guide.words import STOP, Commands, Guide

_ROUTES = 'jq -c "[.gateway_port, .proxy_port]" "$STATE/daemon.pid"'


GATEWAY_CUTOVER: Mapping[str, Guide] = {
    "backup": Guide(
        "Saves every configuration file with its checksum, and restores the copies to scratch.",
        "A file `daemon-config.json.backup-YYYYmmdd-HHMMSS` beside the original, and a manifest.",
        Commands(
            'cp -p "$CONFIG/daemon-config.json" '
            '"$CONFIG/daemon-config.json.backup-$(date +%Y%m%d-%H%M%S)"'
        ),
        "No room or no permission: nothing was changed; make room and run it again.",
    ),
    "state": Guide(
        "Shows the two switches of the file, and the ports the daemon tells in daemon.pid.",
        "The old path: a proxy port, and a gateway port only when both are switched on.",
        Commands(f'cat "$CONFIG/daemon-config.json"\n{_ROUTES}', prints='"proxyEnabled": true'),
    ),
    "validated": Guide(
        "Holds the gate of phase 1: verification streams through the gateway, audit, cost.",
        "GO from every criterion. Left out when phase 1 was passed on the same files of late.",
        Commands(
            'invoke gate --phase 1 --url $GW --config "$CONFIG/model-overrides.toml" --key env:KEY',
            prints="GO  phase 1",
        ),
        "NO-GO: nothing was changed; the criterion says what is wrong.",
    ),
    "switch": Guide(
        "Writes gatewayEnabled and proxyEnabled into daemon-config.json; all else stays.",
        "A diff of two values; a new file where there was none.",
        Commands(
            "jq '.gatewayEnabled = true | .proxyEnabled = false' "
            '"$CONFIG/daemon-config.json" > "$CONFIG/daemon-config.new"\n'
            'mv "$CONFIG/daemon-config.new" "$CONFIG/daemon-config.json"'
        ),
        "Refused edits leave the file untouched and say why.",
    ),
    "validate": Guide(
        "Checks syntax, types, keys and rules of every configuration file as it lies on disk.",
        "The fingerprint that every worker must report after the restart.",
        Commands(
            'cco-gateway check-config --home "$STATE" --config-dir "$CONFIG"', prints="Gateway:"
        ),
        "Each fault names file, line, key and what to write.",
    ),
    "stop": STOP,
    "restart": Guide(
        "Starts the gateway, or replaces its workers while the socket stays open.",
        "Ready within seconds, and how long nobody got an answer.",
        Commands('cco-gateway reload --home "$STATE"', prints="reloaded"),
        "It dies at start: the old switches are put back and the old path started and proved.",
    ),
    "proof": Guide(
        "Asks every worker what it has loaded.",
        "One fingerprint, the plan's, from all of them.",
        Commands("curl -s $GW/gateway/workers | jq -r '.workers[].fingerprint'"),
        "Another fingerprint: a worker still runs the old files. The run takes the way back.",
    ),
    "routes": Guide(
        "Reads daemon.pid, and sees who accepts connections.",
        "gateway_port set; proxy_port null, or served when it stays as a standby.",
        Commands(_ROUTES, prints=",null]"),
        "The file was edited and the daemon has not loaded it. The run takes the way back.",
    ),
    "launcher": Guide(
        "Launches a client that tells its environment, in a shell that still names the old proxy.",
        "ANTHROPIC_BASE_URL is the gateway, and no variable leads to the old proxy.",
        Commands(
            'cco-gateway launch --home "$STATE" --config-dir "$CONFIG" -- env | grep _BASE_URL',
            prints="ANTHROPIC_BASE_URL=http",
        ),
        "Refused: the daemon does not run, or its gateway does not answer.",
    ),
    "gate": Guide(
        "Holds the gate of phase 2: what phase 1 asked, then days of real traffic and people.",
        "GO. Before there is enough evidence the run stays open, and goes on where it stopped.",
        Commands(
            'invoke gate --phase 2 --url $GW --config "$CONFIG/model-overrides.toml" --key env:KEY',
            prints="INCONCLUSIVE  phase 2",
            code=4,
        ),
        "NO-GO: the run takes the way back at once. HOLD: invoke approve --gate gate, or back.",
    ),
    "soak": Guide(
        "Only with --soak: watches the change for its bake time.",
        "GO from every criterion at the end; `invoke status` says meanwhile how far each one is.",
        "",
        "NO-GO: the run takes the way back at once. Undecided: the run stays open; run it again "
        "to go on watching with the same evidence.",
    ),
    "report": Guide(
        "Writes the report beside the journal.",
        "The verdict, the diff, the proof, the backup's real path and the command that rolls back.",
    ),
}  # fmt: skip


CANARY: Mapping[str, Guide] = {
    "canary-switch": Guide(
        "Switches both ways on, and gives the gateway its share of the launches.",
        "gatewayEnabled and proxyEnabled true, and gatewayShare the percentage.",
        "edit the three values; do not replace the file, it holds other keys too",
        "Refused edits leave the file untouched and say why.",
    ),
    "canary-launcher": Guide(
        "Has the launcher draw a thousand sessions, and launches one of each way.",
        "As many go to the gateway as the share says, give or take chance; the rest to the proxy.",
        Commands('cco-gateway canary --home "$STATE" --config-dir "$CONFIG" "$SESSION"'),
        "No session is drawn: the launcher reads another daemon-config.json. The way back follows.",
    ),
    "canary": Guide(
        "Watches the share for its bake time, before more launches go there.",
        "GO from every criterion at the end; `invoke status` says meanwhile how far each one is.",
        "",
        "NO-GO: the run takes the whole way back at once. Undecided: the run stays open; run it "
        "again to go on watching with the same evidence.",
    ),
}
"""The steps of a canary that are its own, without their percentage; it has one set for each."""
