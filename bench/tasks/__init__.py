"""Tasks: from what a model says to per-item outcomes, scores and intervals."""
