"""Pages as tests read them: their tags, what a person reads on them, and what a browser makes of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HEADLESS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")


class Page(HTMLParser):
    """Collects what a page would load, and whether its tags close."""

    def __init__(self):
        super().__init__()
        self.loads, self.links, self.open = [], [], []

    def handle_starttag(self, tag, attributes):
        if tag in ("script", "iframe", "object", "embed"):
            self.loads.append(tag)
        targets = [value for name, value in attributes if name in ("src", "href", "xlink:href", "data", "action")]
        (self.links if tag == "a" else self.loads).extend(targets)
        if tag not in ("meta", "link", "br", "hr", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.loads += [value for name, value in attributes if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def check(text):
    """Asserts of a page's text that it is whole, loads nothing, and shows no number that is none."""
    page = Page()
    page.feed(text)
    assert page.open == []
    assert all(target == "data:," or target.startswith("#") for target in page.loads), page.loads
    for link in page.links:  # to files beside the page
        assert re.fullmatch(r"[\w.%-]+(/[\w.%-]+)*", link), link
        assert ".." not in link.split("/"), link
    assert not re.search(r"url\((?!#)", text)
    assert "@import" not in text
    assert "nan" not in re.findall(r"[\w.]+", text)
    assert not re.search(r"#0[1-6]0[2-7]0[3-8]\b", text), "a stand-in colour was left"


class Reading(HTMLParser):
    """What a person reads on a page, by its headings: tables as rows of cells, and all text.

    Attributes:
        tables: by heading, a list of tables, each a list of rows of texts.
        text: by heading, all text, with single spaces.
        facts: the figures on top, by what stands below them.
        source: the page itself.
    """

    def __init__(self, page):
        super().__init__()
        self.tables, self.text, self.facts, self.source = {}, {}, {}, page
        self._heading, self._cell, self._hidden, self._fact = "", None, 0, []
        self.feed(page)
        self.text = {name: " ".join(text.split()) for name, text in self.text.items()}

    def handle_starttag(self, tag, attributes):
        if tag in ("h1", "h2", "h3"):
            self._heading = ""
            self._cell = ["h"]
        elif tag == "table":
            self.tables.setdefault(self._heading, []).append([])
        elif tag == "tr":
            self.tables[self._heading][-1].append([])
        elif tag in ("td", "th"):
            self._cell = []
        elif tag in ("style", "title", "svg"):
            self._hidden += 1
        elif tag == "div" and ("class", "facts") in attributes:
            self._heading = "facts"

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.tables[self._heading][-1][-1].append(" ".join("".join(self._cell).split()))
            self._cell = None
        elif tag in ("h1", "h2", "h3"):
            self._heading, self._cell = " ".join("".join(self._cell[1:]).split()), None
        elif tag in ("style", "title", "svg"):
            self._hidden -= 1
        elif self._heading == "facts" and tag in ("b", "span"):
            self._fact.append(self.text.pop("facts").strip())
            if tag == "span":
                self.facts[self._fact[-1]] = self._fact[-2]

    def handle_data(self, data):
        if not self._hidden:
            self.text[self._heading] = self.text.get(self._heading, "") + data
            if self._cell is not None:
                self._cell.append(data)


def read(path, profile):
    """A `Reading` of the page as a browser holds it; of the file where there is no browser."""
    text = path.read_text()
    if CHROMIUM is not None:
        command = [CHROMIUM, *HEADLESS, f"--user-data-dir={profile}", "--dump-dom", path.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert "</html>" in done.stdout, done.stderr
        text = done.stdout
    return Reading(text)


def browse(source, scheme, folder):
    """Open a page in a browser, in a light or dark scheme: no error, no request, something to see."""
    from matplotlib.image import imread

    picture, net_log = folder / "page.png", folder / "net.json"
    options = [*HEADLESS, "--disable-component-update", "--disable-sync", "--disable-extensions"]
    options += ["--disable-default-apps", "--window-size=1000,1200", "--enable-logging=stderr", "--hide-scrollbars"]
    options += [f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}"]
    options += [f"--user-data-dir={folder / 'profile'}"]
    command = [CHROMIUM, *options, f"--screenshot={picture}", f"--log-net-log={net_log}", source.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert picture.is_file(), done.stderr
    assert "CONSOLE" not in done.stderr, done.stderr
    asked = set(re.findall(r'"url":"(\w+://[^"]*)"', net_log.read_text()))
    asked = {url for url in asked if not re.match(r"(chrome|devtools|chrome-extension)", url)}
    own = ("update.googleapis.com", "google.com", "gstatic.com", "clients2")  # the browser's, not the page's
    assert all(url.startswith(source.as_uri()) or any(host in url for host in own) for url in asked), asked
    image = imread(picture)
    assert image.std() > 0.05, "the page is blank"
    corner = image[-1, 0, :3].mean()
    assert corner < 0.3 if scheme == "dark" else corner > 0.8
