"""Metrics, one module a task; they import NumPy and SciPy alone."""
