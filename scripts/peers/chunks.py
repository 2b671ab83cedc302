"""Decoding ahead of an engine, with bounded memory."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor


def decode_ahead(paths, batch_size, threads, ahead, load):
    """Yields `(first index, number of images, load(paths of the batch))` in order.

    `threads` threads decode (Pillow releases the GIL for most of it), at most `ahead` batches before they
    are asked for.
    """
    starts = iter(range(0, len(paths), batch_size))
    waiting = deque()
    with ThreadPoolExecutor(threads) as pool:

        def submit():
            start = next(starts, None)
            if start is not None:
                batch = paths[start : start + batch_size]
                waiting.append((start, len(batch), pool.submit(load, batch)))

        for _ in range(ahead):
            submit()
        while waiting:
            start, count, future = waiting.popleft()
            submit()
            yield start, count, future.result()
