"""A project of one variant in a folder, for targets that read a project's files."""

import json
import shutil

import records
from fuzz.shapes import ROOT

from effcc.catalog import schema, seal
from effcc.ground.home import Home

VARIANT = "cc_pico_4e"
RECORDS = {
    path.name.split("-")[1]: path
    for path in sorted(ROOT.glob(f"registry/results/{VARIANT}/*.json"))
}


def laid(folder):
    """What people wrote of the variant, without records."""
    for path in ROOT.glob("effcc/catalog/schemas/*.json"):
        schema._validator(path.name.partition(".")[0])  # else when a file first does not fit
    for name in ("registry/shared", "registry/results", "model-index"):
        (folder / name).mkdir(parents=True)
    for path in ROOT.glob("registry/shared/*.yaml"):
        shutil.copy(path, folder / "registry/shared")
    shutil.copy(ROOT / "registry" / f"{VARIANT}.yaml", folder / "registry")
    for path in ROOT.glob("model-index/*.md"):
        shutil.copy(path, folder / "model-index")
    return Home(folder.resolve())


def short(path):
    """The bytes of a file; of a record without its pictures, and sealed anew."""
    if path.suffix != ".json":
        return path.read_bytes()
    record = json.loads(path.read_text("utf-8"))
    _without_pictures(record)
    return json.dumps(record | {"digest": seal.digest(record)}, ensure_ascii=False).encode()


def _without_pictures(record):
    pairs = record.items() if isinstance(record, dict) else enumerate(record)
    for key, value in list(pairs):
        if isinstance(value, dict | list):
            _without_pictures(value)
        elif isinstance(value, str) and value.startswith("data:"):
            record[key] = records.PICTURE
