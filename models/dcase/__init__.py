"""The baseline of DCASE 2022 task 6b, language-based audio retrieval, and its contrastive twin."""
