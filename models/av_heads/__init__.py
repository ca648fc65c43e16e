"""Arousal/valence heads on frozen embeddings: fitted, cross-validated, kept and exported."""
