"""Speech: neural activity, or sound, to the phonemes that were meant. Loads no torch."""
