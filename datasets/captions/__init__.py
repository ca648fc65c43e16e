"""Clips with captions."""
