"""Paintings in style folders: scanned, packed once, batched on the device, sampled evenly; runs that survive a kill."""
