"""Git repositories: what they hold, worktrees of their own, and commands that run in one."""
