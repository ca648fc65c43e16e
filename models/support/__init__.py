"""What adapters share: texts, crops, pretrained and exported weights, tokenisers."""
