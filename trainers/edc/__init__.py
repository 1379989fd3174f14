"""The EDC system: room features to energy decay curves."""
