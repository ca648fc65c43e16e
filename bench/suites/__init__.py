"""The suites that come with Earmark, as TOML files."""
