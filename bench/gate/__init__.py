"""The gate: may this run take the place of its baseline?"""
