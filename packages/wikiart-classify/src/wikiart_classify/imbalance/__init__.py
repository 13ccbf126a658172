"""Class imbalance: the methods by name, their losses and sampling, and how a trained network is rebalanced."""
