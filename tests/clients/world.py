"""A gateway to be driven: the provider simulator in one process, the gateway in another.

Three routes, one for each dialect the gateway must hide, and for each driver a tenant of its own
whose jobs all go to one of them. What a driver lists is therefore exactly what it made.
"""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from mailbox import SECRET
from toolchains import CACHE, HERE, ROOT

DIALECTS = json.loads((HERE / "dialects.json").read_text())

# How many times faster than life the simulator makes clips: a clip of four seconds takes about half a second.
SPEED = 60
START_TIMEOUT_S = 30

HEAD = """\
[server]
listen = "127.0.0.1:{port}"
admin = "127.0.0.1:{admin_port}"

[store]
url = "sqlite:{folder}/filmgate.db"

[archive]
url = "file:{folder}/clips"

[telemetry]
log = "text"
"""

ROUTE = """
[routes.{dialect}]
provider = "{dialect}"
base_url = "http://127.0.0.1:{simulator_port}/{path}"
api_key = "file:{folder}/upstream-key"
poll = {{ early = "200ms", late = "200ms" }}
[routes.{dialect}.models.sora-2]
seconds = {lengths}
price = "0.10"

[[rules]]
when = {{ tenant = {tenants} }}
routes = ["{dialect}"]
"""

TENANT = """
[tenants.{name}]
keys = ["sha256:{key_hash}"]
budget = {{ cap = "{cap}"{per} }}
webhook = {{ url = "{mailbox}/{name}", secret = "{secret}", allow_private = true }}
"""


def binary():
    """The gateway under test: $FILMGATE, or what cargo built last."""
    if "FILMGATE" in os.environ:
        return os.environ["FILMGATE"]
    built = CACHE.parent / "debug" / "filmgate"
    if not built.exists():
        subprocess.run(["cargo", "build", "--quiet", "--bin", "filmgate"], cwd=ROOT, check=True)
    return str(built)


def free_port():
    """A port that nobody listens on at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def tenant_for(driver, dialect):
    """The tenant that a driver acts as when its jobs are to go through `dialect`."""
    return f"{driver}-{dialect}".replace(".", "-")


def policy(folder, ports, drivers, own_tests_key, mailbox):
    """The text of a gateway.toml with a rich and a poor tenant for each driver and dialect."""
    simulator_port, port, admin_port = ports
    text = HEAD.format(port=port, admin_port=admin_port, folder=folder)
    tenants = []
    for dialect, offer in DIALECTS.items():
        names = [tenant_for(driver, dialect) for driver in drivers]
        poor = f"poor-{dialect}"
        mine = [*names, poor, *(["openai-python-tests"] if dialect == "openai" else [])]
        text += ROUTE.format(
            dialect=dialect,
            path=offer["simulated_at"],
            lengths=offer["lengths_s"],
            tenants=json.dumps(mine),
            folder=folder,
            simulator_port=simulator_port,
        )
        tenants += [(name, f"key-of-{name}", "unlimited") for name in names]
        tenants.append((poor, f"key-of-{poor}", "0.10"))
    tenants.append(("openai-python-tests", own_tests_key, "unlimited"))
    for name, key, cap in tenants:
        key_hash = hashlib.sha256(key.encode()).hexdigest()
        per = "" if cap == "unlimited" else ', per = "total"'
        text += TENANT.format(name=name, key_hash=key_hash, cap=cap, per=per, mailbox=mailbox, secret=SECRET)
    return text


def wait_until_it_answers(url, process, log):
    """Returns once `url` answers anything at all; complains with the log's end if the process dies or takes too long."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    state = "did not answer" if process.poll() is None else f"ended with {process.returncode}"
    raise SystemExit(f"{' '.join(map(str, process.args))} {state}; the end of its log {log}:\n{log.read_text()[-3000:]}")


@contextmanager
def world(drivers, mailbox, own_tests_key="My API Key"):
    """Runs simulator and gateway for the length of a `with`, and yields the gateway's root URL and that of the provider's bill.

    Tenants are told of events at `mailbox`.
    """
    # TOML paths and log files of one run; kept only if something in the run raised.
    folder = Path(tempfile.mkdtemp(prefix="filmgate-clients-"))
    simulator_port, port, admin_port = free_port(), free_port(), free_port()
    # The simulator takes any key; a real one would be a secret, so it is given like one.
    (folder / "upstream-key").write_text("sk-simulated\n")
    (folder / "upstream-key").chmod(0o600)
    config = folder / "gateway.toml"
    config.write_text(policy(folder, (simulator_port, port, admin_port), drivers, own_tests_key, mailbox))

    processes = []

    def start(name, url, *arguments):
        log = folder / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen([binary(), *arguments], stdout=out, stderr=subprocess.STDOUT, cwd=folder)
        processes.append(process)
        wait_until_it_answers(url, process, log)

    try:
        start(
            "simulator",
            f"http://127.0.0.1:{simulator_port}/",
            *("simulate", "--listen", f"127.0.0.1:{simulator_port}", "--speed", str(SPEED)),
        )
        start("gateway", f"http://127.0.0.1:{port}/v1/models", "serve", "--config", str(config))
        yield f"http://127.0.0.1:{port}", f"http://127.0.0.1:{simulator_port}/_simulator/bill"
    except BaseException:
        print(f"logs and policy are kept in {folder}")
        raise
    else:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        for process in reversed(processes):
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
