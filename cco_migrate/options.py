"""The options of all tasks and the meaning of every exit code. Pure; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

CODES = {
    0: "done, GO, or nothing to do",
    1: "unexpected error",
    2: "the plan has changes (plan --detailed-exitcode)",
    3: "NO-GO",
    4: "INCONCLUSIVE: not enough evidence; the run stays open",
    5: "HOLD: a person has to decide",
    6: "the migration failed and was rolled back",
    7: "the rollback failed: page somebody",
    8: "preflight or validation failed; nothing was changed",
    9: "stale plan or drift",
    11: "the lock is held by another run",
    12: "waiting for a person; resumable",
    64: "usage",
    130: "SIGINT",
    143: "SIGTERM",
}


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its default, which also gives its type, and its help."""

    default: str | bool | int
    help: str


OPTIONS: dict[str, Option] = {
    "home": Option("", "state root of your deployment ($CCO_HOME, default ~/.cco)"),
    "config": Option("", "your model-overrides.toml"),
    "url": Option("", "base URL of your gateway, e.g. http://127.0.0.1:3000"),
    "driver": Option("", "how it is restarted: process (bundled gateway) or command (any other)"),
    "stop": Option("", "command that stops it (driver command)"),
    "start": Option("", "command that starts it (driver command)"),
    "restart": Option("", "one command in place of stop and start (driver command)"),
    "log": Option("", "file it logs to, watched for the override lines"),
    "fix": Option(False, "add the dashed twin of each dotted rule id"),
    "yes": Option(False, "answer every question with yes"),
    "no_input": Option(False, "never ask: a question ends with exit 12"),
    "dry_run": Option(False, "show what would happen and change nothing"),
    "json": Option(False, "one JSON document on standard output"),
    "quiet": Option(False, "say nothing but the result"),
    "events": Option("", "append one JSON object per event to this file"),
    "traffic": Option(
        "", "how the change is proved: send requests (default), or watch real clients"
    ),
    "key": Option(
        "",
        "verification credential: file:PATH or env:NAME (default env:ANTHROPIC_API_KEY)",
    ),
    "requests": Option(0, "how many verification requests (default 2; the demo sends 24)"),
    "watch_s": Option(300, "how long to watch for real clients, in seconds"),
    "lock_timeout": Option(0, "how long to wait for another run's lock, in seconds"),
    "kind": Option(
        "",
        "which migration: gateway-cutover or model-overrides (default; that of an open run); "
        "a runbook also of gates",
    ),
    "waive": Option(
        "", "accept a failed check: broken-requests, rollback-rehearsed, a soak's criterion (--why)"
    ),
    "soak": Option("", "watch the change for this bake time before it is GO, e.g. 30m or 4d"),
    "soak_interval": Option("", "between two looks of the soak (default: a 120th, at most 30s)"),
    "soak_requests": Option(0, "requests the soak may send itself; counted apart from real ones"),
    "on_no_go": Option(
        "rollback", "what a NO-GO of the soak, or of phase 2, leads to: rollback, freeze or ask"
    ),
    "kind_": Option("", "which notice: before, after, daily, week-1 or week-4"),
    "start_": Option("", "first day of the timeline, e.g. 2026-12-07"),
    "plan": Option("", "file of a plan that was saved with plan --out"),
    "out": Option(
        "", "where to: a file, for notices a folder; for an export also s3://BUCKET/PREFIX"
    ),
    "run": Option("", "run id (default: the newest)"),
    "dir": Option("", "folder of a run, or a copy of it, in place of --run"),
    "by": Option(
        "flag", "flag (this run's edits), backup (saved files), git or bundle (a merged removal)"
    ),
    "onto": Option("main", "the branch that holds the removal (--by git)"),
    "branch": Option("", "name of the branch that takes it back (--by git)"),
    "to": Option("", "new folder the repository is restored into (--by bundle)"),
    "show_force_push": Option("", "only print how this remote is put back by force (--by git)"),
    "confirm": Option("", "the words that are to be typed before what cannot be undone"),
    "detailed_exitcode": Option(False, "exit 2 when the plan has changes"),
    "what": Option("main-job", "what is measured: main-job, plan, gateway or all"),
    "check": Option(False, "write nothing; exit 9 when there would be something to write"),
    "for_": Option("done", "what is awaited: done (or rolled back), held, or gate"),
    "timeout": Option(600, "how long to wait, in seconds"),
    "why": Option("", "in your words, for the journal and for whoever meets it"),
    "id": Option("", "which backup: its id, or the name of a copy beside a file"),
    "file": Option("", "these files alone, by name, separated by commas"),
    "archive": Option("", "an exported backup: a tar.gz file or s3://BUCKET/KEY"),
    "endpoint": Option("", "URL of an S3-compatible store (default: that of boto3)"),
    "keep": Option(10, "how many of the newest backups stay"),
    "keep_days": Option(30, "backups younger than so many days stay"),
    "times": Option(10, "how many rounds; fewer than 10 are shown and do not count"),
    "rounds": Option(5, "how many rounds; the median counts"),
    "item": Option("team-notified", "what is attested"),
    "person": Option("", "whose word it is"),
    "gate": Option("", "what is approved: a step of the run, or e.g. critical-bugs"),
    "by_": Option("", "who approves the gate"),
    "scope": Option("", "what the approval is for, in words"),
    "expires": Option("", "until when it holds: 24h, 7d or an RFC 3339 time"),
    "count": Option("", "how many users complained (--gate complaints)"),
    "of": Option("", "of how many active users (--gate complaints)"),
    "phase": Option(1, "which phase of the cutover; a gate has 0, too: the baseline before it"),
    "standby": Option(False, "phase 2 of the cutover: keep the old proxy as a warm standby"),
    "canary": Option(
        "", "phase 2 of the cutover: percent of launches to the gateway first, e.g. 5,25,50"
    ),
    "canary_soak": Option("", "how long each share of --canary is watched (default 30m)"),
    "fingerprint": Option("", "of the planned configuration, in place of --config"),
    "model": Option("claude-haiku-4-5-20251001", "model of the verification requests"),
    "streams": Option(66, "how many verification streams are sent at most; 0 sends nothing"),
    "criteria": Option("", "JSON file that changes criteria"),
    "evidence": Option("", "file that keeps samples, so that a later run goes on with them"),
    "manifest": Option("", "phase 3 of the cutover: the file that says what is removed"),
    "repository": Option("", "where it is removed (default: the repository the manifest is in)"),
    "baseline": Option("", "times of the old path: phase 0 writes this file, others read it"),
    "approvals": Option("", "file of approve --out (default: what approve wrote without --out)"),
    "watch": Option(0, "look at real traffic for so many seconds first; 0 looks once"),
    "every": Option(30, "seconds between two looks"),
    "proxy": Option("", "phase 0: the old HTTP proxy to ask --url through, http://127.0.0.1:PORT"),
    "systems": Option("", "URLs of the fleet's other gateways, separated by commas"),
    "junit": Option("", "write the verdict as JUnit XML to this file"),
    "markdown": Option("", "write the verdict as Markdown to this file"),
}
TARGET = ("home", "config", "url", "driver", "stop", "start", "restart", "log")
OUTPUT = ("json", "quiet", "events")
PLANNING = (
    *TARGET, *OUTPUT, "kind", "fix", "traffic", "key", "requests", "watch_s", "waive", "why",
    "soak", "soak_interval", "soak_requests", "on_no_go", "criteria",
    "phase", "standby", "canary", "canary_soak", "model", "streams", "baseline", "manifest",
    "repository",
)  # fmt: skip
APPLYING = (*PLANNING, "yes", "no_input", "confirm", "lock_timeout")
