"""Identical calls of an official SDK over a line that loses a third of the answers: nobody pays twice.

    BASE_URL=… API_KEY=… BILL_URL=… python resends.py

The SDK sends a create again by itself and names no key. BASE_URL leads through the losing line, BILL_URL to
the provider's own bill. Prints a line for each thing that has to hold; fails if one does not.
"""

import json
import os
import sys
import urllib.request
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

# The SDK marks all of `videos` as deprecated, whoever serves it.
warnings.simplefilter("ignore", DeprecationWarning)

import openai
from openai import OpenAI

INTENT = "resends"
CALLS = 400
THREADS = 40


def bill():
    """What the provider says that it was paid for."""
    with urllib.request.urlopen(os.environ["BILL_URL"], timeout=10) as answer:
        return [job for job in json.load(answer)["jobs"] if job["intent"] == INTENT]


def main():
    sent = []
    hooks = {"request": [lambda request: sent.append(request.headers["x-stainless-retry-count"])]}
    transport = openai.DefaultHttpxClient(event_hooks=hooks)
    client = OpenAI(base_url=os.environ["BASE_URL"], api_key=os.environ["API_KEY"], http_client=transport)

    def call(_):
        try:
            return client.videos.create(prompt=f"a fox in the snow #intent:{INTENT}", model="sora-2", seconds="4").id
        except openai.APIConnectionError:
            return None

    with ThreadPoolExecutor(THREADS) as threads:
        ids = list(threads.map(call, range(CALLS)))
    paid = bill()

    answered = [id for id in ids if id]
    shared = sum(count - 1 for count in Counter(answered).values())
    resent = sum(count != "0" for count in sent)
    print(f"note {CALLS} calls, {len(sent)} sendings, {len(answered)} answered, {len(paid)} paid, {shared} share a clip", flush=True)
    holds = {
        "the line lost enough for the sdk to send again": resent > CALLS // 10,
        "nobody paid twice: there is at most one clip for each call": len(paid) <= CALLS,
        "no answer names a clip that was not paid for": len(set(answered)) <= len(paid),
        "most calls that were answered have a clip of their own": shared < CALLS // 3,
    }
    for sentence, held in holds.items():
        print(f"{'ok  ' if held else 'FAIL'} {sentence}", flush=True)
    sys.exit(not all(holds.values()))


if __name__ == "__main__":
    main()
