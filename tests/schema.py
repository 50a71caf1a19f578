"""The schema that `filmgate schema` prints, held to what `filmgate check` says, by the linter that editors use.

Taplo is the language server of most TOML editors. It has to accept every file that the gateway accepts, and to
refuse every faulty one, but for those whose faults no schema can express; each of these is listed with the reason.
Ends with the line `N passed, N failed`.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "clients"))
import toolchains  # noqa: E402

FIXTURES = ROOT / "tests" / "fixtures" / "policy"

# Faults between one value and another, in the world outside the file, or in the text of a value.
BEYOND = {
    "admin-hosts": "what is a host's name has more rules than a pattern",
    "missing-environment-variable": "the environment",
    "model-that-no-route-offers": "names of other tables",
    "one-address-for-both": "two values that are equal",
    "pattern-too-long": "bytes, not characters",
    "patterns-too-large-together": "what they compile to",
    "rule-for-what-nobody-makes": "what other tables offer",
    "rule-names-unknown-routes": "names of other tables",
    "rule-that-an-earlier-one-takes": "what other rules match",
    "rule-that-cannot-serve": "what other tables offer",
    "rule-that-nobody-reaches": "what other rules match",
}

failed = []
passed = 0


def expect(so, what):
    global passed
    if so:
        passed += 1
    else:
        failed.append(what)
        print(f"FAILED: {what}")


def main():
    binary = toolchains.CACHE.parent / "debug" / "filmgate"
    taplo = toolchains.python_with("taplo", "taplo").parent / "taplo"
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        schema = place / "gateway.schema.json"
        schema.write_bytes(subprocess.run([binary, "schema"], check=True, capture_output=True).stdout)

        def lint(text, *options):
            file = place / "gateway.toml"
            file.write_text(text)
            told = subprocess.run([taplo, "lint", "--no-auto-config", *options, file], capture_output=True, text=True, cwd=place)
            return told.returncode == 0, told.stderr

        by_option = ["--schema", schema.as_uri()]

        def accepts(name, text):
            fine, told = lint(text, *by_option)
            expect(fine, f"{name} is sound, and the schema refuses it:\n{told}")

        shipped = (ROOT / "gateway.toml").read_text()
        accepts("gateway.toml", shipped)
        in_use = [line[1:] if line.startswith("#") and (line[1:2] == "[" or line[1:2].islower()) else line for line in shipped.splitlines()]
        accepts("gateway.toml with everything in use", "\n".join(in_use))
        for file in sorted((FIXTURES / "ok").glob("*.toml")):
            accepts(file.name, file.read_text(encoding="utf-8-sig"))

        for file in sorted((FIXTURES / "bad").glob("*.toml")):
            fine, told = lint(file.read_text(encoding="utf-8-sig"), *by_option)
            expect(fine == (file.stem in BEYOND), f"{file.name}: the schema {'accepts' if fine else 'refuses'} it: {BEYOND.get(file.stem)}\n{told}")
        expect(all((FIXTURES / "bad" / f"{name}.toml").exists() for name in BEYOND), "BEYOND names files that there are")

        # As README.md says it: a comment in the file's first line is enough.
        pointed = "#:schema ./gateway.schema.json\n"
        fine, told = lint(pointed + shipped)
        expect(fine, f"the shipped file is refused by the schema in its first line:\n{told}")
        fine, told = lint(pointed + shipped.replace("[server]", "[server]\nlisen = 1"))
        expect(not fine and "lisen" in told, f"a misspelt key is not noticed by the schema in the first line:\n{told}")

    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed else 0


sys.exit(main())
