"""What the labelled tasks share: class scores and tag scores."""
