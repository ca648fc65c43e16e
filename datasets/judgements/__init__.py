"""Judgements between clips: pairs, triplets and rankings."""
