"""Adapters: models of others and of our training, behind one interface."""
