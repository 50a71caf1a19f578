"""Plants known bugs, one at a time, and expects the tests to notice each.

    python3 tests/planted/run.py              every bug
    python3 tests/planted/run.py WORD...      only those whose name has one of these words

Works in a copy of the tree under target/planted; the tree itself is left alone. A bug is caught if the
planted program compiles and one of the tests named beside it fails. Text that a bug replaces and that is
not in the tree any more is an error: the bug has to be planted anew where the code went.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from bugs import BUGS

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
COPY = TARGET / "planted" / "tree"
# A planted bug may well hang what waits for it.
TEST_TIMEOUT_S = 300
# The first of them builds everything.
BUILD_TIMEOUT_S = 1200


def fresh_copy():
    """The tracked files of the tree as they are now."""
    shutil.rmtree(COPY, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    for name in listed.decode().split("\0"):
        source, copy = ROOT / name, COPY / name
        if not name or not source.is_file():
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, copy)


def plant(bug):
    """Writes the bug into the copy; answers what to write back."""
    before = {}
    for name, old, new in bug.edits:
        file = COPY / name
        text = file.read_text()
        before.setdefault(file, text)
        if text.count(old) != 1:
            restore(before)
            raise LookupError(f"{name} has this {text.count(old)} times and not once:\n{old}")
        file.write_text(text.replace(old, new))
    return before


def restore(before):
    for file, text in before.items():
        file.write_text(text)


def cargo(*args):
    """Runs cargo in the copy: exit code, or None if it took too long, and what it said."""
    environment = {**os.environ, "CARGO_TARGET_DIR": str(TARGET / "planted" / "target"), "CARGO_INCREMENTAL": "1"}
    try:
        done = subprocess.run(
            ["cargo", "test", "--locked", *args],
            cwd=COPY,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=BUILD_TIMEOUT_S if "--no-run" in args else TEST_TIMEOUT_S,
        )
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        said = late.stdout or b""
        return None, said.decode(errors="replace") if isinstance(said, bytes) else said


def caught_by(bug):
    """The tests that failed with the bug in place; none if nobody noticed."""
    code, said = cargo("--no-run", *bug.target)
    if code != 0:
        raise RuntimeError("the planted program does not compile:\n" + said[-3000:])
    code, said = cargo("--no-fail-fast", *bug.target, "--", *bug.tests)
    if code == 0:
        ran = sum(int(count) for count in re.findall(r"test result: ok\. (\d+) passed", said))
        if ran == 0:
            raise RuntimeError(f"no test is called {bug.tests}")
        return []
    failed = sorted(set(re.findall(r"^test (\S+) \.\.\. FAILED", said, re.MULTILINE)))
    return failed or ["(took too long)" if code is None else "(the test program died)"]


def main():
    words = sys.argv[1:]
    chosen = [bug for bug in BUGS if not words or any(word in bug.name for word in words)]
    fresh_copy()
    passed = failed = 0
    for bug in chosen:
        began = time.monotonic()
        try:
            before = plant(bug)
            try:
                caught = caught_by(bug)
            finally:
                restore(before)
            verdict = f"caught by {', '.join(caught)}" if caught else "NOT CAUGHT"
        except (LookupError, RuntimeError) as fault:
            caught, verdict = [], f"NOT PLANTED: {fault}"
        passed, failed = passed + bool(caught), failed + (not caught)
        print(f"{bug.name} ({time.monotonic() - began:.0f} s): {verdict}", flush=True)
    print(f"\n{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
