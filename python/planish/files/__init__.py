"""Objects in files: versioned JSON."""
