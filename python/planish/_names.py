"""Names that a module does not have."""

from collections.abc import Sequence


def no_attribute(module: str, names: Sequence[str], name: str) -> AttributeError:
    """Make the error for `name`, which suggests what of `names` may have been meant."""
    message = f"module {module!r} has no attribute {name!r}"
    if not name.startswith("_"):  # what asks for those asks many modules
        from difflib import get_close_matches

        known = {known.lower(): known for known in names}
        close = get_close_matches(name.lower(), known, 1, 0.7)
        message += f"; did you mean {known[close[0]]}?" if close else ""
    # With a name and no object, Python adds no suggestion of its own.
    return AttributeError(message, name=name)
