"""Verdicts of the gate, rendered."""
