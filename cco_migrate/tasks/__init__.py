"""The tasks an operator types; all work is done in `commands`.

Only Invoke and the standard library are imported here: what a task needs is imported when it runs.
"""
