"""Rehearses the ways back of the cutover on a clone of the deployment, and keeps what was seen."""
