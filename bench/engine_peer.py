"""The PyTorch + diffusers side of bench/engine: one UNet on the CPU, timed on request.

usage: engine_peer.py UNET_FOLDER DTYPE THREADS
Reads lines from stdin: a safetensors file with `sample` and `encoder_hidden_states` is one evaluation.
Answers each with one line of JSON.
"""
import json
import sys
import time

import torch
import diffusers
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file

diffusers.utils.logging.set_verbosity_error()
folder, dtype, threads = sys.argv[1], getattr(torch, sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(threads)


def peak_bytes():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


started = time.perf_counter()
unet = UNet2DConditionModel.from_pretrained(folder, torch_dtype=dtype).eval()
print(json.dumps({"loadSeconds": time.perf_counter() - started, "torch": torch.__version__, "diffusers": diffusers.__version__}), flush=True)

inputs = {}
with torch.inference_mode():
    for line in sys.stdin:
        path = line.strip()
        if path not in inputs:
            inputs = {path: {name: tensor.to(dtype) for name, tensor in load_file(path).items()}}
        sample, context = inputs[path]["sample"], inputs[path]["encoder_hidden_states"]
        started = time.perf_counter()
        output = unet(sample, torch.tensor(601), context).sample
        seconds = time.perf_counter() - started
        size = output.double().abs().mean().item()
        print(json.dumps({"seconds": seconds, "meanAbsoluteOutput": size, "peakBytes": peak_bytes()}), flush=True)
