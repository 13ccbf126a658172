"""From a folder of paintings to batches: scan, decode, pack, sample, augment."""
