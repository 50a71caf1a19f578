"""The official SDKs, each in a place of its own under target/clients.

Everything is pinned: `constraints.txt` for Python, `package-lock.json` (with hashes) for Node. A
toolchain that is already there is used as it is.
"""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "clients"

# The first release that has `client.videos`, one from the middle, and the newest.
PYTHON_SDKS = ["2.2.0", "2.41.1", "3.54.0"]
NODE_SDKS = ["6.2.0", "7.57.0"]


def python_with(name, *packages):
    """The interpreter of a virtual environment that holds `packages`, made if it is not there."""
    home = CACHE / name
    python = home / "bin" / "python"
    wanted = "\n".join(packages) + "\n" + (HERE / "constraints.txt").read_text()
    receipt = home / "receipt"
    if receipt.exists() and receipt.read_text() == wanted:
        return python
    shutil.rmtree(home, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--constraint", str(HERE / "constraints.txt"), *packages], check=True)
    receipt.write_text(wanted)
    return python


def python_sdk(version):
    """An interpreter with that release of openai-python."""
    return python_with(f"python-{version}", f"openai=={version}")


def node_sdks():
    """A Node of the release that the newest SDK asks for, and the folder from which both SDKs are imported."""
    home = CACHE / "node"
    home.mkdir(parents=True, exist_ok=True)
    lock = (HERE / "package-lock.json").read_text()
    receipt = home / "receipt"
    if not (receipt.exists() and receipt.read_text() == lock):
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, home / name)
        subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=home, check=True)
        receipt.write_text(lock)
    cpu = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    pinned = home / "node_modules" / f"node-linux-{cpu}" / "bin" / "node"
    return (pinned if pinned.exists() else Path(shutil.which("node"))), home
