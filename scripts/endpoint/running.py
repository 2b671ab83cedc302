"""A running `ec2train serve`, and what `ec2train predict` says of the same images."""

import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.request

STARTED = re.compile(rb"listening on http://([0-9.]+:[0-9]+)")


class Server:
    """Ends with the `with` block, by SIGTERM, and must exit with 0."""

    def __init__(self, program, sample, log="serve.log"):
        self.command = [program, "serve", "--listen", "127.0.0.1:0"] + (["--sample"] if sample else [])
        self.log = log

    def __enter__(self):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=log)
        self.address = self._wait(self._read_address)
        self.url = f"http://{self.address}"
        self._wait(self._ping)
        return self

    def __exit__(self, kind, error, traceback):
        self.process.terminate()
        code = self.process.wait(timeout=30)
        if kind is None and code != 0:
            raise SystemExit(f"the server ended with {code}; see {self.log}")

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))

    def _wait(self, condition):
        for _ in range(600):
            value = condition()
            if value:
                return value
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise SystemExit(f"the server did not start; see {self.log}")

    def _read_address(self):
        with open(self.log, "rb") as log:
            found = STARTED.search(log.read())
        return found and found.group(1).decode()

    def _ping(self):
        try:
            return urllib.request.urlopen(f"{self.url}/ping", timeout=5).status == 200
        except urllib.error.HTTPError:
            return False


def predict(program, sample, images):
    """Logits of each image by `ec2train predict`."""
    command = [program, "predict", "--json"] + (["--sample"] if sample else []) + [os.fspath(path) for path in images]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return [image["logits"] for image in json.loads(output)]


def test_images(sample, count):
    """Of the test split, spread over the classes."""
    from pathlib import Path

    folder = Path("data/sample/images/test" if sample else "data/dogImages/test")
    images = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in (".jpg", ".jpeg"))
    if not images:
        raise SystemExit(f"no images in {folder}: `ec2train fetch`, or `--sample` after `ec2train train --sample`")
    return images[:: max(1, len(images) // count)][:count]
