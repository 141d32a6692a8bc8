"""The guide to turning model overrides on, step by step. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from cco_migrate.migrations.guide.words import NO_SYSTEMD, STOP, UNITS, Commands, Guide

MODEL_OVERRIDES: Mapping[str, Guide] = {
    "backup": Guide(
        "Saves every configuration file with its checksum, and restores the copies to scratch.",
        "A file `model-overrides.toml.backup-YYYYmmdd-HHMMSS` beside the original, and a manifest.",
        Commands('cp -p "$CONFIG" "$CONFIG.backup-$(date +%Y%m%d-%H%M%S)"'),
        "No room or no permission: nothing was changed; make room and run it again.",
    ),
    "exists": Guide(
        "Looks whether the file is there, can be replaced, and what git knows of it.",
        "Its size, and whether it is as in the last commit.",
        Commands('ls -l "$CONFIG"', prints="model-overrides.toml"),
        "Missing: git checkout -- model-overrides.toml, or give its place with --config.",
    ),
    "state": Guide(
        "Shows what the file says and what the running gateway says.",
        "`enabled = false` in both. When they differ, the process ignores its file: restart it.",
        Commands("curl -s $GW/health | jq .overrides_enabled", prints="false"),
    ),
    "fix": Guide(
        "Only with --fix: adds the dashed twin of each rule id that is written with a dot.",
        "One more line per twin; the rules that were there stay.",
        'add ["claude-sonnet-4-5-20250929", …] under ["claude-sonnet-4.5-20250929", …]',
    ),
    "enable": Guide(
        "Sets `[overrides] enabled = true`: one value of one line.",
        "A diff of one line.",
        "edit the line; do not replace text all over the file, other sections have such keys too",
        "Refused edits leave the file untouched and say why.",
    ),
    "validate": Guide(
        "Checks syntax, types, keys and rules of every configuration file as it lies on disk.",
        "The fingerprint that every worker must report after the restart.",
        Commands('cco-gateway check-config --home "$STATE"', prints="Model overrides: enabled"),
        "Each fault names file, line, key and what to write.",
    ),
    "stop": STOP,
    "restart": Guide(
        "Starts the gateway, or replaces its workers while the socket stays open.",
        "Ready within seconds, and how long nobody got an answer.",
        Commands(f"systemctl start {UNITS}", not_run=NO_SYSTEMD),
        "It dies at start: the old file is put back and the old state started and proved.",
    ),
    "proof": Guide(
        "Asks every worker what it has loaded.",
        "`overrides_enabled: true` and one fingerprint, the plan's, from all of them.",
        Commands(
            "curl -s $GW/health | jq .overrides_enabled\n"
            "curl -s $GW/gateway/workers | jq -r '.workers[].fingerprint'",
            prints="true",
        ),
        "Another fingerprint: a worker still runs the old files. The run takes the way back.",
    ),
    "traffic": Guide(
        "Sends a few requests, streamed and not, and watches the log and the dashboard.",
        "Whole answers, and a line `Model override: A → B` for each that a rule matched.",
        Commands("grep 'Model override: ' $STATE/daemon.log | tail -3", prints=" → "),
        "No override lines though requests arrive: the rule ids do not match, letter by letter.",
    ),
    "counts": Guide(
        "Compares counters, audit and what was sent.",
        "The three agree and are not zero.",
        Commands(
            "curl -s $GW/api/overrides/stats | jq '{total_overrides, overrides_enabled}'",
            prints='"overrides_enabled": true',
        ),
        "Zero: either traffic bypasses the gateway, or no rule matches; the message says which.",
    ),
    "cost": Guide(
        "Prices the overridden requests again from their tokens and the dated price table.",
        "Billed at the target's price, to the micro-dollar, and less than before.",
        Commands("curl -s $GW/api/machine/stats | jq '{totalCost, models}'", prints="totalCost"),
        "The client's own cost display stays on the model it asked for: that is no fault.",
    ),
    "soak": Guide(
        "Only with --soak: watches the change for its bake time and judges every criterion anew.",
        "GO from every criterion at the end; `invoke status` says meanwhile how far each one is.",
        "",
        "NO-GO: the run takes the way back at once. Undecided: the run stays open; run it again "
        "to go on watching with the same evidence.",
    ),
    "report": Guide(
        "Writes report.md and report.html beside the journal.",
        "The verdict, the diff, the proof, the backup's real path and the command that rolls back.",
    ),
}  # fmt: skip
