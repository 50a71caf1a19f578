"""Does what README.md says, block by block.

    python3 tests/readme.py [FILE]

Each fenced block is dealt with by its tag, from the top down, all in one empty folder with a copy
of the shipped `gateway.toml`:

    bash            is run, and must succeed
    bash server     is run, must begin to serve on port 8080, and stays until the next one or the end
    console         its `$ ` lines are run; what they print must be what is shown, `…` standing for anything
    python          is run by an interpreter that has the newest official SDK
    js              is run by Node, likewise
    toml            is a whole policy, and `filmgate check` must accept it
    toml part       is added to the end of the shipped gateway.toml, and `filmgate check` must accept that
    text, json, …   are for reading

The programs are those just built: `filmgate` and `./target/release/filmgate` are that binary, and
`cargo run … -- ARGS` and `cargo build` are stood in for by it. A block with no tag, or one whose
tag nobody knows, is a failure: it might be a promise. Ends with a line `N passed, N failed`.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "clients"))

from toolchains import node_sdks, python_sdk
from world import binary

BLOCK_TIMEOUT_S = 120
START_TIMEOUT_S = 60
PORTS = (8080, 9090)
FOR_READING = {"text", "json", "http", "mermaid"}

CARGO = """\
#!/usr/bin/env bash
# Stands in for cargo: what it would build has been built.
case "$1" in
    build | install) exit 0 ;;
    run) while [ "$#" -gt 0 ] && [ "$1" != "--" ]; do shift; done; [ "$#" -eq 0 ] || shift; exec filmgate "$@" ;;
    *) echo "README.md runs \\`cargo $*\\`, which tests/readme.py does not stand in for" >&2; exit 1 ;;
esac
"""


def blocks(text):
    """The fenced blocks: line number, tag, text."""
    found, start, tag, lines = [], None, "", []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            if start is None:
                start, tag, lines = number, line.removeprefix("```").strip(), []
            else:
                found.append((start, tag, "\n".join(lines) + "\n"))
                start = None
        elif start is not None:
            lines.append(line)
    assert start is None, f"the block of line {start} is not closed"
    return found


def listens(port):
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Reader:
    """Somebody who does what the page says, in a folder of his own."""

    def __init__(self, folder):
        self.folder = folder
        self.server = None
        programs = folder / ".programs"
        release = folder / "target" / "release"
        for place in (programs, release):
            place.mkdir(parents=True)
            (place / "filmgate").symlink_to(Path(binary()).resolve())
        (programs / "cargo").write_text(CARGO)
        (programs / "cargo").chmod(0o755)
        shutil.copy(ROOT / "gateway.toml", folder)
        self.environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONWARNINGS": "ignore::DeprecationWarning"}

    def run(self, command, **extra):
        """Runs a command to its end; raises with what it said if it fails."""
        done = subprocess.run(
            command, cwd=self.folder, env={**self.environment, **extra}, capture_output=True, text=True, timeout=BLOCK_TIMEOUT_S
        )
        assert done.returncode == 0, f"ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}"
        return done.stdout + done.stderr

    def bash(self, text):
        return self.run(["bash", "-euo", "pipefail", "-c", text])

    def python(self, text):
        return self.run([str(python_sdk("3.54.0")), "-c", text])

    def js(self, text):
        node, home = node_sdks()
        modules = self.folder / "node_modules"
        modules.mkdir(exist_ok=True)
        if not (modules / "openai").exists():
            (modules / "openai").symlink_to(home / "node_modules" / "openai-7.57.0")
        (self.folder / "block.mjs").write_text(text)
        return self.run([str(node), "block.mjs"])

    def console(self, text):
        """Runs the `$ ` lines one by one and compares what they print with what follows them."""
        text = re.sub(r"\\\n", "", text)
        assert text.startswith("$ "), "a console block begins with `$ `"
        for part in re.split(r"(?m)^\$ ", text)[1:]:
            command, _, shown = part.partition("\n")
            printed = self.bash(command)
            pattern = re.escape(shown.strip()).replace("…", ".*")
            assert re.fullmatch(pattern, printed.strip(), re.DOTALL), f"`{command}` printed\n{printed}\nand not\n{shown}"

    def toml(self, text):
        """Checks a whole policy; secrets that it takes from the environment are there."""
        policy = self.folder / "block.toml"
        policy.write_text(text)
        secrets = {name: "a-secret-for-the-test" for name in re.findall(r'"env:(\w+)"', text)}
        self.run(["filmgate", "check", str(policy)], **secrets)

    def toml_part(self, text):
        self.toml((ROOT / "gateway.toml").read_text() + "\n" + text)

    def bash_server(self, text):
        """Starts what keeps running, in place of what ran before."""
        self.stop()
        taken = [port for port in PORTS if listens(port)]
        assert not taken, f"another process listens on port {taken}; stop it, README.md needs that port"
        log = (self.folder / ".server.log").open("w+")
        command = ["bash", "-euo", "pipefail", "-c", text]
        self.server = subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not listens(PORTS[0]):
            log.seek(0)
            assert self.server.poll() is None, f"it ended with {self.server.returncode}:\n{log.read()[-2000:]}"
            assert time.monotonic() < deadline, f"nobody listens on port {PORTS[0]} after {START_TIMEOUT_S} s:\n{log.read()[-2000:]}"
            time.sleep(0.1)

    def stop(self):
        """Ends the server and all that it started."""
        if self.server is None:
            return
        try:
            os.killpg(self.server.pid, 15)
            self.server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(self.server.pid, 9)
            self.server.wait()
        except ProcessLookupError:
            pass
        self.server = None


def main(page):
    found = blocks(page.read_text())
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="filmgate-readme-") as folder:
        reader = Reader(Path(folder))
        does = {
            **{"bash": reader.bash, "bash server": reader.bash_server, "console": reader.console},
            **{"python": reader.python, "js": reader.js, "toml": reader.toml, "toml part": reader.toml_part},
        }
        try:
            for line, tag, text in found:
                if tag in FOR_READING:
                    continue
                try:
                    assert tag in does, f"the tag `{tag}` is none of {', '.join([*does, *sorted(FOR_READING)])}"
                    does[tag](text)
                    passed += 1
                except (AssertionError, subprocess.TimeoutExpired) as fault:
                    failed += 1
                    print(f"{page.name}:{line}: {tag or 'a block'} does not do what it says: {fault}", flush=True)
        finally:
            reader.stop()
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0 or passed == 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "README.md")
