"""The autoencoder conditioned on trained style embeddings. Not built yet."""
