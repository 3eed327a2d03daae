"""Entries of a model-index that hypothesis draws, plain and nasty ones."""

from hypothesis import strategies as st

from effcc.claims.claim import Claim, Collection, Fact, Paper, Result
from effcc.ground.document import parse

words = st.sampled_from(
    [
        *("-->", "--", "---", "...", "-", "'", '"', "\\", ":", ": ", " #", "|", "[", "}", ",", "%"),
        *("1e5", "1e-5", "010", "0x1F", "1.5", ".5", "no", "~", "null", " ", "\n", "\t", "é", "😀"),
        *("77.3%", "not stated", "other", "owner/name", "\u2028", "\x85", "\ufeff", "\x00"),
    ]
)
nasty = st.lists(words | st.text(max_size=4), min_size=1, max_size=4).map("".join)
nasty = nasty.filter(lambda text: 0 < len(text) <= 60)
plain = st.sampled_from(["0.10", "1e-5", "1.0e-05", "010", "5.", "-0.5", "77", "1E+5"])
percents = st.sampled_from(["77.32%", "77.30 %", "0%", "100%", "-0.05%", "1e1%", "%"])
numbers = plain.map(lambda text: Fact(parse(text).data, text))
texts = (nasty | percents).map(lambda text: Fact(text, text))
lists = st.lists(nasty, max_size=2).map(lambda items: Fact(tuple(items), ""))
figures = numbers | texts | lists | st.just(Fact(True, "true"))
PAPER = "https://arxiv.org/abs/1904.04971"
NO_PAPER = "https://example.org/a--b"
papers = st.lists(
    st.builds(Paper, st.none() | nasty, st.sampled_from([None, PAPER, NO_PAPER])), max_size=2
).map(tuple)
# What a result keeps of the Hub's words; types and names are there where they do not follow.
of_dataset = st.fixed_dictionaries(
    {}, optional={"config": nasty, "split": nasty, "revision": nasty, "args": st.just({"a": [1]})}
)
of_source = st.fixed_dictionaries(
    {"url": st.sampled_from([NO_PAPER, PAPER])}, optional={"name": nasty}
)
of_metric = st.fixed_dictionaries(
    {}, optional={"config": nasty, "args": st.just({"k": "v"}), "verified": st.booleans()}
)
metrics = st.dictionaries(nasty, figures | st.just(Fact(None, "null")), max_size=3)


@st.composite
def results(draw, kept=True):
    found = draw(metrics)
    extra = draw(st.dictionaries(nasty, nasty, max_size=1))
    if kept and draw(st.booleans()):
        there = [name for name, fact in found.items() if fact.data is not None]
        of_metrics = {name: words for name in there if (words := draw(of_metric))}
        hub = {"dataset": draw(of_dataset), "metrics": of_metrics}
        hub |= draw(st.fixed_dictionaries({}, optional={"source": of_source}))
        hub = {key: part for key, part in hub.items() if part}
        extra |= {"Hugging Face": hub} if hub else {}
    return Result(draw(st.just("") | nasty), draw(st.just("") | nasty), found, extra)


entry = {
    "name": nasty,
    "papers": papers,
    "metadata": st.dictionaries(nasty, figures, max_size=2),
    "code": st.none() | st.just(NO_PAPER),
    "code_version": st.none() | st.just("v1"),
    "weights": st.lists(st.just(NO_PAPER), max_size=2).map(tuple),
    "readme": st.none() | nasty,
    "results": st.lists(results(), max_size=3).map(tuple),
    "extra": st.dictionaries(nasty, nasty, max_size=1),
}
collections = st.builds(Collection, **entry)
claims = st.builds(
    Claim,
    **entry,
    collection=st.none() | collections,
    bibtex=st.lists(nasty, max_size=1).map(tuple),
)


def leaves(claim):
    """Every value of a claim and its collection, by its key; a model without results has theirs."""
    model, theirs = f"Models.{claim.name}", claim.collection
    yield f"{model}.Name", claim.name
    yield from numbered_keys(f"{model}.BibTeX", claim.bibtex)
    yield from _of_entry(model, claim)
    yield from _of_results(model, claim.results)
    if theirs:
        yield f"{model}.In Collection", theirs.name
        yield from _of_entry(f"Collections.{theirs.name}", theirs)
        whose = f"Collections.{theirs.name}" if claim.results else model
        yield from _of_results(whose, theirs.results)


def numbered_keys(path, items):
    return ((f"{path}[{number}]", item) for number, item in enumerate(items))


def _of_entry(path, entry):
    for number, paper in enumerate(entry.papers):
        yield from ((f"{path}.Paper[{number}]", text) for text in (paper.title, paper.url) if text)
    yield from ((f"{path}.Metadata.{key}", fact.text) for key, fact in entry.metadata.items())
    yield from numbered_keys(f"{path}.Weights", entry.weights)
    yield from ((f"{path}.{key}", text) for key, text in entry.extra.items())
    said = {"Code": entry.code, "Code.Version": entry.code_version, "README": entry.readme}
    yield from ((f"{path}.{key}", text) for key, text in said.items() if text)


def _of_results(path, results):
    for here, result in numbered_keys(f"{path}.Results", results):
        yield f"{here}.Task", result.task
        yield f"{here}.Dataset", result.dataset
        yield from ((f"{here}.Metrics.{key}", fact.text) for key, fact in result.metrics.items())
        yield from ((f"{here}.{key}", text) for key, text in result.extra.items())


def unaccounted(claim, converted):
    """The keys of values that are neither in the text nor on the list."""
    lost = [problem.key for problem in converted.lost]
    return [
        path
        for path, text in leaves(claim)
        if text not in converted.text
        and not any(path == key or path.startswith((key + ".", key + "[")) for key in lost)
    ]


@st.composite
def numbered(draw):
    """A claim in which every value is unlike any other."""
    count = iter(range(1000, 100000))
    word = st.builds(lambda: f"w{next(count)}w")
    link = st.builds(lambda: f"https://example.org/{next(count)}/")
    figure = st.sampled_from(["{}.5%", "x{}x"]).map(lambda kind: kind.format(next(count)))
    fact = figure.map(lambda text: Fact(text, text))
    result = st.builds(
        Result,
        word | st.just("owner/name"),
        word | st.builds(lambda: f"owner/w{next(count)}w"),
        st.dictionaries(word, fact | st.just(Fact(None, "null")), max_size=2),
        st.dictionaries(word, word, max_size=1),
    )
    kind = {
        "name": word,
        "papers": st.lists(st.builds(Paper, st.none() | word, st.none() | link), max_size=2),
        "metadata": st.dictionaries(word, fact, max_size=2),
        "code": st.none() | link,
        "code_version": st.none() | word,
        "weights": st.lists(link, max_size=2),
        "readme": st.none() | word,
        "results": st.lists(result, max_size=2),
        "extra": st.dictionaries(word, word, max_size=1),
    }
    kind = {key: part.map(tuple) if key in LISTS else part for key, part in kind.items()}
    theirs = st.none() | st.builds(Collection, **kind)
    citations = st.lists(word, max_size=1).map(tuple)
    return draw(st.builds(Claim, **kind, collection=theirs, bibtex=citations))


LISTS = ("papers", "weights", "results")
