"""One function per task: the only place where the parts are wired together."""
