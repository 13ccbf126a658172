"""The built-in base `tiny`: its networks, vocabulary and pretraining; its weights are in `weights/`."""
