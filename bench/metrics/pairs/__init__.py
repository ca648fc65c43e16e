"""Pairs that listeners compared: how well they agree with each other, and a model with them."""
