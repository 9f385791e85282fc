"""Interrupts a live cell, with the options given, as Jupyter's stop button does; prints what the kernel says afterwards."""
import sys
import time

from jupyter_client.manager import KernelManager

manager = KernelManager(kernel_name="tslab")
manager.start_kernel(cwd=sys.argv[1])
client = manager.client()
client.start_channels()
client.wait_for_ready(timeout=60)


def run(code, interrupt_after=None):
    printed = []
    message = client.execute(code)
    started = time.time()
    while True:
        if interrupt_after is not None and time.time() - started > interrupt_after:
            manager.interrupt_kernel()
            interrupt_after = None
        try:
            reply = client.get_iopub_msg(timeout=0.1)
        except Exception:
            if time.time() - started > 60:
                raise
            continue
        if reply["parent_header"].get("msg_id") != message:
            continue
        if reply["msg_type"] == "stream":
            printed.append(reply["content"]["text"])
        if reply["msg_type"] == "status" and reply["content"]["execution_state"] == "idle":
            return "".join(printed)


run(
    'import { live, loadPipeline } from "blockcache";\nconst pipeline = await loadPipeline("fluent-ldm");\nlet last = 0;\nlet evaluations = 0;\n'
    'const forward = pipeline.network.forward.bind(pipeline.network);\n'
    'pipeline.network.forward = (inputs, options) => { last = Date.now(); evaluations++; return forward(inputs, options); };'
)
interrupted = run(f'await live(pipeline, {{ prompt: "cat", steps: 900, {sys.argv[2]} }});\nconsole.log("ran to its end");', interrupt_after=2)
time.sleep(1)  # tslab silently skips what comes within about 200 ms of an error
first = run("console.log(`${last} ${evaluations}`);")
time.sleep(1)
second = run("console.log(`${last} ${evaluations}`);")
again = run('import { sample } from "blockcache";\nlet count = 0;\nconst go = async () => { for await (const step of sample(pipeline, { prompt: "cat", steps: 3 })) count++; };\nawait go();\nconsole.log(`${count} steps`);')
print(f"finished: {'ran to its end' in interrupted}; evaluations: {first.split()[-1:]}; still: {first == second}; then: {again.strip()}")
client.stop_channels()
manager.shutdown_kernel(now=True)
