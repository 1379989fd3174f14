"""What the machine has: GPUs, cores and RAM, read now."""
