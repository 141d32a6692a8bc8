"""What a person does at each step, and what they should see: the words of the runbooks. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Guide:
    """One step for people.

    Attributes:
        does: What happens, in a sentence.
        expect: What is seen when it went well.
        by_hand: How to do it without this tool; empty when it cannot be done so.
        if_not: What to do when it did not go well.
    """

    does: str
    expect: str
    by_hand: str = ""
    if_not: str = ""


MODEL_OVERRIDES: Mapping[str, Guide] = {
    "backup": Guide(
        "Saves every configuration file with its checksum, and restores the copies to scratch.",
        "A file `model-overrides.toml.backup-YYYYmmdd-HHMMSS` beside the original, and a manifest.",
        "cp -p model-overrides.toml model-overrides.toml.backup-$(date +%Y%m%d-%H%M%S)",
        "No room or no permission: nothing was changed; make room and run it again.",
    ),
    "exists": Guide(
        "Looks whether the file is there, can be replaced, and what git knows of it.",
        "Its size, and whether it is as in the last commit.",
        "ls -l model-overrides.toml; git status model-overrides.toml",
        "Missing: git checkout -- model-overrides.toml, or give its place with --config.",
    ),
    "state": Guide(
        "Shows what the file says and what the running gateway says.",
        "`enabled = false` in both. When they differ, the process ignores its file: restart it.",
        "curl -s http://127.0.0.1:3000/health",
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
        "",
        "Each fault names file, line, key and what to write.",
    ),
    "stop": Guide(
        "Stops the gateway after its streams have ended; a bundled gateway needs no stop.",
        "Nothing answers any more, or: not needed.",
        "systemctl stop cco",
        "Still draining: wait, or look who holds the stream; it is never killed by name.",
    ),
    "restart": Guide(
        "Starts the gateway, or replaces its workers while the socket stays open.",
        "Ready within seconds, and how long nobody got an answer.",
        "systemctl start cco (bundled gateway: invoke gateway.reload)",
        "It dies at start: the old file is put back and the old state started and proved.",
    ),
    "proof": Guide(
        "Asks every worker what it has loaded.",
        "`overrides_enabled: true` and one fingerprint, the plan's, from all of them.",
        "curl -s http://127.0.0.1:3000/health; curl -s http://127.0.0.1:3000/gateway/workers",
        "Another fingerprint: a worker still runs the old files. The run takes the way back.",
    ),
    "traffic": Guide(
        "Sends a few requests, streamed and not, and watches the log and the dashboard.",
        "Whole answers, and a line `Model override: A → B` for each that a rule matched.",
        "send a request with a model that a rule names; grep -i 'model override' in the log",
        "No override lines though requests arrive: the rule ids do not match, letter by letter.",
    ),
    "counts": Guide(
        "Compares counters, audit and what was sent.",
        "The three agree and are not zero.",
        "curl -s http://127.0.0.1:3000/api/overrides/stats",
        "Zero: either traffic bypasses the gateway, or no rule matches; the message says which.",
    ),
    "cost": Guide(
        "Prices the overridden requests again from their tokens and the dated price table.",
        "Billed at the target's price, to the micro-dollar, and less than before.",
        "curl -s http://127.0.0.1:3000/api/machine/stats",
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

GATEWAY_CUTOVER: Mapping[str, Guide] = {
    "backup": Guide(
        "Saves every configuration file with its checksum, and restores the copies to scratch.",
        "A file `daemon-config.json.backup-YYYYmmdd-HHMMSS` beside the original, and a manifest.",
        "cp -p daemon-config.json daemon-config.json.backup-$(date +%Y%m%d-%H%M%S)",
        "No room or no permission: nothing was changed; make room and run it again.",
    ),
    "state": Guide(
        "Shows the two switches of the file, and the ports the daemon tells in daemon.pid.",
        "The old path: a proxy port, and a gateway port only when both are switched on.",
        "cat daemon-config.json; cat ~/.cco/daemon.pid",
    ),
    "validated": Guide(
        "Holds the gate of phase 1: verification streams through the gateway, audit, cost.",
        "GO from every criterion. Left out when phase 1 was passed on the same files of late.",
        "invoke gate --phase 1",
        "NO-GO: nothing was changed; the criterion says what is wrong.",
    ),
    "switch": Guide(
        "Writes gatewayEnabled and proxyEnabled into daemon-config.json; all else stays.",
        "A diff of two values; a new file where there was none.",
        "edit the two values; do not replace the file, it holds other keys too",
        "Refused edits leave the file untouched and say why.",
    ),
    "validate": Guide(
        "Checks syntax, types, keys and rules of every configuration file as it lies on disk.",
        "The fingerprint that every worker must report after the restart.",
        "",
        "Each fault names file, line, key and what to write.",
    ),
    "stop": Guide(
        "Stops the gateway after its streams have ended; a bundled gateway needs no stop.",
        "Nothing answers any more, or: not needed.",
        "systemctl stop cco",
        "Still draining: wait, or look who holds the stream; it is never killed by name.",
    ),
    "restart": Guide(
        "Starts the gateway, or replaces its workers while the socket stays open.",
        "Ready within seconds, and how long nobody got an answer.",
        "systemctl start cco (bundled gateway: invoke gateway.reload)",
        "It dies at start: the old switches are put back and the old path started and proved.",
    ),
    "proof": Guide(
        "Asks every worker what it has loaded.",
        "One fingerprint, the plan's, from all of them.",
        "curl -s http://127.0.0.1:3000/gateway/workers",
        "Another fingerprint: a worker still runs the old files. The run takes the way back.",
    ),
    "routes": Guide(
        "Reads daemon.pid, and sees who accepts connections.",
        "gateway_port set; proxy_port null, or served when it stays as a standby.",
        "jq .gateway_port,.proxy_port ~/.cco/daemon.pid",
        "The file was edited and the daemon has not loaded it. The run takes the way back.",
    ),
    "launcher": Guide(
        "Launches a client that tells its environment, in a shell that still names the old proxy.",
        "ANTHROPIC_BASE_URL is the gateway, and no variable leads to the old proxy.",
        "cco-gateway launch -- env",
        "Refused: the daemon does not run, or its gateway does not answer.",
    ),
    "gate": Guide(
        "Holds the gate of phase 2: what phase 1 asked, then days of real traffic and people.",
        "GO. Before there is enough evidence the run stays open, and goes on where it stopped.",
        "invoke gate --phase 2",
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

GUIDES: Mapping[str, Mapping[str, Guide]] = {
    "model-overrides": MODEL_OVERRIDES,
    "gateway-cutover": GATEWAY_CUTOVER,
}
"""The steps of each kind of migration, by step id."""
