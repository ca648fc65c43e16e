"""What is left behind: the run record, and the pages rendered from it."""
