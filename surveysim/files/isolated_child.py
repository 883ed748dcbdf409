"""What runs in the child process of `isolated`: one call of pyreadstat, without pandas and without surveysim, within limits."""

from __future__ import annotations

import json
import sys
from typing import Any

FACTS = (
    "column_names", "column_names_to_labels", "readstat_variable_types", "missing_ranges", "missing_user_values", "variable_to_label",
    "number_rows", "file_encoding", "mr_sets",
)  # fmt: skip


def main() -> None:
    """Read a request from standard input, and write what pyreadstat gives, or says, to standard output."""
    asked = json.load(sys.stdin)
    _limit(asked["memory"], asked["seconds"])
    sys.stdout.write(json.dumps(answer(asked["function"], asked["path"], asked["options"])))  # ten times as quick as json.dump


def answer(function: str, path: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return columns and metadata as plain values; value labels as pairs, for their codes are numbers too."""
    import pyreadstat

    try:
        columns, meta = getattr(pyreadstat, function)(path, output_format="dict", **options)
    except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError) as error:
        return {"error": type(error).__name__, "text": str(error)}
    labels = {name: list(labels.items()) for name, labels in meta.variable_value_labels.items()}
    facts = {name: getattr(meta, name) for name in FACTS}
    return {"columns": columns, "labels": labels, "sets": list(meta.value_labels), "facts": facts}


def _limit(memory: int, seconds: int) -> None:
    try:
        import resource
    except ImportError:  # Windows: the parent's patience is the limit
        return
    for what, limit in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(what, (limit, limit))


if __name__ == "__main__":
    main()
