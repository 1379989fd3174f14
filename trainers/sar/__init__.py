"""The SAR system: autoencoders that compress radar images."""
