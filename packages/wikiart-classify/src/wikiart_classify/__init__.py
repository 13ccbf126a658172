"""27 painting styles from scratch, and an honest look at class imbalance."""
