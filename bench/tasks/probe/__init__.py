"""Linear probes of audio embeddings."""
