"""The site is built strictly, is whole without a network, and can be searched."""

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path

import pumice
import pytest
from pumice.program.nodes import REGISTRY

pytest.importorskip("mkdocs", reason="the site needs the extra docs: pip install 'pumice[docs]'")
ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Loads(HTMLParser):
    """What a browser fetches by itself when it opens a page: everything but the targets of links."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        if tag != "a":
            self.found += [named[key] for key in ("src", "href", "data", "srcset", "xlink:href") if named.get(key)]
        self.found += re.findall(r"url\(([^)]*)\)", named.get("style") or "")


def test_no_page_loads_anything_over_the_network(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        loads = Loads()
        loads.feed(page.read_text(encoding="utf-8"))
        assert loads.found
        for target in loads.found:
            assert not re.match(r"(\w+:)?//", target), f"{page.name} loads {target}"
            local = target.split("#")[0].split("?")[0]
            assert not local or target.startswith("data:") or (page.parent / local).exists() or page.name == "404.html"
        assert 'class="mermaid"' not in page.read_text(encoding="utf-8")  # would be fetched by the theme's script
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        assert not re.search(r"url\([\"']?(\w+:)?//|@import", text), style.name


def test_every_page_of_the_folder_is_in_the_site_and_in_its_search(site):
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    searched = {entry["location"].split("#")[0] for entry in index["docs"]}
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    pages |= {f"tutorials/{path.stem}.html" for path in (ROOT / "docs" / "tutorials").glob("*.py")}
    assert pages <= searched
    assert all((site / page).is_file() for page in pages)
    words = " ".join(entry["text"] for entry in index["docs"])
    assert "dead zone" in words


def test_every_node_has_its_section_with_an_equation(site):
    text = (site / "reference" / "nodes.html").read_text(encoding="utf-8")
    sections = dict(
        re.findall(r'<h3 id="pumice\.program\.nodes\.(\w+)"(.*?)(?=<h3 id|<h2 id|</article>)', text, re.DOTALL)
    )
    assert REGISTRY.keys() <= sections.keys()
    drawn = {name for name in REGISTRY if "<math>" in sections[name]}
    assert REGISTRY.keys() - drawn <= {"TokenInput", "GapInput"}  # an index and an interval: read, not computed
    table = text[text.index('<div class="nodes">') : text.index("What every node has")]
    for name in REGISTRY:
        assert f'href="#pumice.program.nodes.{name}"' in table


def test_every_name_of_the_front_door_has_its_section(site):
    text = (site / "reference" / "python.html").read_text(encoding="utf-8")
    public = {name: module for name, module in pumice._WHERE.items() if not name.startswith("_")}
    assert len(public) > 10
    for name, module in public.items():
        assert f'id="pumice.{module}.{name}"' in text, name


def test_all_equations_are_drawn(site):
    marked = sum(path.read_text(encoding="utf-8").count("```equations") for path in (ROOT / "docs").glob("*.md"))
    drawn = 0
    for page in site.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "```" not in re.sub(r"<code.*?</code>", "", text, flags=re.DOTALL), page.name
        drawn += text.count('<div class="equations">')
    assert drawn == marked > 10


ASK = """<iframe src="/index.html?q=dead+zone" width="1200" height="900"></iframe><script>
setInterval(() => {
  const found = document.querySelector("iframe").contentDocument.querySelectorAll(".md-search-result__link");
  if (found.length) fetch("/found", {method: "POST", body: [...found].map(link => link.href).join(" ")});
}, 200)</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
def test_search_answers_in_a_browser_that_asks_nobody_else(site, tmp_path):
    found, answered = [], threading.Event()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            if self.path != "/ask":
                super().do_GET()
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(ASK.encode())

        def do_POST(self):
            found[:] = self.rfile.read(int(self.headers["Content-Length"])).decode().split()
            self.send_response(204)
            self.end_headers()
            answered.set()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        own = f"http://127.0.0.1:{server.server_port}/"
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        options += ["--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-default-apps"]
        options += [f"--user-data-dir={tmp_path / 'profile'}", "--remote-debugging-port=0"]
        options += [
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            f"--log-net-log={tmp_path / 'net.json'}",
        ]
        browser = subprocess.Popen([CHROMIUM, *options, f"{own}ask"], stderr=subprocess.DEVNULL)
        try:
            assert answered.wait(60), "the search gave no result"
        finally:
            browser.terminate()
            browser.wait(30)
            server.shutdown()
    assert any("numerics.html" in link for link in found), found
    log = (tmp_path / "net.json").read_text(encoding="utf-8")
    asked = set(re.findall(r'"url":"(https?://[^"]*)"', log))
    assert any(url.startswith(own) for url in asked)
    browsers = ("google.com", "googleapis.com", "gstatic.com")  # the browser's own, not the page's
    assert all(url.startswith(own) or any(host in url for host in browsers) for url in asked), asked
