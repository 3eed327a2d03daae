"""What keeping memory is worth on a CPU: inference and training steps under four settings.

Every setting runs in a process of its own, rounds interleaved. `python benchmarks/allocator.py`
prints the table that is committed as `benchmarks/results/allocator.txt`.
"""

import json
import os
import platform
import statistics
import subprocess
import sys

# name: (mallopt as effcc sets it, torch's large pages)
SETTINGS = {
    "the C library's defaults": (False, False),
    "large pages alone": (False, True),
    "kept memory alone": (True, False),
    "kept memory and large pages (effcc)": (True, True),
}
ROUNDS, STEPS = 3, 8
CHILD = """
import ctypes, json, resource, sys, time
keep = json.loads(sys.argv[1])
if keep:
    mallopt = ctypes.CDLL(None).mallopt
    for option, value in ((-4, 0), (-1, 2**31 - 1), (-2, 64 * 2**20)):
        assert mallopt(option, value) == 1
import torch
from torch.nn import functional as F
import effcc

torch.set_num_threads(2)
torch.manual_seed(0)
model = effcc.create("cc_b0_4e").to(memory_format=torch.channels_last)
images = torch.randn(16, 3, 224, 224).contiguous(memory_format=torch.channels_last)
labels = torch.randint(0, 1000, (16,))

def infer():
    with torch.inference_mode():
        model.eval()(images)

def train():
    model.train().zero_grad()
    F.cross_entropy(model(images), labels).backward()

found = {}
for name, step in (("inference", infer), ("training", train)):
    times = []
    for _ in range(int(sys.argv[2])):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    found[name] = times[2:]
found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(found))
"""


def main() -> None:
    times = {name: {"inference": [], "training": [], "memory": []} for name in SETTINGS}
    for _ in range(ROUNDS):
        for name, (keep, pages) in SETTINGS.items():
            environment = os.environ | {"THP_MEM_ALLOC_ENABLE": str(int(pages))}
            command = [sys.executable, "-c", CHILD, json.dumps(keep), str(STEPS)]
            done = subprocess.run(command, env=environment, capture_output=True, check=True)
            found = json.loads(done.stdout)
            times[name]["inference"] += found["inference"]
            times[name]["training"] += found["training"]
            times[name]["memory"].append(found["memory"])
    import torch

    print("cc_b0_4e at 224 px, batch 16, float32, 2 threads: median and slowest step, ms;")
    print(f"torch {torch.__version__}, {platform.platform(terse=True)}, {ROUNDS} rounds\n")
    print(f"{'':<36} {'inference':>18} {'training':>18} {'memory, MB':>11}")
    for name, found in times.items():
        cells = [
            f"{1e3 * statistics.median(found[kind]):>8.0f} {1e3 * max(found[kind]):>9.0f}"
            for kind in ("inference", "training")
        ]
        print(f"{name:<36} {cells[0]} {cells[1]} {max(found['memory']):>11.0f}")


if __name__ == "__main__":
    main()
