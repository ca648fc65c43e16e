"""Arousal and valence ratings, predicted."""
