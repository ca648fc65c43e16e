"""What is listened to: audio decoding, and one module a dataset."""
