"""How torch's threads wait for each other: training steps alone and beside another busy process.

Every setting runs in a process of its own, rounds interleaved. `python benchmarks/waiting.py`
prints the table that is committed as `benchmarks/results/waiting.txt`.
"""

import json
import os
import platform
import statistics
import subprocess
import sys

POLICIES = {"threads spin (the default)": "", "threads sleep (PASSIVE)": "PASSIVE"}
ROUNDS, STEPS = 3, 15
BUSY = "while True: pass"
CHILD = """
import json, sys, time
from effcc.train import process
process.keep_memory()
import torch
from torch.nn import functional as F
import effcc

torch.manual_seed(0)
model = effcc.create("cc_pico_4e", num_classes=10).to(memory_format=torch.channels_last)
images = torch.randn(64, 3, 32, 32).contiguous(memory_format=torch.channels_last)
labels = torch.randint(0, 10, (64,))
times = []
for _ in range(int(sys.argv[1])):
    start = time.perf_counter()
    model.zero_grad()
    F.cross_entropy(model(images), labels).backward()
    times.append(time.perf_counter() - start)
print(json.dumps(times[2:]))
"""


def steps(policy: str) -> list[float]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    environment |= {"OMP_WAIT_POLICY": policy} if policy else {}
    command = [sys.executable, "-c", CHILD, str(STEPS)]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    alone: dict[str, list[float]] = {name: [] for name in POLICIES}
    beside: dict[str, list[float]] = {name: [] for name in POLICIES}
    for _ in range(ROUNDS):
        for name, policy in POLICIES.items():
            alone[name] += steps(policy)
            busy = subprocess.Popen([sys.executable, "-c", BUSY])
            try:
                beside[name] += steps(policy)
            finally:
                busy.kill()
                busy.wait()
    import torch

    print("cc_pico_4e at 32 px, batch 64, forward and backward, all cores: median and slowest, ms;")
    print(f"torch {torch.__version__}, {platform.platform(terse=True)}, {os.cpu_count()} cores\n")
    print(f"{'':<28} {'alone':>18} {'beside another':>18}")
    for name in POLICIES:
        cells = [
            f"{1e3 * statistics.median(found):>8.0f} {1e3 * max(found):>9.0f}"
            for found in (alone[name], beside[name])
        ]
        print(f"{name:<28} {cells[0]} {cells[1]}")


if __name__ == "__main__":
    main()
