"""What a person does at each step, and what they should see: the words of the runbooks. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Commands:
    """Commands of a shell, as they are typed.

    Attributes:
        run: `$GW`, `$CONFIG`, `$STATE`, `$KEY` and `$SESSION` are explained at the top of a page.
        prints: Some of what they print; empty when that says nothing.
        code: Their exit code.
        not_run: Why the tests cannot run them, for readers too; empty for what they do run.
    """

    run: str
    prints: str = ""
    code: int = 0
    not_run: str = ""


@dataclass(frozen=True, slots=True)
class Guide:
    """One step for people.

    Attributes:
        does: What happens, in a sentence.
        expect: What is seen when it went well.
        by_hand: How to do it without this tool, in words or commands; empty when it cannot be done.
        if_not: What to do when it did not go well.
    """

    does: str
    expect: str
    by_hand: Commands | str = ""
    if_not: str = ""


NO_SYSTEMD = "needs systemd, which only the marked tests have"
_UNITS = "cco-gateway.socket cco-gateway.service"
_ROUTES = 'jq -c "[.gateway_port, .proxy_port]" "$STATE/daemon.pid"'


_STOP = Guide(
    "Stops the gateway after its streams have ended; a bundled gateway needs no stop.",
    "Nothing answers any more, or: not needed.",
    Commands(f"systemctl stop {_UNITS}", not_run=NO_SYSTEMD),
    "Still draining: wait, or look who holds the stream; it is never killed by name.",
)

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
    "stop": _STOP,
    "restart": Guide(
        "Starts the gateway, or replaces its workers while the socket stays open.",
        "Ready within seconds, and how long nobody got an answer.",
        Commands(f"systemctl start {_UNITS}", not_run=NO_SYSTEMD),
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
    "stop": _STOP,
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

GUIDES: Mapping[str, Mapping[str, Guide]] = {
    "model-overrides": MODEL_OVERRIDES,
    "gateway-cutover": GATEWAY_CUTOVER,
}
"""The steps of each kind of migration, by step id."""

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

HARD: Mapping[str, Guide] = {
    "ready": Guide(
        "Holds the gate of phase 3, before anything is removed.",
        "GO. What only days without the old path can show is observed, and asked again afterwards.",
        "hold the gate as in step 11, with --phase 3",
        "NO-GO: nothing was changed; the criterion says what is wrong.",
    ),
    "fits": Guide(
        "Applies every removal apart from the working tree, and looks what would be left.",
        "Every removal applies, each symbol occurred, and no reference is left.",
        "",
        "A symbol that occurs nowhere is misspelt, or was removed already: correct the manifest.",
    ),
    "tag": Guide(
        "Tags the last commit that has the old proxy.",
        "The tag stands at the commit that is checked out.",
        "git tag -a NAME -m 'The last commit with the old proxy'",
        "The tag is there and stands elsewhere: choose another name in the manifest.",
    ),
    "bundle": Guide(
        "Writes the whole repository into one file beside the journal.",
        "Its size, and its SHA-256 in the evidence.",
        "git bundle create before-removal.bundle --all",
    ),
    "restorable": Guide(
        "Clones the bundle into a scratch folder, checks the tag out and runs the tests there.",
        "Restored, and every command of the manifest ended well.",
        "git clone before-removal.bundle DIR; run the tests in DIR",
        "No removal is begun while the way back is not proved.",
    ),
    "branch": Guide(
        "Begins a branch at that commit.",
        "What is checked out stays as it is.",
        "git branch BRANCH",
    ),
    "remove": Guide(
        "Takes one group of the manifest out: files, and patches of those that stay.",
        "One commit with the message of the manifest.",
        "git rm FILES; git apply PATCH; git commit",
        "A patch that does not apply: the branch goes, and the repository is as before.",
    ),
    "references": Guide(
        "Looks through the branch for symbols that were removed, and documents that name them.",
        "No reference; documents are listed, for a person to rewrite.",
        "git grep -n SYMBOL BRANCH",
        "References are left: the branch goes; add them to the manifest.",
    ),
    "tests": Guide(
        "Runs the commands of the manifest in a worktree of the branch: build and tests.",
        "All of them end well; their output is kept beside the journal.",
        "run the build and the tests on the branch",
        "The branch goes, and the repository is as before.",
    ),
    "revertible": Guide(
        "Reverts the removal in a worktree, compares every file, and runs the tests there.",
        "The tree is the one of before, and its tests pass.",
        "git revert --no-edit TAG..BRANCH in a worktree; git diff TAG",
    ),
}
"""The steps of the hard cutover that are its own; `remove` is that of each group."""

_SHARE = re.compile(r"\Acanary-\d+")
_GROUP = re.compile(r"\Aremove-\d+\Z")


def guide_of(kind: str, step_id: str) -> Guide | None:
    """Return the words for a step; None when there are none for it."""
    guides = {**GUIDES.get(kind, {}), **(HARD if kind == "gateway-cutover" else {})}
    if step_id in guides or not _SHARE.match(step_id):
        return guides.get(_GROUP.sub("remove", step_id))
    name = _SHARE.sub("canary", step_id)
    return CANARY.get(name) or guides.get(name.removeprefix("canary-"))
