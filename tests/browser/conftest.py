import base64
import json
import os
import shutil
from pathlib import Path

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="`make test-browser` installs selenium")

PAGES = [Path(path).resolve() for path in os.environ.get("EMOPIPE_PAGES", "").split()]
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1200,900",
)  # fmt: skip


class Browser:
    """Chromium with one page, and what it logs."""

    def __init__(self, page, folder):
        options = webdriver.ChromeOptions()
        for option in (*OPTIONS, f"--user-data-dir={folder}"):
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = webdriver.ChromeService(shutil.which("chromedriver"))
        self.driver, self.page = webdriver.Chrome(options, service), page

    def open(self):
        """Open the page as a new one, without what an earlier test set or logged."""
        self.command("Emulation.setScriptExecutionDisabled", value=False)
        self.driver.get("about:blank")
        self.driver.get_log("performance"), self.driver.get_log("browser")
        self.driver.get(self.page.as_uri())

    def reset(self):
        self.media()
        self.command("Emulation.clearDeviceMetricsOverride")

    def run(self, script, *values):
        return self.driver.execute_script(script, *values)

    def all(self, selector):
        return self.driver.find_elements("css selector", selector)

    def command(self, name, **options):
        return self.driver.execute_cdp_cmd(name, options)

    def media(self, kind="", **features):
        chosen = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.command("Emulation.setEmulatedMedia", media=kind, features=chosen)

    def width(self, pixels):
        self.command("Emulation.setDeviceMetricsOverride", width=pixels, height=800, deviceScaleFactor=1, mobile=True)

    def draw_all(self):
        """Open all that is closed and wait until every chart is drawn again by JavaScript."""
        self.run("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        script = """
            const done = arguments[0];
            const charts = [...document.querySelectorAll("figure.chart")];
            const step = async () => {
              for (const chart of charts) {
                chart.scrollIntoView();
                for (let n = 0; n < 200 && !chart.querySelector(".vega-embed svg"); n++)
                  await new Promise((go) => setTimeout(go, 10));
              }
              done(charts.filter((chart) => !chart.querySelector(".vega-embed svg")).length);
            };
            step();
        """
        return self.driver.execute_async_script(script)

    def requests(self):
        """URLs that were asked for since the page was opened."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
        return [one["request"]["url"] for one in sent]

    def errors(self):
        return [entry for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def printed(self):
        return base64.b64decode(self.command("Page.printToPDF", printBackground=True)["data"])


@pytest.fixture(scope="module", params=PAGES, ids=lambda path: path.parent.name)
def opened(request, tmp_path_factory):
    made = Browser(request.param, tmp_path_factory.mktemp("browser"))
    made.driver.set_script_timeout(120)
    yield made
    made.driver.quit()


@pytest.fixture
def browser(opened):
    yield opened
    opened.reset()
