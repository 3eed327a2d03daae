"""What the last bits of a training depend on: six steps, each in a process of its own.

`python benchmarks/bits.py` prints the table that is committed as `benchmarks/results/bits.txt`. In
its first part the hashes must be one, which `tests/test_same_bits.py` holds; in the second each
setting stands for a machine that sums in another order.
"""

import json
import os
import subprocess
import sys

SAME = {
    "": {},
    "once more": {},
    "another hash seed": {"PYTHONHASHSEED": "4242"},
    "memory that is filled when freed": {"MALLOC_PERTURB_": "3"},
    "the C library's allocator": {"EFFCC_MALLOC": "default"},
}
OTHER = {
    "two threads": {"THREADS": "2"},
    "narrower vectors in torch": {"ATEN_CPU_CAPABILITY": "avx2"},
    "narrower vectors in oneDNN": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    "narrower vectors in MKL": {"MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "no layers in C": {"EFFCC_NATIVE": "off"},
}
CHILD = """
import hashlib, io, json, os, tempfile
from pathlib import Path

from effcc.train import process
process.keep_memory()
import torch
from rich.console import Console

import effcc
from effcc.ground.home import Home
from effcc.train import run

torch.set_num_threads(int(os.environ.get("THREADS", "1")))
settings = {"recipe.epochs": 1, "recipe.warmup_epochs": 0, "data.workers": 0, "seed": 1,
            "trainer.accelerator": "cpu", "trainer.num_sanity_val_steps": 0,
            "trainer.limit_train_batches": 6, "trainer.limit_val_batches": 2}
spec, source = run.prepare(effcc.load("cc_pico_4e", source="digits", settings=settings))
with tempfile.TemporaryDirectory() as folder:
    home = Home(Path(folder).resolve())
    record = run.fit(spec, source, home, Console(file=io.StringIO()), "bits")
    saved = torch.load(home.root / record.checkpoint["path"], weights_only=True)
weights = hashlib.sha256()
for part in ("state_dict", "current_model_state"):
    for name, tensor in sorted(saved[part].items()):
        weights.update(name.encode() + tensor.contiguous().numpy().tobytes())
device = record.device
print(json.dumps([weights.hexdigest()[:12], record.metrics["loss"].value, device]))
"""


def main() -> None:
    """Run all of them, and print a row of each."""
    device = once({})[2]
    print(f"{device['name']}, {device.get('model', '')}, {device['instructions']}, one thread\n")
    print(f"{'':<34}{'weights':<14}loss on the test images")
    for name, settings in SAME.items():
        row(name, *once(settings)[:2])
    print()
    for name, settings in OTHER.items():
        row(name, *once(settings)[:2])


def once(settings: dict[str, str]) -> list:
    """Train under a setting: the weights' hash, the loss, the processor."""
    ran = subprocess.run(
        [sys.executable, "-c", CHILD],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return json.loads(ran.stdout.splitlines()[-1])


def row(name: str, weights: str, loss: float) -> None:
    """Print one."""
    print(f"{name:<34}{weights:<14}{loss:.9g}", flush=True)


if __name__ == "__main__":
    main()
