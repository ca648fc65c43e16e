"""Findings: what the scores say, in sentences."""
