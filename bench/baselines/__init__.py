"""What runs are held against: for each suite a baseline ``<suite>/`` and its policy."""
