"""Executes one notebook in place through its kernel; one JSON line a cell on standard output.

The file is replaced in one go, and only when every cell has run.
"""
import json
import os
import sys

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

CELL_TIMEOUT_SECONDS = 1800


def main(path: str) -> int:
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    done = 0

    def report(title: str) -> None:
        print(json.dumps({"done": done, "total": len(cells), "title": title}), flush=True)

    def started(cell, cell_index) -> None:
        if cell.cell_type == "code":
            report(cell.source.strip().split("\n")[0][:60])

    def finished(cell, cell_index, execute_reply) -> None:
        nonlocal done
        done += 1
        report("")

    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_SECONDS,
        kernel_name="tslab",
        # How text was cut into messages says nothing.
        coalesce_streams=True,
        resources={"metadata": {"path": os.path.dirname(os.path.abspath(path))}},
        on_cell_start=started,
        on_cell_executed=finished,
    )
    try:
        client.execute()
    except CellExecutionError as error:
        print(f"{path}: code cell {done} of {len(cells)} failed:\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{path}: interrupted", file=sys.stderr)
        return 130
    # Times of day change at every run and say nothing.
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    temporary = f"{path}.{os.getpid()}.tmp"
    nbformat.write(notebook, temporary)
    os.replace(temporary, path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
