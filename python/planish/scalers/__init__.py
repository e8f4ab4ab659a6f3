"""The scalers: scikit-learn's, per channel of arrays of any shape."""
