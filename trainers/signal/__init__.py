"""One sine out of a noisy mixture of four, by an LSTM that sees one sample at a time."""
