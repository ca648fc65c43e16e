"""From the items of a task to scores, intervals and comparisons."""
