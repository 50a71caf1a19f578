"""OpenAI's own tests of `client.videos`, run against the gateway.

They are taken from the source distribution of openai-python when this runs, and never kept. They
were written for a mock server that knows every id and takes any bytes for a picture or a clip; the
gateway is none. So the copy is changed in two places, and run twice:

1. Ids that the mock would know become ids of clips and characters that exist. Everything must pass
   but the tests that upload `b"Example data"` as a picture or a clip, and those must fail because
   the gateway answers 400.
2. That upload becomes a real picture or a real clip as well. Everything must pass.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
import xml.etree.ElementTree as ElementTree

from media import png
from toolchains import CACHE, python_with

VERSION = "3.54.0"
API_KEY = "My API Key"  # what the suite's own client fixture says
SUITE = "tests/api_resources/test_videos.py"

# Tests (of both classes) that upload what is not a picture or a clip, and why the gateway must not take it.
UPLOADS_NO_MEDIA = {
    "test_method_create_with_all_params": "`Example data` is no picture: a paid job would start from nothing",
    "test_method_create_character": "`Example data` is no clip",
    "test_raw_response_create_character": "likewise",
    "test_streaming_response_create_character": "likewise",
    "test_method_edit": "`Example data` is no clip",
    "test_raw_response_edit": "likewise",
    "test_streaming_response_edit": "likewise",
    "test_method_extend": "`Example data` is no clip",
    "test_raw_response_extend": "likewise",
    "test_streaming_response_extend": "likewise",
}

# Given to the copied tests as a module: ids that exist, each clip to be deleted only once.
EXISTING = '''
import json
import pathlib

_existing = json.loads((pathlib.Path(__file__).parent / "existing.json").read_text())
VIDEO = _existing["video"]
CHARACTER = _existing["character"]
PICTURE = pathlib.Path(__file__).with_name("picture.png").read_bytes()
CLIP = pathlib.Path(__file__).with_name("clip.mp4").read_bytes()


def video_to_delete():
    return _existing["to_delete"].pop()
'''


def interpreter():
    """An interpreter with the SDK and what its tests need."""
    return str(python_with("own-tests", f"openai=={VERSION}", "pytest", "pytest-asyncio", "aiohttp", "rich", "pillow"))


def unpacked():
    """A fresh copy of the source distribution, downloaded once."""
    downloads = CACHE / "sdist"
    archive = downloads / f"openai-{VERSION}.tar.gz"
    if not archive.exists():
        pip = [interpreter(), "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "openai"]
        subprocess.run([*pip, "--dest", str(downloads), f"openai=={VERSION}"], check=True)
    copy = CACHE / f"openai-{VERSION}"
    shutil.rmtree(copy, ignore_errors=True)
    subprocess.run(["tar", "-xzf", str(archive), "-C", str(CACHE)], check=True)
    # The installed package is tested, not the copy beside the tests.
    shutil.rmtree(copy / "src")
    return copy


def ask(base_url, method, path, body=None, media_type="application/json"):
    """One request to the gateway, and the bytes of its answer."""
    request = urllib.request.Request(
        f"{base_url}{path}", method=method, data=body, headers={"Authorization": f"Bearer {API_KEY}", "Content-Type": media_type}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


def make_what_the_tests_ask_for(base_url, folder, to_delete):
    """Makes finished clips and a character, and writes their ids and the files to upload into `folder`."""
    wish = json.dumps({"prompt": "x", "model": "sora-2"}).encode()
    videos = [json.loads(ask(base_url, "POST", "/videos", wish))["id"] for _ in range(to_delete + 1)]
    deadline = time.monotonic() + 120
    for video in videos:
        while json.loads(ask(base_url, "GET", f"/videos/{video}"))["status"] != "completed":
            assert time.monotonic() < deadline, f"{video} is not done after two minutes"
            time.sleep(0.1)
    clip = ask(base_url, "GET", f"/videos/{videos[0]}/content")
    form = (
        b'--b\r\ncontent-disposition: form-data; name="name"\r\n\r\nx\r\n'
        b'--b\r\ncontent-disposition: form-data; name="video"; filename="clip.mp4"\r\n\r\n' + clip + b"\r\n--b--\r\n"
    )
    character = json.loads(ask(base_url, "POST", "/videos/characters", form, "multipart/form-data; boundary=b"))["id"]
    existing = {"video": videos[0], "to_delete": videos[1:], "character": character}
    (folder / "existing.json").write_text(json.dumps(existing))
    (folder / "clip.mp4").write_bytes(clip)
    (folder / "picture.png").write_bytes(png(720, 1280))
    (folder / "existing.py").write_text(EXISTING)


def with_existing_ids(source):
    """The suite with ids that exist. Tests of content are left alone: they are mocked and never reach a server."""
    parts = re.split(r"(?m)^(?=    (?:async )?def )", source)
    changed = []
    for part in parts:
        name = re.match(r"    (?:async )?def (\w+)", part)
        if name and "download_content" not in name[1]:
            video = "existing.video_to_delete()" if name[1].endswith("_delete") else "existing.VIDEO"
            part = part.replace('"video_123"', video).replace('"char_123"', "existing.CHARACTER")
        changed.append(part)
    return "".join(changed).replace("import pytest\n", "import pytest\n\nfrom tests.api_resources import existing\n", 1)


def with_real_media(source):
    """The suite with a picture where it says picture and a clip where it says clip."""
    source = source.replace('input_reference=b"Example data"', "input_reference=existing.PICTURE")
    return source.replace('video=b"Example data"', "video=existing.CLIP")


def outcomes(home, base_url, source):
    """Runs the suite; answers for each test `passed`, `skipped`, or the text of its failure."""
    (home / SUITE).write_text(source)
    report = home / "report.xml"
    report.unlink(missing_ok=True)
    pytest = [interpreter(), "-m", "pytest", "-q", "-o", "addopts=", "--tb=short", "-p", "no:cacheprovider", f"--junitxml={report}", SUITE]
    environment = {**os.environ, "TEST_API_BASE_URL": base_url}
    done = subprocess.run(pytest, cwd=home, env=environment, capture_output=True, text=True, timeout=300)
    if not report.exists():
        raise SystemExit(f"the suite did not run:\n{done.stdout[-3000:]}\n{done.stderr[-1000:]}")
    results = {}
    for case in ElementTree.parse(report).iter("testcase"):
        fault = case.find("failure") if case.find("failure") is not None else case.find("error")
        text = "passed" if fault is None else (fault.text or "") + fault.get("message", "")
        if case.find("skipped") is not None:
            text = "skipped"
        results[f"{case.get('classname').rsplit('.', 1)[-1]}.{case.get('name')}"] = text
    return results


def judge(results, must_fail):
    """One line for each test that was not skipped: `ok` if it did as it should."""
    lines = []
    for test, outcome in results.items():
        refusal_due = re.sub(r"\[.*", "", test).split(".")[1] in must_fail
        refused = "BadRequestError" in outcome
        if outcome == "skipped":
            continue
        if refusal_due and outcome == "passed":
            lines.append(f"FAIL {test}: passed, though it uploads no media")
        elif (refusal_due and refused) or (not refusal_due and outcome == "passed"):
            lines.append(f"ok   {test}")
        else:
            lines.append(f"FAIL {test}: {outcome.strip()[-600:]}")
    return lines


def run(base_url):
    """Both runs; one line for each test."""
    home = unpacked()
    original = (home / SUITE).read_text()
    folder = (home / SUITE).parent
    source = with_existing_ids(original)
    left = [line.strip() for line in source.splitlines() if re.search(r'"(video|char)_123"', line) and "video_id=" not in line]
    assert not left, f"ids that do not exist are left in the suite: {left}"

    lines = []
    for text, must_fail in ((source, UPLOADS_NO_MEDIA), (with_real_media(source), {})):
        make_what_the_tests_ask_for(base_url, folder, to_delete=20)
        results = outcomes(home, base_url, text)
        seen = {re.sub(r"\[.*", "", test).split(".")[1] for test in results}
        assert set(UPLOADS_NO_MEDIA) <= seen, f"no longer in the suite: {set(UPLOADS_NO_MEDIA) - seen}"
        assert len(results) >= 180, f"only {len(results)} tests were found"
        lines += judge(results, must_fail)
    return lines


if __name__ == "__main__":
    answers = run(os.environ["BASE_URL"])
    print("\n".join(line for line in answers if not line.startswith("ok")))
    good = sum(line.startswith("ok") for line in answers)
    print(f"{good} passed, {len(answers) - good} failed")
    sys.exit(good != len(answers))
