"""DeepCache (Ma et al., CVPR 2024; PyPI DeepCache) in diffusers on the embedded model: the peer of bench/caching.

usage: python bench/deepcache.py [STEPS]
needs torch, diffusers, transformers, DeepCache. Same weights, noise, solver and spacing as bench/results/study-STEPS.json,
on the first batch of its reporting half; each arm is timed beside a plain run. Writes
bench/results/deepcache-STEPS.json and .md.
"""
import json
import os
import sys
import time

import diffusers
import numpy
import torch
from DeepCache import DeepCacheSDHelper
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 20
with open(f"bench/results/study-{steps}.json") as file:
    study = json.load(file)
half = len(study["trajectories"]) // 2
trajectories = study["trajectories"][half : half + study["batch"]]
PLAIN = {20: [8, 10, 12, 14, 16, 18, 20], 50: [16, 20, 25, 30, 40, 50]}[steps]

diffusers.utils.logging.set_verbosity_error()
pipe = StableDiffusionPipeline.from_pretrained("models/fluent-ldm", torch_dtype=torch.float32, safety_checker=None)
pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config, timestep_spacing="trailing")
pipe.set_progress_bar_config(disable=True)


def run(count):
    started = time.perf_counter()
    generators = [torch.Generator().manual_seed(each["seed"]) for each in trajectories]
    latents = pipe([each["prompt"] for each in trajectories], num_inference_steps=count, guidance_scale=5.0, generator=generators, output_type="latent").images
    return latents.flatten(1), time.perf_counter() - started


converged, _ = run(200)


def distances(latents):
    return ((latents - converged).norm(dim=1) / converged.norm(dim=1)).tolist()


results = []
for count in PLAIN:
    latents, seconds = run(count)
    results.append({"arm": f"plain {count}", "seconds": seconds, "speedup": run(steps)[1] / seconds, "distances": distances(latents)})
helper = DeepCacheSDHelper(pipe=pipe)
for interval in (2, 3):
    for branch in (0, 1):
        helper.set_params(cache_interval=interval, cache_branch_id=branch)
        plain_seconds = run(steps)[1]
        helper.enable()
        latents, seconds = run(steps)
        helper.disable()
        results.append({"arm": f"DeepCache interval {interval}, branch {branch}", "seconds": seconds, "speedup": plain_seconds / seconds, "distances": distances(latents)})

mean = lambda values: sum(values) / len(values)
own = mean(next(each["distances"] for each in results if each["arm"] == f"plain {steps}"))
plain = sorted([each for each in results if each["arm"].startswith("plain")], key=lambda each: -each["speedup"])


def at_equal_latency(each):
    """Distance ÷ that of plain sampling which takes as long, interpolated as src/quality/equalLatency.ts does."""
    latency, latencies = 1 / each["speedup"], [1 / run["speedup"] for run in plain]
    if each in plain or not latencies[0] <= latency <= latencies[-1]:
        return "–"
    equal = [numpy.exp(numpy.interp(latency, latencies, numpy.log(own))) for own in zip(*(run["distances"] for run in plain))]
    return f"{mean(each['distances']) / mean(equal):.2f}"


lines = [
    f"# DeepCache in diffusers, {steps} steps", "",
    f"torch {torch.__version__}, diffusers {diffusers.__version__}, {torch.get_num_threads()} threads, float32; embedded model, {len(trajectories)} prompts. Distance: relative L2 of the final latents to the 200-step solution from the same noise.", "",
    "| arm | speed-up | distance | ÷ plain's | ÷ plain's at equal latency |", "| --- | --- | --- | --- | --- |",
    *[f"| {each['arm']} | {each['speedup']:.2f} | {mean(each['distances']):.4f} | {mean(each['distances']) / own:.2f} | {at_equal_latency(each)} |" for each in results], "",
]
for ending, text in (("md", "\n".join(lines)), ("json", json.dumps({"steps": steps, "prompts": [each["prompt"] for each in trajectories], "results": results}) + "\n")):
    path = f"bench/results/deepcache-{steps}.{ending}"
    with open(f"{path}.tmp", "w") as file:
        file.write(text)
    os.replace(f"{path}.tmp", path)
print("\n".join(lines))
