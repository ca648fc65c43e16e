"""The run record: schema, files, look-up of scores."""
