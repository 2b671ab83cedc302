"""Sends requests for an hour or many, one in ten of them bad, and watches answers and memory.

Ends with 1 when an answer is wrong, the server ends, or its memory (RSS) grows by more than 5 % after the
first tenth of the requests. Run by scripts/soak_endpoint.sh.
"""

import argparse
import base64
import http.client
import json
import random
import socket
import struct
import sys
import threading
import time
import zlib

from running import Server, predict, test_images

JSON = "application/json"
FORM = "multipart/form-data; boundary=x"


def png_bomb():
    header = struct.pack(">IIBBBBB", 16000, 16000, 8, 2, 0, 0, 0)
    chunk = lambda name, data: struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")


def jpeg_bomb(jpeg):
    frame = next(jpeg.find(marker) for marker in (b"\xff\xc0", b"\xff\xc2") if marker in jpeg)
    return jpeg[: frame + 5] + b"\x3f\xff\x3f\xff" + jpeg[frame + 9 :]


def malformed(jpeg):
    """Content type, body, status, of requests that are sent as they should be but are wrong."""
    encoded = base64.b64encode(jpeg).decode()
    image, text = {"image": encoded}, {"image": base64.b64encode(b"text").decode()}
    as_json = lambda value: json.dumps(value).encode()
    return [
        ("image/jpeg", b"", 400),
        ("image/jpeg", b"this is no image", 400),
        ("image/jpeg", jpeg[:100], 400),
        ("image/jpeg", jpeg_bomb(jpeg), 400),
        ("image/png", png_bomb(), 400),
        ("image/png", b"\x89PNG\r\n\x1a\n", 400),
        ("image/webp", b"RIFF\x10\x00\x00\x00WEBPVP8 ", 400),
        ("image/gif", b"GIF89a\xff\xff\xff\xff", 400),
        ("application/octet-stream", bytes(5000), 400),
        ("image/jpeg", b"x" * (7 << 20), 413),
        ("text/plain", jpeg, 415),
        ("", jpeg, 415),
        (JSON, b"{", 400),
        (JSON, b"\xff\xfe", 400),
        (JSON, as_json({}), 400),
        (JSON, as_json({"image": "%%%"}), 400),
        (JSON, as_json({"image": encoded, "url": "http://127.0.0.1/"}), 400),
        (JSON, as_json(text), 400),
        (JSON, as_json({"instances": []}), 400),
        (JSON, as_json({"instances": [image, text]}), 400),
        (JSON, as_json({"instances": [text] * 40}), 400),
        (JSON, as_json({"url": "http://127.0.0.1:22/"}), 400),
        (JSON, as_json({"url": "file:///etc/passwd"}), 400),
        ("multipart/form-data", b"x", 400),
        (FORM, b"--x\r\ncontent-disposition: form-data; name=\"image\"\r\n\r\n" + jpeg, 400),
    ]


def broken(jpeg):
    """What is sent before the connection is cut."""
    head = f"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: image/jpeg\r\ncontent-length: {len(jpeg)}\r\n\r\n"
    return [b"", b"GET /ping", b"\x16\x03\x01\x02", head.encode() + jpeg[: len(jpeg) // 2], head.encode() + jpeg]


def good(jpeg):
    encoded = base64.b64encode(jpeg).decode()
    form = b"--x\r\ncontent-disposition: form-data; name=\"image\"\r\n\r\n" + jpeg + b"\r\n--x--\r\n"
    return [
        ("image/jpeg", jpeg),
        ("application/x-image", jpeg),
        (JSON, json.dumps({"image": encoded}).encode()),
        (FORM, form),
    ]


class Soak:
    def __init__(self, server, images, logits, total, seed, overload):
        self.server, self.total, self.seed, self.overload = server, total, seed, overload
        self.lock = threading.Lock()
        self.done = self.bad = self.busy = self.right = 0
        self.failures = []
        files = [path.read_bytes() for path in images]
        self.good = [(kind, body, row) for file, row in zip(files, logits) for kind, body in good(file)]
        self.malformed, self.broken = malformed(files[0]), broken(files[0])

    def client(self, index):
        rng = random.Random(self.seed + index)
        connection = http.client.HTTPConnection(self.server.address, timeout=60)
        while not self.failures:
            with self.lock:
                if self.done >= self.total:
                    return
                self.done += 1
            try:
                if rng.random() < 0.1:
                    with self.lock:
                        self.bad += 1
                    if rng.random() < 0.15:
                        self.send_broken(rng.choice(self.broken))
                    else:
                        kind, body, status = rng.choice(self.malformed)
                        self.check(connection, kind, body, status, None)
                else:
                    kind, body, row = rng.choice(self.good)
                    self.check(connection, kind, body, 200, row)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{error!r}")

    def check(self, connection, kind, body, status, row):
        while True:
            connection.request("POST", "/invocations", body, {"Content-Type": kind})
            response = connection.getresponse()
            reply = response.read()
            if response.status != 503:
                break
            with self.lock:
                self.busy += 1
            seconds = response.headers.get("Retry-After")
            if seconds is None:
                self.failures.append(f"{kind}: 503 without Retry-After")
                return
            time.sleep(int(seconds))
            if self.overload:
                return
        if response.status != status:
            self.failures.append(f"{kind}, {body[:60]!r}: {response.status} {reply[:200]!r}, not {status}")
        elif row is not None:
            if json.loads(reply) != [row]:
                self.failures.append(f"{kind}: other logits than predict's")
            with self.lock:
                self.right += 1

    def send_broken(self, data):
        host, port = self.server.address.split(":")
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--seed", type=int, default=133)
    parser.add_argument("--sample", action="store_true")
    parser.add_argument("--overload", action="store_true", help="a refused request counts, and is not sent again")
    arguments = parser.parse_args()
    images = test_images(arguments.sample, arguments.images)
    logits = predict(arguments.program, arguments.sample, images)
    with Server(arguments.program, arguments.sample, "soak.log") as server:
        soak = Soak(server, images, logits, arguments.requests, arguments.seed, arguments.overload)
        threads = [threading.Thread(target=soak.client, args=(index,)) for index in range(arguments.clients)]
        begin = time.monotonic()
        for thread in threads:
            thread.start()
        warm = None
        while any(thread.is_alive() for thread in threads):
            time.sleep(1)
            rss = server.rss_kib()
            if warm is None and soak.done >= arguments.requests / 10:
                warm = rss
            if soak.done % 1000 < 50 or soak.failures:
                print(
                    f"{soak.done} requests, {soak.bad} bad, {soak.right} answered, {soak.busy} busy, RSS {rss} KiB",
                    file=sys.stderr,
                )
        seconds = time.monotonic() - begin
        rss = server.rss_kib()
    growth = rss / (warm or rss) - 1
    for failure in soak.failures[:10]:
        print(f"soak: error: {failure}", file=sys.stderr)
    print(
        f"{soak.done} requests in {seconds:.0f} s, {soak.bad} of them bad in {len(soak.malformed) + len(soak.broken)} ways,"
        f" {soak.right} answered as `predict` does, {soak.busy} times told to come again;"
        f" {len(soak.failures)} failures; RSS {warm} KiB after a tenth,"
        f" {rss} KiB at the end ({growth:+.1%})"
    )
    if soak.failures or growth > 0.05:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
