"""Models of Essentia, and descriptors of the signal."""
