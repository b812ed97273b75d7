"""Pictures of a report as browsers show it: ``python docs/tools/screens.py RUN_DIR`` (needs chromium).

Writes docs/assets/report-*.png, few colours each, of the page at a desktop's and at a phone's width, light and dark.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageChops

ASSETS = Path(__file__).parents[1] / "assets"
TALL = 14000
"""Pixels that no page is higher than."""
SCREENS = {
    "report-desktop.png": (1280, "light", "Program", "Memory", 0.6),
    "report-dark.png": (1280, "dark", "Early decision and latency", "Confusions", 0.6),
    "report-phone.png": (400, "light", "", "Parity", 0.75),
}
"""By file: width in pixels, scheme, the headings that the part begins and ends with, and its scale."""


def part_of(page: str, first: str, last: str) -> str:
    """The page with the sections from one heading to before another alone; from the top where ``first`` is empty."""
    head, body = page.split("<main>", 1)
    start = body.index(f"<h2>{first}</h2>") if first else 0
    return f"{head}<main>{body[start : body.index(f'<h2>{last}</h2>')]}</main></body></html>"


def shoot(page: str, width: int, scheme: str) -> Image.Image:
    """The page as chromium paints it, without what is empty below."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "page.html", Path(folder) / "page.png"
        source.write_text(page, encoding="utf-8")
        command = [
            shutil.which("chromium") or "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
        ]
        command += [f"--window-size={width},{TALL}", f"--user-data-dir={folder}/profile", f"--screenshot={target}"]
        command += [f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}", source.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        picture = Image.open(target).convert("RGB")
    paper = Image.new("RGB", picture.size, picture.getpixel((0, picture.height - 1)))
    box = ImageChops.difference(picture, paper).getbbox()
    assert box is not None, "the page is blank"
    return picture.crop((max(box[0] - 16, 0), 0, min(box[2] + 16, width), min(box[3] + 16, TALL)))


def main(folder: Path) -> None:
    """Write the pictures of the report in ``folder``."""
    page = (folder / "report.html").read_text(encoding="utf-8")
    for name, (width, scheme, first, last, scale) in SCREENS.items():
        picture = shoot(part_of(page, first, last), width, scheme)
        picture = picture.resize(
            (round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS
        )
        picture.quantize(40, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(ASSETS / name, optimize=True)
        print(f"docs/assets/{name}: {(ASSETS / name).stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
