"""The EEG system: a probe on the features of a frozen encoder, by subject."""
