"""Training: corpora decoded once into shards, batches of crops, augmentation and the trainer."""
