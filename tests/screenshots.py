"""Every page at four sizes, light and dark, into screenshots/.

make screenshots
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.helpers.driver import ROOT, chromium, open_page, server

PAGES = {
    "loss": "/?at=12",
    "perplexity": "/perplexity",
    "pitfalls": "/perplexity?part=pitfalls",
    "compression": "/compression",
    "probabilities": "/token_probabilities?model=smollm2-135m&at=15&input=The capital of France is Paris",
    "cuts": "/token_probabilities?at=12&top_k=50&top_p=0.9&token=464&pin=13&pin=t262",
    "surprise": "/surprise?model=smollm2-135m",
    "temperature": "/temperature?model=smollm2-135m&temperature=0.7&made=10",
    "compare": "/compare",
    "dataset": "/data_set_loss?model=bigram",
    "training": "/training",
}
SIZES = ((1920, 1080), (1440, 900), (1280, 720), (390, 844))
LONGEST = 5000


def main() -> None:
    folder = ROOT / "screenshots"
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as logs, server(Path(logs) / "log") as app, chromium() as browser:
        for name, path in PAGES.items():
            for width, height in SIZES:
                for scheme in ("light", "dark"):
                    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
                    open_page(page, app.url + path)
                    page.wait_for_timeout(1000)
                    first = folder / f"{name}-{width}x{height}-{scheme}.png"
                    page.screenshot(path=first)
                    whole = page.evaluate("document.querySelector('[data-testid=stMainBlockContainer]').scrollHeight")
                    page.set_viewport_size({"width": width, "height": min(max(whole, height), LONGEST)})
                    page.wait_for_timeout(700)
                    page.screenshot(path=first.with_stem(first.stem + "-whole"))
                    page.close()
                    print(first.relative_to(ROOT))


if __name__ == "__main__":
    main()
