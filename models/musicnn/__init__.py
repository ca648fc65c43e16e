"""The musicnn taggers of Pons and Serra (ISMIR 2019 late-breaking), in PyTorch."""
