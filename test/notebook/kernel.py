"""A real kernel, driven by JSON lines on standard input, one answer per line: run, interrupt, restart, inspect, complete."""
import json
import os
import subprocess
import sys
import time

from jupyter_client.manager import KernelManager

ANSWER_SECONDS = 240

manager = KernelManager(kernel_name="tslab")
client = None


def connect():
    global client
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=ANSWER_SECONDS)


def output_of(message):
    content = message["content"]
    return {"type": message["msg_type"], **{key: content[key] for key in ("name", "text", "data", "ename", "evalue", "traceback") if key in content}}


def run(codes, interrupt_at=None, until=None):
    """Sends all cells at once and waits for the last; interrupts once the text `interrupt_at` is written; `until` also waits for a text that comes late."""
    ids = [client.execute(code) for code in codes]
    outputs = {id: [] for id in ids}
    idle = set()
    written = ""
    while len(idle) < len(ids) or (until is not None and until not in written):
        message = client.get_iopub_msg(timeout=ANSWER_SECONDS)
        parent = message["parent_header"].get("msg_id")
        if parent not in outputs:
            continue
        if message["msg_type"] == "status":
            if message["content"]["execution_state"] == "idle":
                idle.add(parent)
        else:
            outputs[parent].append(output_of(message))
            written += message["content"].get("text", "")
        if interrupt_at is not None and interrupt_at in written:
            manager.interrupt_kernel()
            interrupt_at = None
    return [{"status": reply_to(id)["status"], "outputs": outputs[id]} for id in ids]


def reply_to(id):
    while True:
        reply = client.get_shell_msg(timeout=ANSWER_SECONDS)
        if reply["parent_header"]["msg_id"] == id:
            return reply["content"]


def cpu_seconds():
    """Of all threads of the kernel's process, so far."""
    with open(f"/proc/{manager.provisioner.process.pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def busy():
    """The share of one core that the kernel takes, over a second."""
    before, started = cpu_seconds(), time.monotonic()
    time.sleep(1)
    return (cpu_seconds() - before) / (time.monotonic() - started)


def restart():
    client.stop_channels()
    manager.restart_kernel(now=False)
    connect()


# If the kernel inherited our pipe, Node would make it non-blocking for this process too.
manager.start_kernel(cwd=sys.argv[1], stdout=subprocess.DEVNULL)
connect()
commands = {
    "run": run,
    "interrupt": lambda: manager.interrupt_kernel(),
    "restart": restart,
    "pid": lambda: manager.provisioner.process.pid,
    "busy": busy,
    "inspect": lambda code, position: reply_to(client.inspect(code, position)),
    "complete": lambda code, position: reply_to(client.complete(code, position)),
}
print(json.dumps(None), flush=True)
for line in sys.stdin:
    command, arguments = json.loads(line)
    print(json.dumps(commands[command](**arguments)), flush=True)
client.stop_channels()
manager.shutdown_kernel()
