"""Opens a report.html in Chromium as its readers do.

Arguments: the file, a folder for screenshots, the path of Chromium.
"""

import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

WIDTHS = [375, 1440]
SCHEMES = ["light", "dark"]


def require(condition: bool, what: str) -> None:
    if not condition:
        sys.exit(f"{what}: FAILED")


def check_fits(page: Page, where: str) -> None:
    scroll, client = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    require(scroll <= client, f"{where}: no overflow ({scroll} in {client} px)")


def check_pictures(page: Page, where: str) -> None:
    covered = page.evaluate(
        """() => [...document.querySelectorAll(".cards .pictures")].filter((pictures) => {
            const picture = pictures.lastElementChild.getBoundingClientRect();
            const text = pictures.nextElementSibling.getBoundingClientRect();
            return picture.right > text.left && picture.bottom > text.top;
        }).length"""
    )
    require(covered == 0, f"{where}: no picture lies over its text ({covered} do)")


def check_sorting(page: Page) -> None:
    """With the keyboard alone: by the class's name up, then down."""
    table = page.locator("table[data-sortable]")
    column = lambda: table.locator("tbody th").all_inner_texts()  # noqa: E731
    before = column()
    button = table.get_by_role("button", name="Images")
    for _ in range(200):
        if button.evaluate("element => element === document.activeElement"):
            break
        page.keyboard.press("Tab")
    require(button.evaluate("element => element.matches(':focus-visible')"), "focus is seen")
    images = lambda: [  # noqa: E731
        int(text.replace(",", "")) for text in table.locator("tbody td:nth-child(2)").all_inner_texts()
    ]
    for key, order in [("Enter", "ascending"), ("Space", "descending")]:
        page.keyboard.press(key)
        header = table.locator(f"th[aria-sort={order}]")
        require(header.count() == 1 and "Images" in header.inner_text(), f"sorted {order}")
        require(images() == sorted(images(), reverse=order == "descending"), f"the rows are {order}")
    require(sorted(column()) == sorted(before), "no row is lost")


def check_contrast(page: Page, where: str) -> None:
    """WCAG 2.2's 4.5 to 1 for text, 3 to 1 for what is drawn."""
    ratios = page.evaluate(
        """() => {
            const style = getComputedStyle(document.documentElement);
            const luminance = (name) => {
                const probe = document.createElement("i");
                probe.style.color = `var(--${name})`;
                document.body.append(probe);
                const [r, g, b] = getComputedStyle(probe).color.match(/[\\d.]+/g).map(Number)
                    .map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                probe.remove();
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            const paper = luminance("paper");
            const of = (name) => [name, ratio(luminance(name), paper)];
            return ["text", "quiet", "link", "first", "second"].map(of);
        }"""
    )
    for name, ratio in ratios:
        least = 4.5 if name in ("text", "quiet", "link") else 3
        require(ratio >= least, f"{where}: contrast of {name} {ratio:.2f}")


def main() -> None:
    report, screenshots = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    with sync_playwright() as playwright:
        # A page of our own from this disk: root has no sandbox.
        browser = playwright.chromium.launch(executable_path=sys.argv[3], args=["--no-sandbox"])
        print(f"Chromium {browser.version}")
        for width in WIDTHS:
            for scheme in SCHEMES:
                where = f"{width} px, {scheme}"
                page = browser.new_page(
                    viewport={"width": width, "height": 900}, color_scheme=scheme, device_scale_factor=2
                )
                said, requests = [], []
                page.on("console", lambda message: said.append(message.text))
                page.on("pageerror", lambda error: said.append(str(error)))
                page.on("request", lambda request: requests.append(request.url))
                page.goto(report.as_uri())
                check_fits(page, where)
                check_pictures(page, where)
                check_contrast(page, where)
                shown = page.evaluate(
                    "Promise.all([...document.images].map(image => image.decode()))"
                    ".then(images => images.length)"
                )
                check_sorting(page)
                check_fits(page, where)
                page.evaluate("scrollTo(0, 0)")
                page.screenshot(path=screenshots / f"{width}-{scheme}.png", full_page=True)
                require(not said, f"{where}: the console is silent {said}")
                fetched = [url for url in requests if not url.startswith("data:")]
                require(fetched == [report.as_uri()], f"{where}: nothing is loaded {fetched}")
                print(f"{where}: fits, sorts, {shown} pictures")
                page.close()
        plain = browser.new_context(java_script_enabled=False).new_page()
        plain.goto(report.as_uri())
        require(plain.get_by_role("button").count() == 0, "no dead button without JavaScript")
        require(plain.locator("#classes ~ div tbody tr").count() > 1, "the table without JavaScript")
        printed = browser.new_page(viewport={"width": 794, "height": 1123})
        printed.goto(report.as_uri())
        printed.pdf(path=screenshots / "paper.pdf", format="A4")
        printed.emulate_media(media="print")
        check_fits(printed, "paper")
        printed.screenshot(path=screenshots / "paper.png", full_page=True)
        print("without JavaScript and on paper: whole")
        browser.close()


main()
