"""The command line: `planish stats` and `planish apply`.

| module | what it does |
|---|---|
| `commands` | the commands and their options |
| `sources` | files to batches of elements: pictures, arrays, tables |
| `survey` | batches in parallel to statistics in the order of the files; checkpoints |
| `report` | statistics as a table, as lines to paste, as JSON |
| `apply` | an array larger than memory through saved statistics |
"""

import os
from importlib.util import find_spec


def main() -> None:
    """Run the command line, or say what it needs."""
    for package in ("click", "rich", "PIL", "nanoarrow"):
        if find_spec(package) is None:
            raise SystemExit(f"the planish command needs the package {package}: pip install 'planish[cli]' installs it")
    # NumPy's own threads: nothing here has work for them, and starting them takes a while.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from planish.cli.commands import planish

    planish()
