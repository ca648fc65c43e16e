"""From a suite to a run record."""
