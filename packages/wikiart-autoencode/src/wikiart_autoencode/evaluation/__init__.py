"""How good reconstructions are, and what codes know of style: metrics, probes, baselines."""
