"""The wording of what people read: spelling by codespell, and phrases that had to be corrected before.

``python -m tools.words`` (part of ``make check``) reads README, guides, the text of notebooks, every command's
``--help``, the reference of the Python API and of files, and the sentences in the package: errors, notices, captions,
the templates of pages. Code, file names and link targets are not judged. A new phrase is one line in :data:`PHRASES`,
with the sentence in which it was found.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat

from grpclab.text.printable import printable
from tools.reference import command_names, files, help_of, python

ROOT = Path(__file__).resolve().parent.parent
SPELLED = (
    "README.md",
    "CONTRIBUTING.md",
    "CODE_OF_CONDUCT.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "docs",
    "grpclab",
    "tools",
)
"""What codespell reads."""
NOT_MISSPELT = "als,fro,lates,rocess,te"


@dataclass(frozen=True, kw_only=True)
class Phrase:
    """A regular expression, what to write instead, and the sentence it was found in."""

    pattern: str
    instead: str
    source: str


def _phrase(pattern: str, instead: str, source: str) -> Phrase:
    return Phrase(pattern=pattern, instead=instead, source=source)


PHRASES = (
    _phrase(r"\bgone on with\b", "resumes", "An interrupted one is gone on with."),
    _phrase(r"\bgoes on\b", "continues", "Without it, the report says so and goes on."),
    _phrase(r"\bhow sure\b", "with what confidence", "grpclab finds out how sure one can be."),
    _phrase(r"\bfinds out whether\b", "measures whether", "grpclab finds out whether a setting makes it faster."),
    _phrase(
        r"\bis not possible: it takes\b", "invalid X: expected", "server.tls=2 is not possible: it takes true or false."
    ),
    _phrase(r"\d ?us\b", "µs", "A request costs the server 748 us."),
    _phrase(r"\d(?:\.\d+)?x\b", "×", "optimized is 3.2x basic in throughput."),
    _phrase(r"[\d_][ \N{NO-BREAK SPACE}]%(?!\w)", "30%", "The server did not run for 3 % of its time."),
    _phrase(r"\beveryday A/B\b", "an A/B test", "grpclab compare is an everyday A/B: about a minute."),
    _phrase(r", each tested\b", "a study tests each of them", "The claims of that demo's README, each tested."),
    _phrase(r"\b(?:is|are|be|was|were) told\b", "is reported", "Many requests are told, with the time left."),
    _phrase(r"\bof before\b", "an earlier", "Take a site of before out of the folder."),
    _phrase(r"\bbut for\b", "except", "Every trial has a fresh server, but for an address."),
    _phrase(r"\bas ever\b", "as always", "Whether that was the limit is shown as ever."),
    _phrase(r"\bone's\b", "your", "A study of one's own is a file of 15 lines."),
    _phrase(r"\bto be known\b", "to know", "What is to be known before a number of the study is used."),
    _phrase(r"\bwas made because\b", "was written because", "It was made because a README said +277 %."),
    _phrase(
        r"\bwhere there (?:is|are) (?:one|any)\b",
        "if there is one",
        "It turns the guides into pages, where there are any.",
    ),
    _phrase(
        r"\b(?:made|writes?|write|starts?|started|built) .{0,30}\banew\b",
        "again",
        "make guides writes the numbers anew.",
    ),
    _phrase(r"\bdoes meanwhile\b", "does in the meantime", "What the machine does meanwhile happens to both."),
    _phrase(
        r"\bstands? (?:beside|there|in its place|between)\b",
        "is printed beside",
        "The uncorrected figure stands beside it.",
    ),
    _phrase(r"\btake[ns]? out of all\b", "removed from all", "A token is taken out of all outputs."),
    _phrase(r"\bthe leave\b", "the permission", "The leave is not stored."),
    _phrase(r"\bmend(?:s|ed|ing)?\b", "fix", "Only the latest version is mended."),
    _phrase(r"\bwhat harms\b", "what hurts", "What helps, what does nothing and what harms."),
    _phrase(r"\b(?:where|there|here)(?:of|in|by|upon)\b", "of it", "A block, or a part thereof."),
    _phrase(r"\bfurther (?:keys|options|trials are|parameters)\b", "other", "Further keys: variant, grid, blocks."),
    _phrase(
        r"(?<=[:,] )who (?:repeats|compares|measures|has|reads)\b",
        "whoever",
        "The paths are kept: who repeats one needs the files.",
    ),
    _phrase(r"\b(?:by|of) so many\b", "that many", "It cannot be told from noise by so many blocks."),
    _phrase(r"\bsa(?:y|ys|id) of\b", "says about", "What a result says of disturbances."),
    _phrase(r"\bknown of\b", "known about", "A table with all that is known of each."),
    _phrase(r"\bin clear\b", "in plain text", "Older manifests may hold secrets in clear."),
    _phrase(r"\ba (?:row|line|module|folder|page|process) each\b", "one per line", "Lines of JSON, a line each."),
    _phrase(r"\bone (?:row|file|line|module|executed notebook) a\b", "one row per", "The frame has one row a trial."),
    _phrase(
        r"(?<!there )\b(?:is|are) no (?!longer|more|less|different|better|worse|narrower|wider|need|reason)\w+",
        "is not a",
        "WRONG_ANSWER is no code of gRPC.",
    ),
    _phrase(r"\bprofiling desk\b", "diagnostics server", "serve opens a profiling desk beside the server."),
    _phrase(r"\ball that (?:is|are|was|it)\b", "everything that", "It ends with all that it started."),
    _phrase(r"\bbelongs? to the lab\b", "is grpclab's", "The notebook belongs to the lab."),
    _phrase(r"\btaken, too\b", "accepted as well", "A name in quotes is taken, too."),
    _phrase(r"\bon purpose; (?:it|they)\b", "deliberately", "It stops processes on purpose; they go on later."),
    _phrase(
        r"\bthe questions? of server reflection\b",
        "reflection requests",
        "The questions of server reflection count as calls.",
    ),
    _phrase(r"\bas many (?:as|threads) it takes\b", "enough", "It measures as many as it takes."),
    _phrase(r"\bputs? the question\b", "asks", "It puts the question to a stored study."),
    _phrase(r"\bit is measured by\b", "measure it with", "What it costs, it is measured by a study."),
    _phrase(r"\bat once\b(?= with a| by a)", "immediately", "A second one is answered at once with a 409."),
    _phrase(r"\bone after another one\b", "one after the other", "Servers are measured one after another one."),
    _phrase(
        r"\bcannot (?:be told|tell)\b|\b(?:would|to) tell(?: which)?$",
        "distinguish, show",
        "What lies within that cannot be told from noise.",
    ),
    _phrase(r"\bwould tell\b", "would show", "A configuration equal to it but for more of threads would tell."),
    _phrase(
        r"\bso many (?:blocks|seconds|calls|times)\b|\bso much of\b",
        "this many",
        "It is the least that so many blocks can give.",
    ),
    _phrase(
        r"\bnothing of (?:the|a)\b", "nothing about", "The generator was the limit: this says nothing of the server."
    ),
    _phrase(
        r"\bholds? (?:no|a|an|both|another) (?:finished )?(?:study|plan|trials?|reports?|sides)\b",
        "has, contains",
        "The folder holds no study that can be read.",
    ),
    _phrase(r": leave (?:one|link\.\*) out\b", "remove it", "Both give the schema: leave one out."),
    _phrase(
        r"\bgive one of the two\b", "use only one of them", "--rate and load.rate_rps both set it: give one of the two."
    ),
    _phrase(r"\bbrought (?:no|nothing)\b", "returned no", "py-spy brought no stacks."),
    _phrase(r"\bmeanwhile\b", "in that time", "A closed loop sends nothing meanwhile."),
    _phrase(r"\b(?:runs?|ran|running) already\b", "is already running", "bench loads a server that runs already."),
    _phrase(r"\bup together\b", "run at the same time", "Its servers cannot be up together."),
    _phrase(r"\bis none of (?:its|them|the)\b", "is not one of", "It profiles what is none of its configurations."),
    _phrase(r"\bonce more\b", "again", "The baseline is measured once more under another name."),
    _phrase(r"\bunder way\b", "in progress", "The window is over, 7 calls are still under way."),
    _phrase(
        r"\bfor (?:a|one) (?:request|call)\b(?= (?:fell|rose)|$)", "per request", "The CPU time for a request fell."
    ),
    _phrase(r"\bstands? apart\b", "is an outlier", "Block 4 stands apart."),
    _phrase(
        r"\bexpected (?:a text|texts)\b|\ba text (?:in quotes|of at most)\b",
        "a string",
        "invalid name: expected a text.",
    ),
    _phrase(r"\bby nature\b", "always", "It names the fields that vary by nature."),
    _phrase(r"\bkept up to\b|\bwas kept up with\b", "kept up with", "Every rate up to 400/s was kept up with."),
    _phrase(r"\bthe desk\b", "the diagnostics server", "The desk answers to GET only."),
    _phrase(r"\bsurroundings\b", "environment", "The two were measured in different surroundings."),
    _phrase(r"\bwhom\b", "an authority that", "It is signed by nobody whom this machine trusts."),
    _phrase(r"\bfour of five\b", "four out of five", "An effect of 5 % is found in four of five studies."),
    _phrase(r"\bstood still\b", "stalled", "The generator stood still for 0.3 s."),
    _phrase(r"\bsilent (?:connection|channel)s?\b", "idle", "A ping after so long on a silent connection."),
    _phrase(r"\bwhere failing is\b", "measure failure", "All of them where failing is what is measured."),
    _phrase(r"\bno trial of it\b", "it has no", "No trial of it is valid."),
    _phrase(r"\blooked for\b(?= in|\.|:|$)", "searched", "The folder in which the module is looked for."),
    _phrase(r"\b(?:rest|stand)s? on a\b.*\baxis\b", "the axis is", "The sizes stand on a logarithmic axis."),
    _phrase(
        r"\bwhere the (?:client|server) streams\b",
        "if the client streams",
        "Where the client streams, a list is the messages of one call.",
    ),
    _phrase(r"\bis the (?:messages|requests|calls)\b", "contains", "A list is the messages of one call."),
    _phrase(r"\bcannot act\b", "has no effect, does not apply", "A factor that cannot act on the method is an error."),
    _phrase(r"\bmakes? up an?\b|\bmade up\b", "generates", "Without it, each server makes up a token."),
    _phrase(r"\btells? of\b", "indicates", "Too many calls end with a status that tells of a fault of the server."),
    _phrase(r"\bno \S+ beside\b", "without, not together with", "Expected no rate beside it."),
    _phrase(r"\bfor a moment\b", "briefly", "init starts the application for a moment and writes the file."),
    _phrase(
        r"\bstands? (?:under|in (?:the|most)|at the end)\b",
        "is in, is under",
        "--name and --tags stand in most formats.",
    ),
    _phrase(r"\bof ours\b", "built-in, grpclab's", "Call a server of ours."),
    _phrase(
        r"\b(?:its|their) figure is\b", "it measures", "A closed loop waits for answers; its figure is the throughput."
    ),
    _phrase(
        r"\ba (?:message|row|metric|file|trial) a (?:line|row|page|file|command|trial)\b",
        "one message per line",
        "Only the answers are printed, a message a line.",
    ),
    _phrase(r"\bif you like\b", "optionally", "Both servers in containers, with monitoring if you like."),
    _phrase(r", of which\b", "except, including", "It hashes its files, of which those that git ignores are left out."),
    _phrase(r"\bpassed over\b", "skipped", "A commit that cannot be measured is passed over."),
    _phrase(r"\ball the same\b", "still", "An inconclusive comparison decides a step all the same."),
    _phrase(
        r"\bpass(?:es|ed)? \S+ \S+ on to\b",
        "forwards to",
        "record passes every byte on to the server, and writes it down.",
    ),
    _phrase(r"\bspeaks? plain text\b", "uses TLS only with", "grpclab speaks plain text unless you say --tls."),
    _phrase(r"\bfit to (?:measure|use)\b", "suitable for measurements", "This machine is fit to measure on."),
    _phrase(r"\bboth (?:give|say) (?:the|what)\b", "both specify", "data and data-file both give the request."),
    _phrase(r"\bloses no\b", "is kept", "Ctrl-C loses no finished trial."),
    _phrase(r"\bin our own servers\b", "in grpclab's servers", "Most of it comes from the client in our own servers."),
    _phrase(r"\binformations|softwares|datas|feedbacks\b", "the singular", "The informations are in the manifest."),
)
"""What not to write, in the order in which it was found."""

SENTENCE = 4
"""A string in the code with more words than this is a sentence that somebody reads."""
FENCE = re.compile(r"^(`{3,})[^\n]*\n.*?^\1[^\n]*$", re.MULTILINE | re.DOTALL)
MARKUP = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|<style>.*?</style>|<[^>]*>", re.DOTALL)
"""What is not read in a template."""
NOT_PROSE = re.compile(r"<!--.*?-->|`[^`\n]+`|\]\([^)\s]+\)|https?://\S+", re.DOTALL)


def prose(text: str) -> str:
    """The text without code, comments and link targets; its lines stay where they were."""

    def blank(match: re.Match[str]) -> str:
        return "\n" * match[0].count("\n")

    return NOT_PROSE.sub(
        lambda match: blank(match) or ("]" if match[0].startswith("](") else "_"), FENCE.sub(blank, text)
    )


def findings(name: str, text: str) -> Iterator[str]:
    """Every phrase in a text, a line each: where, what, and what to write instead. A phrase may break over a line."""
    spoken = prose(text)
    flat = spoken.replace("\n", " ")
    for phrase in PHRASES:
        for match in re.finditer(phrase.pattern, flat, re.IGNORECASE):
            line = spoken.count("\n", 0, match.start()) + 1
            yield f"{name}:{line}: {printable(match[0])!r}: write {phrase.instead!r}, or say it in another way"


def sentences(source: str) -> str:
    """The sentences in a module, each on the line where it begins: its strings without docstrings and expressions."""
    tree = ast.parse(source)
    skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
    lines = [""] * (source.count("\n") + 1)
    for node in ast.walk(tree):
        if id(node) in skipped or not isinstance(node, ast.JoinedStr | ast.Constant):
            continue
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        skipped.update(map(id, parts))
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "_" for part in parts)
        if len(text.split()) > SENTENCE:
            lines[node.lineno - 1] += f"{' '.join(text.split())} | "
    return "\n".join(lines)


def texts() -> Iterator[tuple[str, str]]:
    """What people read, by where it is: pages, notebooks, the reference, help, the sentences of the package."""
    pages = [path for path in ROOT.glob("*.md") if path.name != "CHANGELOG.md"]
    for path in sorted([*pages, *(ROOT / "docs").rglob("*.md"), *(ROOT / "reports").glob("README.md")]):
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        yield (
            path.relative_to(ROOT).as_posix(),
            "\n\n".join(str(cell.source) for cell in cells if cell.cell_type == "markdown"),
        )
    package = ROOT / "grpclab"
    for path in sorted(package.rglob("*.py")):
        if "generated" not in path.parts:
            yield path.relative_to(ROOT).as_posix(), sentences(path.read_text(encoding="utf-8"))
    for path in sorted(package.rglob("*.j2")):
        yield path.relative_to(ROOT).as_posix(), MARKUP.sub("_", path.read_text(encoding="utf-8"))
    yield "reference/python.md", python()
    yield "reference/files.md", files()
    program = help_of("")
    yield "grpclab --help", program
    for command in command_names(program):
        yield f"grpclab {command} --help", help_of(command)


def misspelt() -> list[str]:
    """What codespell finds, a line each."""
    words = [
        sys.executable,
        "-m",
        "codespell_lib",
        "-L",
        NOT_MISSPELT,
        "--skip",
        "*.json,*.jsonl,*.js,*_pb2*,*.svg,words.py",
        *SPELLED,
    ]
    return subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT).stdout.splitlines()


def main() -> int:
    """Print every finding; exit code 1 if there is one."""
    found = [line for name, text in texts() for line in findings(name, text)] + misspelt()
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
