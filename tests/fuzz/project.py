"""A project of one variant in a folder, for targets that read a project's files."""

import shutil

from fuzz.shapes import ROOT

from effcc.ground.home import Home

VARIANT = "cc_pico_4e"
RECORDS = {
    path.name.split("-")[1]: path
    for path in sorted(ROOT.glob(f"registry/results/{VARIANT}/*.json"))
}


def laid(folder):
    """What people wrote of the variant, without records."""
    for name in ("registry/shared", "registry/results", "model-index"):
        (folder / name).mkdir(parents=True)
    for path in ROOT.glob("registry/shared/*.yaml"):
        shutil.copy(path, folder / "registry/shared")
    shutil.copy(ROOT / "registry" / f"{VARIANT}.yaml", folder / "registry")
    for path in ROOT.glob("model-index/*.md"):
        shutil.copy(path, folder / "model-index")
    return Home(folder.resolve())
