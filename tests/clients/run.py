"""Drives a gateway with the official SDKs, through every dialect it hides.

    python3 tests/clients/run.py [SDK…]       python-3.54.0, node-7.57.0, own-tests, resends; all of them if none is named

Ends with a line `N passed, N failed`. The gateway is $FILMGATE, or the one that cargo built last.
"""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import openai_own_tests
from losing import losing_line
from mailbox import SECRET, mailbox
from media import png
from toolchains import CACHE, HERE, NODE_SDKS, PYTHON_SDKS, node_sdks, python_sdk
from world import DIALECTS, tenant_for, world

DRIVER_TIMEOUT_S = 300
# They mostly wait for clips; more at once would only make the machine the slowest part.
DRIVERS_AT_ONCE = 6
DRIVERS = [f"python-{version}" for version in PYTHON_SDKS] + [f"node-{version}" for version in NODE_SDKS]
OWN_TESTS = "own-tests"
RESENDS = "resends"
# A third of the answers are lost, whoever is to blame.
LOST_SHARE, LOST_SEED = 1 / 3, 1


def command(driver):
    """The driver's command line, and what its environment needs beside the keys."""
    language, version = driver.split("-")
    if language == "python":
        return [python_sdk(version), HERE / "drive.py"], {}
    node, home = node_sdks()
    picture = CACHE / "720x1280.png"
    picture.write_bytes(png(720, 1280))
    return [node, HERE / "drive.mjs"], {"SDK": str(home / "node_modules" / f"openai-{version}"), "PICTURE": str(picture)}


def drive(driver, dialect, root_url, mailbox_url):
    """One SDK through one dialect: the driver's lines, the last of them a complaint if it broke off."""
    arguments, extra = command(driver)
    environment = {
        **clean_environment(),
        "BASE_URL": f"{root_url}/v1",
        "API_KEY": f"key-of-{tenant_for(driver, dialect)}",
        "POOR_KEY": f"key-of-poor-{dialect}",
        "DIALECT": dialect,
        "MAILBOX": f"{mailbox_url}/{tenant_for(driver, dialect)}",
        "HOOK_SECRET": SECRET,
        **extra,
    }
    return run(arguments, environment, driver)


def run(command, environment, who):
    """The lines of a script, the last of them a complaint if it broke off."""
    try:
        done = subprocess.run(
            [str(part) for part in command], env=environment, capture_output=True, text=True, timeout=DRIVER_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return [f"FAIL {who} did not end within {DRIVER_TIMEOUT_S} s"]
    for line in done.stdout.splitlines():
        if line.startswith("note "):
            print(f"{who}: {line.removeprefix('note ')}", flush=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith(("ok   ", "FAIL "))]
    failed = any(line.startswith("FAIL ") for line in lines)
    if not lines or failed != (done.returncode == 1) or done.returncode not in (0, 1):
        lines.append(f"FAIL {who} broke off with {done.returncode}: {done.stderr.strip()[-1500:]}")
    return lines


def clean_environment():
    """The environment without what an SDK would read by itself."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "AZURE_"))}


def resends(root_url, bill_url):
    """The newest SDK over a line that loses answers, a third of them."""
    port = int(root_url.rsplit(":", 1)[1])
    with losing_line(port, LOST_SHARE, LOST_SEED) as (line, tally):
        environment = {
            **clean_environment(),
            "BASE_URL": f"http://127.0.0.1:{line}/v1",
            "API_KEY": f"key-of-{tenant_for(RESENDS, 'openai')}",
            "BILL_URL": bill_url,
        }
        lines = run([python_sdk(PYTHON_SDKS[-1]), HERE / "resends.py"], environment, RESENDS)
    print(f"{RESENDS}: the line {', '.join(f'{what} {count}' for what, count in tally.items())}", flush=True)
    return lines


def own_tests(base_url):
    """OpenAI's own tests, the last line a complaint if they broke off."""
    try:
        return openai_own_tests.run(base_url)
    except Exception as fault:
        return [f"FAIL {OWN_TESTS} broke off: {type(fault).__name__}: {fault}"]


def timed(call, *arguments):
    """What `call` answers, and how many seconds that took."""
    began = time.monotonic()
    return call(*arguments), time.monotonic() - began


def main(wanted):
    known = [*DRIVERS, OWN_TESTS, RESENDS]
    unknown = set(wanted) - set(known)
    if unknown:
        raise SystemExit(f"no such SDK: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    drivers = [driver for driver in DRIVERS if not wanted or driver in wanted]
    for driver in drivers:
        command(driver)
    passed = failed = 0

    def count(title, lines, took_s):
        nonlocal passed, failed
        good = sum(line.startswith("ok") for line in lines)
        passed, failed = passed + good, failed + len(lines) - good
        print(f"{title}: {good} of {len(lines)} in {took_s:.1f} s", flush=True)
        for line in lines:
            if not line.startswith("ok"):
                print(f"  {line}", flush=True)

    with mailbox() as mailbox_url, world([*drivers, RESENDS], mailbox_url) as (root_url, bill_url):
        with ThreadPoolExecutor(DRIVERS_AT_ONCE) as pool:
            runs = [(driver, dialect, pool.submit(timed, drive, driver, dialect, root_url, mailbox_url)) for driver in drivers for dialect in DIALECTS]
            for driver, dialect, run in runs:
                count(f"{driver} through {dialect}", *run.result())
        if not wanted or OWN_TESTS in wanted:
            count("openai-python's own tests", *timed(own_tests, f"{root_url}/v1"))
        if not wanted or RESENDS in wanted:
            count("openai-python over a line that loses answers", *timed(resends, root_url, bill_url))
        print(f"{passed} passed, {failed} failed", flush=True)
        if failed or not passed:
            sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
