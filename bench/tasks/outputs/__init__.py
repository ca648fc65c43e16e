"""Outputs in files, scored against what is true: nobody needs the model or the audio."""
