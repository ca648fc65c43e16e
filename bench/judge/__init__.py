"""From a folder of audio to pairwise judgements: plan, listening page, results."""
