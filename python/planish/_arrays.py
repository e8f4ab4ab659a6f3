"""The name under which the extension looks up how arrays are made of what a caller gives."""

from planish._border import as_array, both, counting, unmasked

__all__ = ["as_array", "both", "counting", "unmasked"]
