"""Who listens: the adapter protocols, the registry, and one module a model."""
