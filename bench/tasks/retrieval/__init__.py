"""Text-to-audio and audio-to-text retrieval."""
