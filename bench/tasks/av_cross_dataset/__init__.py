"""Arousal and valence across datasets: train on some, test on others."""
