"""The guide to the steps that only the hard cutover has. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from cco_migrate.migrations.guide.words import Guide

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
