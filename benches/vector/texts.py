"""English sentences that a fresh machine has: the descriptions of Debian's packages, and what its man pages say of themselves."""

import gzip
import hashlib
import re
import subprocess
import tempfile
from pathlib import Path

MAN_PAGES = Path("/usr/share/man")


def packages():
    """One text a package: its synopsis and the first words of its description. The images of containers leave the
    descriptions out of apt's lists, so they are read into lists of our own."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "partial").mkdir()
        lists = ["-o", f"Dir::State::Lists={folder}", "-o", f"Dir::Cache={folder}", "-o", "Acquire::Languages=en"]
        subprocess.run(["apt-get", "-q", *lists, "update"], check=True, stdout=subprocess.DEVNULL)
        for file in sorted(Path(folder).glob("*Translation-en*")):
            text = subprocess.run(["/usr/lib/apt/apt-helper", "cat-file", file], check=True, capture_output=True).stdout
            for paragraph in text.decode(errors="replace").split("\n\n"):
                name = re.search(r"^Package: (.*)$", paragraph, re.MULTILINE)
                about = re.search(r"^Description-en: (.*)\n((?: .*\n?)*)", paragraph, re.MULTILINE)
                if name and about:
                    long = re.split(r"^ \.$", about[2], maxsplit=1, flags=re.MULTILINE)[0]
                    found.setdefault(name[1], clean(about[1] + ". " + long))
    return distinct(found.values())


def man_pages():
    """The first sentences under DESCRIPTION, a few of each family of pages."""
    found = {}
    for page in sorted(MAN_PAGES.glob("man[1-8]/*.gz")):
        try:
            text = gzip.open(page, "rt", errors="replace").read(20_000)
        except OSError:
            continue
        text = re.sub(r"^[.'](?!S[HS]).*?$", "", text, flags=re.MULTILINE)
        text = re.sub(r"\\f(?:\(..|\[.*?\]|.)|\\s[+-]?\d|\\&|\\,|\\/", "", text).replace("\\-", "-")
        about = re.search(r'^\.SH "?DESCRIPTION"?\n(.*?)(?=^\.S[HS])', text, re.MULTILINE | re.DOTALL)
        if about and "\\" not in about[1]:
            family = found.setdefault(re.split(r"[-_.:0-9]", page.name)[0], [])
            for sentence in re.split(r"(?<=[.!?])\s+", clean(about[1]))[:3]:
                if len(family) < 6 and sentence.endswith(".") and 6 <= len(sentence.split()) <= 40:
                    family.append(sentence)
    return distinct(sentence for family in found.values() for sentence in family)


def clean(text):
    return " ".join(text.split())[:160]


def distinct(texts):
    """Each once, in an order that has nothing to do with their names but is always the same."""
    return sorted(set(texts), key=lambda text: hashlib.md5(text.encode()).digest())
