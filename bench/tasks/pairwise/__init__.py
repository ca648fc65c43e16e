"""Pairwise arousal and valence judgements, as in MusAV."""
