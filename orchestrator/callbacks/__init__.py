"""Callbacks that report from Lightning, Hugging Face's Trainer and Keras; each loads its own."""
