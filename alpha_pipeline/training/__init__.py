"""Walk-forward training: periods and purging, batches, losses, the one training loop, scoring, ensembles, checkpoints."""
