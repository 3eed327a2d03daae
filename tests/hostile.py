"""Variants that say something hostile wherever a file or a record may say anything."""

import json
from dataclasses import replace

from records import bench, record, routing

from effcc.catalog import results, routings, timings

ANOTHER_DAY = "20260201T120000Z-fit-digits-1"
# Each calls `hit()` or fetches from elsewhere if anything of it becomes more than words.
PAYLOADS = (
    "<script>hit()</script>",
    "<ScRiPt >hit()</sCrIpT>",
    "<script src=https://elsewhere.invalid/x.js></script>",
    "</script><script>hit()</script>",
    '"</script><script>hit()</script>',
    "<img src=x onerror=hit()>",
    "<img src=https://elsewhere.invalid/x.png>",
    "<svg onload=hit()>",
    "<svg><script>hit()</script></svg>",
    "</svg><img src=x onerror=hit()>",
    "</title><script>hit()</script>",
    "</style><script>hit()</script>",
    "</textarea><script>hit()</script>",
    "</td></tr></table><script>hit()</script>",
    "</code></pre><script>hit()</script>",
    "</details></summary><script>hit()</script>",
    "<iframe src=javascript:parent.hit()></iframe>",
    "<iframe srcdoc='<script>parent.hit()</script>'></iframe>",
    "<object data=https://elsewhere.invalid/x></object>",
    "<link rel=stylesheet href=https://elsewhere.invalid/x.css>",
    "<style>@import 'https://elsewhere.invalid/x.css';</style>",
    "<meta http-equiv=refresh content=0;url=https://elsewhere.invalid/>",
    "<base href=https://elsewhere.invalid/>",
    "<body onpageshow=hit()>",
    "<details open ontoggle=hit()>",
    "<input autofocus onfocus=hit()>",
    "<a href=javascript:hit()>x</a>",
    '" autofocus onfocus=hit() x="',
    "' onmouseover=hit() x='",
    "<!-- --><script>hit()</script><!-- -->",
    "--><script>hit()</script>",
    "--!><script>hit()</script>",
    "<![CDATA[<script>hit()</script>]]>",
    "<math><mtext><script>hit()</script></mtext></math>",
    "![x](https://elsewhere.invalid/x.png)",
    "![x][y]",
    "[x](javascript:hit())",
    "<javascript:hit()>",
    "[x]: https://elsewhere.invalid/",
    "{: onclick=hit() autofocus onfocus=hit() }",
    "x {: onfocus=hit() autofocus tabindex=0 }",
    "{{ config.theme.get_env().globals }} {{ 7 * 7 }}",
    "{% include '../mkdocs.yml' %}",
    "{# comment #} {% raw %}",
    "--8<-- '/etc/passwd'",
    "::: effcc.cli",
    "[TOC] [[x]] :smile: ^^x^^ ~~x~~ ==x==",
    "```\nout\n```\n<script>hit()</script>",
    "``` { .x onclick=hit() }",
    '=== "tab"\n\n    <script>hit()</script>',
    "\u202e<script>)(tih</script>\u202c bidi \u2066isolate\u2069",
    "zero\u200bwidth\u200d <script\u200b>hit()</script>",
    "\ufeff<script>hit()</script>",
    "tab\tand line\nand <script>hit()</script>",
    "\uff1cscript\uff1ehit()\uff1c/script\uff1e \u02ba onfocus=hit() \u02ba",
    "&lt;script&gt;hit()&lt;/script&gt; &#60;script&#62;hit()&#60;/script&#62;",
    "\\u003cscript\\u003ehit()\\u003c/script\\u003e \\x3cscript\\x3ehit()",
    "x' + hit() + 'x `${hit()}`",
)


def write(home, name, text):
    """A variant of the project with an entry and records, that says `text` in all of them."""
    quoted = json.dumps(text, ensure_ascii=False)
    reason = json.dumps(f"{text} and more words", ensure_ascii=False)
    # An arrow would end the comment that the entry stands in.
    kept = quoted.replace("<", "\\u003c").replace(">", "\\u003e")
    page = ENTRY % {"name": name, "text": kept, "line": " ".join(text.split())}
    (home.model_index / f"{name}.md").write_text(page, "utf-8")
    (home.registry / f"{name}.yaml").write_text(
        f"model: {name}\nextends: condconv\nnetwork: {{experts: 2, width: 0.25}}\n"
        f"summary: {quoted}\ndisputes: "
        f"{{FLOPs: {{claimed: {quoted}, reason: {reason}}}, "
        f"Citation: {{claimed: “Other” in its BibTeX, reason: {reason}}}}}\n",
        "utf-8",
    )
    made = record(home, name)
    made = replace(
        made,
        command=text,
        dataset=replace(made.dataset, title=text, split=text),
        device={"kind": text, "count": 1, "name": text, "threads": 2},
        versions={"torch": text},
        git={"commit": text, "dirty": True},
    )
    results.save(made, home)
    overrides = {"recipe.lr": text, text: 1}
    results.save(replace(made, id=ANOTHER_DAY, overrides=overrides), home)
    said = {"kind": "cpu", "count": 1, "name": text, "threads": 2, "cores": text}
    timed = bench(home, name, command=text, device=said, versions={"torch": text})
    timings.save(replace(timed, git={"commit": text, "dirty": True}), home)
    routed = routing(home, name, command=text, device=said, versions={"torch": text})
    data = replace(routed.dataset, title=text)
    by = replace(routed, dataset=data, git={"commit": text, "dirty": True}, measured_by=text)
    routings.save(by, home)


ENTRY = """\
# Page

```bibtex
@misc{a,
  title = {Other},
  note  = {%(line)s}
}
```

<!--
Type: model-index
Collections:
- Name: %(text)s
  README: %(text)s
  Paper: {Title: %(text)s, URL: https://e.org/paper}
Models:
- Name: %(name)s
  In Collection: %(text)s
  Weights: https://e.org/weights.pth
  Metadata:
    § free: %(text)s
    Tasks: [%(text)s]
    FLOPs: 5
    LR: 0.016
    Epochs: 350
    Crop Pct: '0.875'
    Momentum: 0.9
    Batch Size: 256
    Image Size: '224'
    Weight Decay: 1.0e-05
    Interpolation: bicubic
    RMSProp Decay: 0.9
    Label Smoothing: 0.1
    BatchNorm Momentum: 0.99
  Results:
  - {Task: %(text)s, Dataset: %(text)s, Metrics: {%(text)s: %(text)s}}
  - {Task: t, Dataset: ImageNet, Metrics: {Top 1 Accuracy: %(text)s}}
-->
"""
