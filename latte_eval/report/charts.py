"""Charts as SVG that stands inside a page: one drawing for dark and light, its texts as text, nothing from outside."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any
from xml.etree import ElementTree

# Inches. At 330 px, the width of a chart on a phone, a text of 10 points is 11 px high.
WIDTH, HEIGHT = 4.2, 2.8

# Colours of a drawing stand for variables of the page's style sheet. Series: Okabe and Ito 2008.
INK, MUTED, RULE = "#1b1b1b", "#5f5f5f", "#d3d3d3"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
MARKS = ("o", "s", "^", "D")
REAL, FAKE = 0, 1
VARIABLES = {INK: "ink", MUTED: "muted", RULE: "rule"} | {
    colour: f"series-{number}" for number, colour in enumerate(SERIES, 1)
}

STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "latte-eval", "text.parse_math": False, "text.color": INK,
    "font.family": "sans-serif", "font.size": 10, "axes.labelsize": 10, "xtick.labelsize": 9.5, "ytick.labelsize": 9.5,
    "legend.fontsize": 10, "legend.frameon": False, "legend.handlelength": 1.6, "legend.borderaxespad": 0.2,
    "axes.edgecolor": MUTED, "axes.labelcolor": INK, "axes.linewidth": 0.7, "axes.grid": True, "axes.axisbelow": True,
    "axes.spines.top": False, "axes.spines.right": False, "grid.color": RULE, "grid.linewidth": 0.6,
    "xtick.color": MUTED, "xtick.labelcolor": INK, "ytick.color": MUTED, "ytick.labelcolor": INK,
    "lines.linewidth": 1.5, "lines.markersize": 4.5, "figure.constrained_layout.use": True,
    "axes.formatter.use_mathtext": False, "axes.formatter.useoffset": False, "axes.formatter.limits": (-4, 6),
}  # fmt: skip

SVG = "http://www.w3.org/2000/svg"
# What XML and HTML cannot hold, and marks that turn the direction of the text around them.
FORBIDDEN = re.compile("[^\t\n\r\u0020-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u202a-\u202e\u2066-\u2069]")
LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")


def draw(
    name: str,
    title: str,
    description: str,
    paint: Callable[[Any], None],
    width: float = WIDTH,
    height: float = HEIGHT,
) -> str:
    """A chart as one `<svg>` element.

    Args:
        name: of lower-case letters, digits and dashes; charts of one page have different names, as ids start with it.
        title: what the chart is, for those who cannot see it.
        description: what it shows, likewise.
        paint: draws into the empty matplotlib figure that it is given, in colours of this module only.
        width, height: in inches; on the page its width is that of its column.

    Equal drawings give equal texts. Neither windows nor the state of pyplot are touched.
    """
    import matplotlib
    from matplotlib.figure import Figure

    text = io.StringIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        # A letter that the measuring font lacks is drawn by the reader's font.
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=(width, height))
        paint(figure)
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return to_inline(text.getvalue(), name, title, description)


def legend(figure: Any, columns: int = 2) -> None:
    """What the marks mean, above the drawing: inside, it would sooner or later cover something."""
    figure.legend(loc="outside upper left", ncols=columns, columnspacing=1.4)


def legend_text(name: str | None) -> str:
    """A name as a legend takes it: matplotlib leaves out what begins with `_`, and what has no name."""
    if not name:
        return "run without a name"
    return f"run {name}" if name.startswith("_") else name


def to_inline(svg: str, name: str, title: str, description: str) -> str:
    """An SVG file of matplotlib as an element of a page."""
    root = ElementTree.fromstring(printable(svg))
    for element in list(root.iter()):
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
        drop_children(element)
    for element in root.iter():
        tidy(element)
    for element in root.iter():
        share_style(element)
    rename_ids(root, name)
    add_words(root, name, title, description)
    return ElementTree.tostring(root, encoding="unicode")


def add_words(root: ElementTree.Element, name: str, title: str, description: str) -> None:
    """What a screen reader says of a chart; no size but that of its column."""
    root.attrib = {
        "xmlns": SVG, "class": "chart", "viewBox": root.attrib["viewBox"], "role": "img",
        "aria-labelledby": f"{name}-title {name}-desc", "style": "stroke-linejoin: round; stroke-linecap: butt",
    }  # fmt: skip
    for tag, words in (("desc", description), ("title", title)):
        element = ElementTree.Element(tag, id=f"{name}-{tag}")
        element.text = printable(words)
        root.insert(0, element)


def drop_children(element: ElementTree.Element) -> None:
    """Remove metadata, style sheets (they would hold for the whole page) and what is not seen."""
    for child in list(element):
        unseen = child.attrib.get("style") == "fill: none"
        if unseen or child.tag.rpartition("}")[2] in ("metadata", "style"):
            element.remove(child)
        child.tail = None
    if element.tag != "text":
        element.text = None


def tidy(element: ElementTree.Element) -> None:
    """Numbers to a hundredth of a point, colours as variables, the font of the page."""
    for key in ("d", "x", "y", "width", "height", "transform"):
        if key in element.attrib:
            short = LONG_NUMBER.sub(lambda found: f"{float(found.group()):.2f}", element.attrib[key])
            element.attrib[key] = " ".join(short.split())
    if element.attrib.get("transform", "").startswith("rotate(-0 "):
        del element.attrib["transform"]
    if "style" in element.attrib:
        rules = [rule.strip() for rule in element.attrib["style"].split(";")]
        kept = [to_variables(rule) for rule in rules if rule and not rule.startswith("font-family")]
        element.attrib["style"] = "; ".join(kept)


def to_variables(rule: str) -> str:
    """Colours of this module as variables; the colour itself where a page defines none."""
    for colour, variable in VARIABLES.items():
        rule = rule.replace(colour, f"var(--{variable}, {colour})")
    return rule


def share_style(element: ElementTree.Element) -> None:
    """Write once the style that all marks of a group share: a group may have a thousand points."""
    styles = {child.attrib.get("style") for child in element}
    if element.tag == "g" and len(element) > 1 and len(styles) == 1 and all(child.tag == "use" for child in element):
        shared = styles.pop()
        if shared and "style" not in element.attrib:
            element.attrib["style"] = shared
            for child in element:
                del child.attrib["style"]


def rename_ids(root: ElementTree.Element, name: str) -> None:
    """Let ids that something refers to start with the name; remove all others."""
    text = ElementTree.tostring(root, encoding="unicode")
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text))
    names = {each: f"{name}-{number}" for number, each in enumerate(sorted({a or b for a, b in used}))}
    for element in root.iter():
        found = element.attrib.pop("id", None)
        if found in names:
            element.attrib["id"] = names[found]
        for key, value in element.attrib.items():
            if key == "href":
                element.attrib[key] = f"#{names[value[1:]]}"
            elif "url(#" in value:
                element.attrib[key] = re.sub(r"url\(#([^)]+)\)", lambda m: f"url(#{names[m.group(1)]})", value)


def printable(text: str) -> str:
    """A text with a mark for each character that no page can show."""
    return FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)


def shorten(text: str, length: int) -> str:
    """On one line, and cut in the middle where it is longer: the ends of names tell more than their middles."""
    text = " ".join(printable(text).split())
    return text if len(text) <= length else f"{text[: length // 2]}…{text[len(text) - (length - 1) // 2 :]}"


def join_words(words: Sequence[str]) -> str:
    """`a, b and c`"""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
