"""Classification and tagging by prompts."""
