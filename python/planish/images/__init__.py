"""Pictures: from decoded pixels to the input of a network."""
