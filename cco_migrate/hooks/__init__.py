"""Whom a run tells of its course, best effort."""
