"""What Python's safetensors and numpy read from a file, as JSON: the metadata; dtype, shape and SHA-256 of each tensor."""
import hashlib
import json
import sys

from safetensors import safe_open

with safe_open(sys.argv[1], framework="np") as file:
    tensors = {name: file.get_tensor(name) for name in file.keys()}
    print(json.dumps({
        "metadata": file.metadata(),
        "tensors": {name: {"dtype": str(tensor.dtype), "shape": list(tensor.shape), "sha256": hashlib.sha256(tensor.tobytes()).hexdigest()} for name, tensor in tensors.items()},
    }))
