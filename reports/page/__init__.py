"""Pages: what stands in a report, in which order."""
