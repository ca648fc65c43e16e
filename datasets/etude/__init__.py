"""Etude: a corpus of synthesised music that can be made again from a seed on any machine.

Real datasets cannot ship with the project, so this is what a fresh checkout trains and runs on.
It is synthetic, and every number computed on it says so.
"""
