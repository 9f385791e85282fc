"""Executes one notebook in place through its kernel; progress is JSON lines on standard output.

The file is replaced in one go, and only when every cell has run. What has no bearing on the results is left out:
times of day, and addresses of servers that end with the kernel. Cells with the tag "times" show how long something
took, which differs at every run: they keep the outputs that they have for their source, unless --times asks for new ones.
"""
import hashlib
import json
import os
import re
import sys

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

CELL_TIMEOUT_SECONDS = 1800


# The explorer and inputs: which port was free, and a token that nothing answers to any more.
SERVER = re.compile(r"http://127\.0\.0\.1:\d+(/\?token=[\w-]+)?")
ENDED = {True: "http://127.0.0.1:0/?token=", False: "http://127.0.0.1:0"}


def digest(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def without_addresses(value):
    """Any JSON of an output, with the addresses of servers that have ended replaced by one that is always the same."""
    if isinstance(value, str):
        return SERVER.sub(lambda found: ENDED[found[1] is not None], value)
    if isinstance(value, list):
        return [without_addresses(each) for each in value]
    if isinstance(value, dict):
        return nbformat.from_dict({key: without_addresses(each) for key, each in value.items()})
    return value


def timed_outputs(cells) -> dict:
    """The outputs of cells with times, by cell, where they were made by the present source."""
    return {
        cell.id: cell.outputs
        for cell in cells
        if "times" in cell.metadata.get("tags", []) and cell.metadata.get("timed") == digest(cell.source) and cell.outputs
    }


def main(path: str, new_times: bool) -> int:
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    done = 0
    kept = {} if new_times else timed_outputs(cells)

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
        # How text was split into messages depends on timing alone.
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
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    for cell in cells:
        cell.outputs = kept.get(cell.id) or [without_addresses(output) for output in cell.outputs]
        if "times" in cell.metadata.get("tags", []):
            cell.metadata["timed"] = digest(cell.source)
    temporary = f"{path}.{os.getpid()}.tmp"
    nbformat.write(notebook, temporary)
    os.replace(temporary, path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], new_times="--times" in sys.argv[2:]))
