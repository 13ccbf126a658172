"""What every training loop shares: device, run folder, checkpoints, optimiser."""
