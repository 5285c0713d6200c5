"""Make the pictures of the docs from the demo's run: `make pictures`, after which they are looked at and committed.

python -m tests.browser.pictures results/demo docs
"""

import base64
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.browser.conftest import Browser

SECTIONS = {"page.jpg": ("results", 900), "gallery.jpg": ("gallery", 640)}
"""File -> the section of the page that it shows, and its height."""
WIDTH = 1200
CLIP = "s07_happy_1"


def main(run, docs):
    with tempfile.TemporaryDirectory() as folder:
        browser = Browser((run / "report.html").resolve(), folder)
        try:
            for name, (section, height) in SECTIONS.items():
                (docs / name).write_bytes(picture(browser, section, height))
        finally:
            browser.driver.quit()
    emopipe("clip", CLIP, "--run", run, "--png", docs / "clip.png")
    file = next((run.resolve().parents[1] / "cache" / run.name / "clips").glob(f"{CLIP}.*"))
    emopipe("predict", file, "--model", run, "--timeline", docs / "timeline.png")


def emopipe(*words):
    program = Path(sys.executable).with_name("emopipe")
    subprocess.run([str(word) for word in (program, *words)], check=True, stdout=subprocess.DEVNULL)


def picture(browser, section, height):
    browser.open()
    browser.command("Emulation.setDeviceMetricsOverride", width=WIDTH, height=height, deviceScaleFactor=1, mobile=False)
    for _ in range(2):  # charts that are drawn again may move what follows
        browser.run("document.getElementById(arguments[0]).scrollIntoView({behavior: 'instant'})", section)
        time.sleep(2)
    return base64.b64decode(browser.command("Page.captureScreenshot", format="jpeg", quality=85)["data"])


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
