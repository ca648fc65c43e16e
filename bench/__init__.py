"""The measuring: metrics, tasks, suites, the runner and the command line."""
