"""Any encoder in three lines of a suite: generic adapters, and what they have in common."""
