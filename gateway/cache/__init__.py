"""Whole answers kept for requests that ask exactly the same."""
