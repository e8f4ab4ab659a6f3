"""A scaler for each group of samples."""
