"""What models say of clips and texts, computed once and stored."""
