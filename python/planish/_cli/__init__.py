"""The command line: `planish stats` and `planish apply`.

| module | what it does |
|---|---|
| `commands` | the commands and their options |
| `sources` | files to batches of elements: pictures, arrays, tables |
| `survey` | batches in parallel to statistics in the order of the files; checkpoints |
| `report` | statistics as a table, as lines to paste, as JSON |
| `apply` | an array larger than memory through saved statistics |
"""


def main() -> None:
    """Run the command line, or say what it needs."""
    try:
        from planish._cli.commands import planish
    except ImportError as error:
        raise SystemExit(
            f"the planish command needs the package {error.name}: pip install 'planish[cli]' installs it"
        ) from None
    planish()
