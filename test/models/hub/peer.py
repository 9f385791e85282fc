"""Python's huggingface_hub, to compare ours with (peer.test.ts); settings come from the environment.

    read <id>     offline: what it finds of a model in the cache, as JSON
    fill <id>     downloads a model into the cache; prints the folder
    settings      for each environment in a JSON list on stdin: endpoint, cache, token, offline
    sample <id>   offline, with diffusers: loads the pipeline, prints its parameters
"""
import hashlib
import importlib
import json
import os
import sys

import huggingface_hub
from huggingface_hub import constants

command, *rest = sys.argv[1:]
if command == "fill":
    print(huggingface_hub.snapshot_download(rest[0]))
elif command == "read":
    folder = huggingface_hub.snapshot_download(rest[0])
    files = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.relpath(os.path.join(parent, name), folder)
            with open(huggingface_hub.hf_hub_download(rest[0], path), "rb") as file:
                files[path] = hashlib.sha256(file.read()).hexdigest()
    scan = huggingface_hub.scan_cache_dir()
    [repo] = scan.repos
    [revision] = repo.revisions
    print(json.dumps({"version": huggingface_hub.__version__, "folder": folder, "files": files, "warnings": [str(each) for each in scan.warnings], "repo": repo.repo_id, "commit": revision.commit_hash, "refs": sorted(revision.refs), "bytes": repo.size_on_disk}))
elif command == "settings":
    found = []
    for variables in json.load(sys.stdin):
        os.environ.clear()
        os.environ.update(variables)
        importlib.reload(constants)
        found.append({"endpoint": constants.ENDPOINT, "cacheFolder": constants.HF_HUB_CACHE, "token": huggingface_hub.get_token(), "offline": constants.HF_HUB_OFFLINE})
    print(json.dumps(found))
elif command == "sample":
    import torch
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(rest[0])
    print(sum(parameter.numel() for parameter in pipe.unet.parameters()))
