"""What `effcc audit` looks at: settings and records of any shape, which may lead anywhere."""

import json
import os

from fuzz import answers, project
from fuzz import shapes as of
from hypothesis import strategies as st

from effcc import audits
from effcc.catalog import reach
from effcc.ground.words import in_a_line

LONGEST = 20_000
TOKENS = [*of.TOKENS, b'"profiles"', b'"settings"', b'"trainer"', b'"class_path"', b"pipe:", b"../"]


def prepare(folder):
    """A project around the file, or what is sought would be outside."""
    global HOME
    HOME = project.laid(folder)
    os.environ["EFFCC_HOME"] = str(HOME.root)


def seeds():
    """A record, and settings that lead somewhere."""
    trainer = {"logger": ["csv", '{"class_path": "x.Y"}'], "default_root_dir": "/x"}
    data = {"source": "digits", "train": ["a.tar", "pipe:true"]}
    made = {"trainer": trainer, "data": data, "recipe": {"pretrained": "../x.pth"}}
    found = [made, {"settings": made}, {"profiles": {"imagenet": made}}, {"profiles": 5}]
    return [*(json.dumps(one).encode() for one in found), project.short(project.RECORDS["fit"])]


def shapes():
    """Settings some of whose values are others, and texts that are nearly so."""
    names = ["settings", "profiles", "trainer", "data", "recipe", "logger", "class_path", "train"]
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(names),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(names) | st.text(max_size=5), inner, max_size=4)
        ),
        max_leaves=12,
    )
    return values.map(lambda value: json.dumps(value).encode()) | of.edited(seeds())


def run(text, folder):
    """The leads of a file of JSON, each with a place and a verdict that is its kind's."""
    path = folder / "s.json"
    path.write_bytes(text)
    for lead in audits._in_file(path):
        assert isinstance(lead, reach.Lead)
        assert lead.kind in ("import", "run", "read", "write", "connect")
        assert lead.why or lead.kind != "run"  # nobody typed it
        answers.printed(in_a_line(f"{lead.place}: {lead.key}: {lead.name} {lead.means}"))
        json.dumps(audits._as_data(lead))
