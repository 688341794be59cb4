"""Runs to a folder of pages: `index.html`, one page per evaluation, pictures, and all results in one file."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from latte_eval.baselines.table import Cell, Heading, Table
from latte_eval.core.errors import StoreError, UsageError
from latte_eval.core.progress import Reporter
from latte_eval.core.protocol import Protocol
from latte_eval.files.locks import locked
from latte_eval.files.run_folder import FEATURES, RESULTS
from latte_eval.files.whole_files import UNFINISHED, make_writable, write_replaceable
from latte_eval.gate.accepted import read_accepted
from latte_eval.gate.history import Entry
from latte_eval.report.charts import printable
from latte_eval.report.disagreement import disagreement_sections
from latte_eval.report.evidence import STEPS, Advance, evidence_sections, gather
from latte_eval.report.headlines import headline
from latte_eval.report.over_time import Links, over_time_sections
from latte_eval.report.page import Figure, Page, Section, page_to_html, to_page_table
from latte_eval.report.pictures import Album
from latte_eval.report.runs import Evaluated, Found, read_runs
from latte_eval.report.sections import again_section, baseline_section, cost_section, protocol_section
from latte_eval.report.truth import truth_section
from latte_eval.report.verdicts import verdict_view
from latte_eval.report.words import protocol_in_brief, sides_in_words

INDEX = "index.html"
ATTENTION = "Attention:"
OURS = re.compile(r'<meta name="generator" content="latte-eval ')


@dataclass(frozen=True)
class Written:
    """What was written."""

    index: Path
    pages: int
    results: int
    notices: tuple[str, ...]


def write_report(
    paths: Sequence[Path], out: Path, reporter: Reporter | None = None, against: Path | None = None, pages: int = 12
) -> Written:
    """Write the pages about some runs. Pages that an earlier report left in the folder are replaced.

    Raises:
        StoreError: a run cannot be read, or the folder cannot be written.
        UsageError: no run, or a folder that holds something else.
    """
    reporter, found = reporter or Reporter(), read_runs(paths)
    accepted = read_accepted(against) if against else []
    check_folder(out)
    agreed = [Entry(each.result, each.about, against or Path()) for each in accepted]
    # Two reports into one folder come one after the other: each removes what it did not write itself.
    with locked(out / INDEX):
        made, notices = write_pages(found, agreed, out, pages, reporter)
    return Written(out / INDEX, len(made), len(found.entries), notices)


def write_pages(
    found: Found, accepted: Sequence[Entry], out: Path, pages: int, reporter: Reporter
) -> tuple[list[Page], tuple[str, ...]]:
    """Write all files; return the pages and all notices."""
    chosen, notices = found.evaluations[:pages], left_out(found, pages)
    album = Album(out)
    with reporter.bar("report", len(chosen) * STEPS, "sections") as advance:
        made = [evaluation_page(each, found, accepted, album, advance) for each in named(chosen)]
    if len(found.evaluations) == 1:
        made = [first_page(made[0], notices)]
    else:
        made = [index_page(found, made, accepted, notices, page_links(chosen, made)), *made]
    for page in made:
        write_replaceable(out / page.file, page_to_html(page).encode())
    lines = "".join(entry.result.to_json() + "\n" for entry in found.entries)
    write_replaceable(out / "all-results.jsonl", lines.encode())
    remove_old(out, made)
    said = dict.fromkeys([*notices, *(notice for page in made for notice in page.notices)])
    return made, tuple(" ".join(printable(notice).split()) for notice in said)


def check_folder(out: Path) -> None:
    """Raise unless the folder can be written and holds nothing that a report would overwrite."""
    index = out / INDEX
    if index.is_file() and not OURS.search(index.read_text(encoding="utf-8", errors="replace")):
        raise UsageError(f"{index} is not a page of latte-eval: give another folder with -o")
    if (out / FEATURES).is_dir() or (out / RESULTS).exists():
        raise UsageError(f"{out} is a run folder: give another folder with -o, such as -o report/")
    try:
        make_writable(out)
    except OSError as error:
        raise StoreError(f"cannot write to {out}: {error.strerror}; give another folder with -o") from error


def left_out(found: Found, pages: int) -> list[str]:
    """Notices on evaluations and runs that have no page."""
    more = len(found.evaluations) - pages
    said = [f"{more:,} older evaluations have no page of their own; --pages {len(found.evaluations)} makes them"]
    return [*(said if more > 0 else []), *(f"left out: {text}" for text in found.unfinished)]


@dataclass(frozen=True)
class Named:
    """An evaluation and the file of its page."""

    evaluated: Evaluated
    file: str


def named(evaluations: Sequence[Evaluated]) -> list[Named]:
    """Evaluations with file names that every web server and file system takes, no name twice."""
    taken: set[str] = set()
    return [Named(each, f"{free_stem(slug(each.name), taken)}.html") for each in evaluations]


def free_stem(stem: str, taken: set[str]) -> str:
    """The stem, with the first number that is free if it is taken; the result is added to `taken`."""
    numbered = (f"{stem}-{number}" for number in itertools.count(2))
    free = next(name for name in itertools.chain([stem], numbered) if name not in taken)
    taken.add(free)
    return free


def slug(name: str) -> str:
    """The last two parts of a name in lower-case letters, digits and dashes; never `index`."""
    text = re.sub(r"[^a-z0-9]+", "-", "-".join(Path(name).parts[-2:]).lower()).strip("-")[-60:].strip("-")
    return {"": "page", "index": "page-index"}.get(text, text)


def evaluation_page(named: Named, found: Found, accepted: Sequence[Entry], album: Album, advance: Advance) -> Page:
    """Everything about one evaluation."""
    evaluated = named.evaluated
    evidence = gather(evaluated, album)
    keys = {entry.key for entry in entries_of(evaluated)}
    entries = [entry for entry in found.entries if entry.key in keys]
    sections: list[Section | None] = [baseline_section(evaluated), truth_section(evaluated)]
    sections.append(protocol_section(evaluated))
    sections += evidence_sections(evidence, advance)
    sections += over_time_sections(entries, accepted) if len(entries) > len(keys) else []
    features = [side for pair in evidence.sides.values() for side in pair if side is not None]
    sections += [cost_section(evaluated), again_section(evaluated, features)]
    return Page(
        file=named.file,
        title=evaluated.name,
        subtitle=subtitle(evaluated),
        summary=summary(evaluated),
        sections=tuple(section for section in sections if section),
        headlines=tuple(headline(result) for result in evaluated.results.values()),
        verdict=verdict_view(evaluated.verdict),
        notices=tuple(f"{ATTENTION} {text}" for text in evidence.damage),
        home=INDEX,
    )


def subtitle(evaluated: Evaluated) -> str:
    """`ucf101, protocol latte, 2026-11-20 19:00:00 UTC`"""
    fields = evaluated.first.protocol_fields
    when = evaluated.started.replace("T", " ").removesuffix("Z")
    benchmark = "" if fields["benchmark"] == "none" else f"{fields['benchmark']}, "
    return f"{benchmark}protocol {fields['stem']}, {when} UTC"


def summary(evaluated: Evaluated) -> str:
    """What was compared and under which protocol, in two lines."""
    results = evaluated.results.values()
    first = max(results, key=lambda result: result.real)
    return f"{sides_in_words(first)}. Protocol: {protocol_in_brief(Protocol.from_dict(first.protocol_fields))}."


def first_page(page: Page, notices: Sequence[str]) -> Page:
    """The only page of a report, as its index."""
    return dataclasses.replace(page, file=INDEX, home=None, notices=(*notices, *page.notices))


def page_links(evaluations: Sequence[Evaluated], pages: Sequence[Page]) -> Links:
    """The page of every result that has one."""
    pairs = zip(evaluations, pages, strict=True)
    return {entry.identity: page.file for each, page in pairs for entry in entries_of(each)}


def entries_of(evaluated: Evaluated) -> list[Entry]:
    """The results of one evaluation as entries of a history."""
    return [Entry(result, {}, evaluated.folder) for result in evaluated.results.values()]


def index_page(
    found: Found, pages: Sequence[Page], accepted: Sequence[Entry], notices: Sequence[str], links: Links
) -> Page:
    """The newest number on top, then a section per metric, protocol and detector."""
    newest, entries = pages[0], found.entries
    groups = len({entry.key for entry in entries})
    apart = [f"{groups} combinations of metric, protocol and detector are kept apart: their values do not compare."]
    return Page(
        file=INDEX,
        title=f"{len(found.evaluations):,} evaluations",
        subtitle=f"newest: {newest.title}, {newest.subtitle}",
        summary=newest.summary,
        sections=(
            pages_section(pages),
            *disagreement_sections(found.evaluations),
            *over_time_sections(entries, accepted, links),
        ),
        headlines=newest.headlines,
        verdict=newest.verdict,
        notices=(*(apart if groups > 1 else []), *notices),
    )


def pages_section(pages: Sequence[Page]) -> Section:
    """Links to every page, newest first."""
    headings = {
        "page": Heading("Evaluation"),
        "when": Heading("What"),
        "values": Heading("Values"),
        "verdict": Heading("Gate"),
    }
    rows: list[dict[str, Cell]] = [
        {
            "page": page.title,
            "when": page.subtitle,
            "values": "; ".join(f"{h.metric.upper()} {h.value}" for h in page.headlines),
            "verdict": page.verdict.word if page.verdict else None,
        }
        for page in pages
    ]
    table = to_page_table(Table("pages", "Evaluations, newest first", headings, rows), [page.file for page in pages])
    return Section("pages", "Evaluations", figures=(Figure(None, table),))


def remove_old(out: Path, pages: Sequence[Page]) -> None:
    """Remove pages and pictures of earlier reports that this one did not write, and unfinished files of killed ones."""
    for path in [*out.glob(f".*{UNFINISHED}"), *(out / "pictures").glob(f".*{UNFINISHED}")]:
        path.unlink()
    files = {page.file for page in pages}
    for path in out.glob("*.html"):
        if path.name not in files and OURS.search(path.read_text(encoding="utf-8", errors="replace")):
            path.unlink()
    used = {
        picture.src for page in pages for section in page.sections for row in section.rows for picture in row.pictures
    }
    for path in (out / "pictures").glob("*.webp"):
        if f"pictures/{path.name}" not in used and re.fullmatch(r"[0-9a-f]{16}\.webp", path.name):
            path.unlink()
