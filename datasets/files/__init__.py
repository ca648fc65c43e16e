"""Files: reading, writing, fetching and finding them."""
