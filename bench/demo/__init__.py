"""A folder of songs, processed by a small free model: what `earmark demo` finds and shows."""
