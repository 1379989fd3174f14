"""Parts that several trainers share: schedule, precision, gradients, progress, checkpoints."""
