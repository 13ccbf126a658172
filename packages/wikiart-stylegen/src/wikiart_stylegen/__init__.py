"""The autoencoder conditioned on trained style embeddings."""
