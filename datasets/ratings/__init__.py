"""Clips with ratings of arousal and valence."""
