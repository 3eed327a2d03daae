"""Structured inputs that several targets share: real texts with a few things changed."""

from pathlib import Path

from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
# Words that mean something to a reader of text, or break one.
WORDS = (
    *("null", "~", "true", "no", "", "0", "-1", "1e400", ".nan", ".inf", "-.inf", "0x", "1_0"),
    *("9" * 401, "1e-5", "1" + "0" * 30, "77.32%", "5M", "1:2", "-", "--", "---", "...", "- "),
    *("? ", ": ", "&a", "*a", "<<: *a", "!!str", "!!int", "!!python/object:os.system", "!x"),
    *("%YAML 1.1", "%TAG", "{", "}", "[", "]", ",", "'", '"', "|", ">", "|2", "#", "\t", "\r"),
    *("\x00", "\x1b[2J", "\x85", "\u2028", "\ufeff", "\u202e", "\ufffe", "\\ud800", "\\u0000"),
    *('"\\ud800"', '"\\e[2J"', '"\\u2028"', '"\\n"', "\\x1b", "\\", "x\\", "C:\\x", "~/x"),
    *("../x", "/etc/passwd", "*.yml", "**", "[", "<script>", "-->", "<!--", "`", "```", "$(x)"),
    *("{{ x }}", "{% x %}", "%s", "{0}", "é", "İ", "😀", "2025-01-31", "javascript:x", "http://["),
    *("https://user:pw@example.org/x", "file:///etc/passwd"),
)
TOKENS = tuple(word.encode() for word in WORDS if 0 < len(word) < 60)
words = st.sampled_from(WORDS) | st.text(max_size=12)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | words
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=12,
)


def below(*patterns):
    """The bytes of the project's files that match."""
    return [path.read_bytes() for pattern in patterns for path in sorted(ROOT.glob(pattern))]


@st.composite
def edited(draw, texts, longest=20_000):
    """One of some texts, with a few of its words, lines or pieces changed."""
    text = draw(st.sampled_from([text for text in texts if len(text) <= longest])).decode()
    for _ in range(draw(st.integers(1, 4))):
        text = draw(st.sampled_from(_EDITS))(draw, text)
    return text.encode("utf-8", "surrogatepass")


def _word(draw, text):
    """Another word in the place of one."""
    at = draw(st.integers(0, max(0, len(text) - 1)))
    ends = [end for end in map(lambda c: text.find(c, at), " \n,:") if end >= 0]
    begins = max(text.rfind(c, 0, at) for c in " \n")
    return text[: begins + 1] + draw(words) + text[min(ends, default=len(text)) :]


def _value(draw, text):
    """Another value behind a key."""
    lines = text.split("\n")
    keyed = [number for number, line in enumerate(lines) if ":" in line]
    if not keyed:
        return text
    number = draw(st.sampled_from(keyed))
    lines[number] = lines[number].split(":")[0] + ": " + draw(words)
    return "\n".join(lines)


def _line(draw, text):
    """A line twice, gone, elsewhere or deeper."""
    lines = text.split("\n")
    number = draw(st.integers(0, len(lines) - 1))
    line = lines[number]
    how = draw(st.integers(0, 4))
    if how == 0:
        lines.insert(number, line)
    elif how == 1:
        del lines[number]
    elif how == 2:
        lines.insert(draw(st.integers(0, len(lines))), line)
    elif how == 3:
        lines[number] = draw(st.sampled_from((" ", "  ", "\t", "- "))) + line
    else:
        lines[number] = line.lstrip()
    return "\n".join(lines)


def _piece(draw, text):
    """A piece gone, repeated, or something between two."""
    start = draw(st.integers(0, len(text)))
    stop = draw(st.integers(start, min(len(text), start + 200)))
    how = draw(st.integers(0, 2))
    if how == 0:
        return text[:start] + text[stop:]
    if how == 1:
        return text[:stop] + text[start:stop] * draw(st.integers(1, 40)) + text[stop:]
    return text[:start] + draw(words) + text[start:]


_EDITS = (_word, _word, _value, _value, _line, _piece)
