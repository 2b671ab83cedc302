"""Uses the page at `/` as a person does, in headless Chromium: by file, by keyboard, by drop."""

import argparse
import base64
import json
import sys
import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from running import Server, predict, test_images

DROP = """
const [name, text] = arguments;
const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const transfer = new DataTransfer();
transfer.items.add(new File([bytes], name, { type: 'image/jpeg' }));
document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }));
"""


def open_browser(arguments):
    options = webdriver.ChromeOptions()
    for argument in ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]:
        options.add_argument(argument)
    # Nothing but this machine can be reached.
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    options.binary_location = arguments.chromium
    service = webdriver.ChromeService(executable_path=arguments.driver)
    return webdriver.Chrome(options=options, service=service)


def check(browser, url, images, logits, class_names):
    browser.get(url)
    wait = WebDriverWait(browser, 60)
    text = lambda name: browser.find_element(By.ID, name).text
    shown = lambda: browser.find_elements(By.CSS_SELECTOR, "#result:not([hidden]) li")

    def expect_best(row):
        best = max(range(len(row)), key=row.__getitem__)
        wait.until(lambda _: len(shown()) == 5)
        items = shown()
        values = [float(bar.get_attribute("value")) for bar in browser.find_elements(By.TAG_NAME, "progress")]
        assert values == sorted(values, reverse=True) and 0 < sum(values) <= 1.0001, values
        assert "Took" in text("status") and "ms" in text("status"), text("status")
        name = class_names[best].split(".", 1)[-1].replace("_", " ")
        assert items[0].text.startswith(name) and name in text("status"), items[0].text
        return name

    # By keyboard: the first Tab reaches the file chooser, which has a name.
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    focused = browser.switch_to.active_element
    assert focused.get_attribute("id") == "file", focused.get_attribute("outerHTML")
    assert "Choose a picture" in focused.accessible_name, focused.accessible_name
    focused.send_keys(str(images[0].resolve()))
    first = expect_best(logits[0])
    picture = browser.find_element(By.ID, "picture")
    assert picture.get_attribute("alt") and int(picture.get_attribute("naturalWidth")) > 0

    # What is no image is said aloud and leaves no old result beside it.
    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        file.write(b"no image")
        file.flush()
        browser.find_element(By.ID, "file").send_keys(file.name)
        wait.until(lambda _: text("error"))
    assert "not an image" in text("error") and not shown(), text("error")
    roles = {name: browser.find_element(By.ID, name).aria_role for name in ("status", "error")}
    assert roles == {"status": "status", "error": "alert"}, roles

    # By drop.
    browser.execute_script(DROP, images[1].name, base64.b64encode(images[1].read_bytes()).decode())
    second = expect_best(logits[1])
    assert text("error") == ""
    for name in ("main", "h1", "h2"):
        assert len(browser.find_elements(By.TAG_NAME, name)) == 1, name
    origins = browser.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert origins and all(name.startswith((url, "blob:", "data:")) for name in origins), origins
    errors = [line for line in browser.get_log("browser") if "400" not in line["message"]]
    assert not errors, errors
    return first, second


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--sample", action="store_true")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--driver", default="/usr/bin/chromedriver")
    arguments = parser.parse_args()
    if not (Path(arguments.chromium).exists() and Path(arguments.driver).exists()):
        print("SKIPPED: no Chromium (Debian: apt-get install chromium chromium-driver)", file=sys.stderr)
        return
    images = test_images(arguments.sample, 2)
    logits = predict(arguments.program, arguments.sample, images)
    model = Path("TrainedModels/sample" if arguments.sample else "TrainedModels", "model.json")
    class_names = json.loads(model.read_text())["class_names"]
    with Server(arguments.program, arguments.sample) as server:
        browser = open_browser(arguments)
        try:
            first, second = check(browser, server.url, images, logits, class_names)
        finally:
            browser.quit()
    print(f"Chromium: top-5 by file ({first}), by keyboard, by drop ({second}); errors are announced")


if __name__ == "__main__":
    main()
