"""An autoencoder for paintings, its codes, and whether styles cluster in them. Not built yet."""
