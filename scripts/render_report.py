"""Takes the picture of a report that the README shows: the upper part of a run's report.html, 1200 pixels wide.

Needs Chromium or Chrome on the path; neither the package nor its tests do. The browser runs without a window, with a
profile of its own that is thrown away, and the page asks nothing of the network.

Run it: python scripts/render_report.py runs/demo-7 docs/report.png
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTH, HEIGHT = 1200, 1500
TIME_LIMIT_S = 120


def take_picture(page: Path, picture: Path) -> None:
    """Draw the upper part of ``page`` into the PNG file ``picture``.

    Raises:
        SystemExit: there is no page, no browser, or the browser drew nothing.
    """
    if not page.is_file():
        sys.exit(f"{page}: there is no such report; make one with: chainsec demo")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"none of {', '.join(BROWSERS)} is installed")
    with tempfile.TemporaryDirectory() as folder:
        drawn = Path(folder) / "picture.png"
        options = (
            "--headless",
            "--no-sandbox",  # the page is our own, has no script, and containers have no user namespaces
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--hide-scrollbars",
            f"--user-data-dir={folder}/profile",
            f"--window-size={WIDTH},{HEIGHT}",
            f"--screenshot={drawn}",
        )
        done = subprocess.run(  # noqa: S603 - a browser found on the path, with arguments of our own
            [browser, *options, page.resolve().as_uri()], capture_output=True, check=False, timeout=TIME_LIMIT_S
        )
        if done.returncode or not drawn.is_file():
            sys.exit(f"{browser} drew nothing: {done.stderr.decode(errors='replace')[-500:]}")
        shutil.copyfile(drawn, picture)


def main() -> None:
    """Read the run's directory and the picture's path from the command line."""
    try:
        run, picture = map(Path, sys.argv[1:])
    except ValueError:
        sys.exit(__doc__)
    take_picture(run / "report.html", picture)
    print(f"{picture}: {picture.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
