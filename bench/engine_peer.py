"""The PyTorch + diffusers side of bench/engine and bench/gpu: one UNet, timed on request.

usage: engine_peer.py UNET_FOLDER DTYPE THREADS [--device cuda] [--compile]
Reads lines from stdin: a safetensors file with `sample` and `encoder_hidden_states` (and, for SDXL, `text_embeds`
and `time_ids`) is one evaluation. Answers each with one line of JSON.
"""
import argparse
import json
import resource
import sys
import time

import torch
import diffusers
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file

diffusers.utils.logging.set_verbosity_error()
parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("dtype")
parser.add_argument("threads", type=int)
parser.add_argument("--device", default="cpu")
parser.add_argument("--compile", action="store_true")
options = parser.parse_args()
dtype, device = getattr(torch, options.dtype), options.device
torch.set_num_threads(options.threads)
if device == "cuda" and not torch.cuda.is_available():
    sys.exit(f"torch {torch.__version__} finds no CUDA device")


def peak_bytes():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def finish():
    """CUDA computes while Python goes on: wait for it."""
    if device == "cuda":
        torch.cuda.synchronize()


started = time.perf_counter()
unet = UNet2DConditionModel.from_pretrained(options.folder, torch_dtype=dtype).eval().to(device)
if options.compile:
    unet = torch.compile(unet)
finish()
name = f" on {torch.cuda.get_device_name()}" if device == "cuda" else ""
versions = f"torch {torch.__version__}{name}, diffusers {diffusers.__version__}"
print(json.dumps({"loadSeconds": time.perf_counter() - started, "versions": versions}), flush=True)

inputs = {}
timestep = torch.tensor(601, device=device)
with torch.inference_mode():
    for line in sys.stdin:
        path = line.strip()
        if path not in inputs:
            inputs = {path: {name: tensor.to(device, dtype) for name, tensor in load_file(path).items()}}
        given = dict(inputs[path])
        sample, context = given.pop("sample"), given.pop("encoder_hidden_states")
        finish()
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        started = time.perf_counter()
        output = unet(sample, timestep, context, added_cond_kwargs=given or None).sample
        finish()
        seconds = time.perf_counter() - started
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
        size = output.double().abs().mean().item()
        print(json.dumps({"seconds": seconds, "meanAbsoluteOutput": size, "peakBytes": peak_bytes(), "pageFaults": faults}), flush=True)
