"""Drives the gateway with the openai-python release that this interpreter has.

    BASE_URL=http://127.0.0.1:8080/v1 API_KEY=… POOR_KEY=… DIALECT=openai MAILBOX=… HOOK_SECRET=… python drive.py

API_KEY is a tenant with nothing made yet whose jobs all go to a route of the dialect DIALECT;
POOR_KEY is one that cannot pay for a clip. MAILBOX shows what came to the first one's webhook. Prints a line for each case; fails if one does. What a
dialect offers is written in dialects.json: the rest must be refused in so many words.
"""

import asyncio
import base64
import json
import os
import sys
import tempfile
import time
import traceback
import urllib.request
import warnings
from pathlib import Path

# The SDK marks all of `videos` as deprecated, whoever serves it.
warnings.simplefilter("ignore", DeprecationWarning)

import openai
from openai import AsyncOpenAI, AzureOpenAI, OpenAI
from openai.types import Video

from media import is_mp4, is_picture, png

BASE_URL = os.environ["BASE_URL"].rstrip("/")
ROOT_URL = BASE_URL.removesuffix("/v1")
API_KEY = os.environ["API_KEY"]
POOR_KEY = os.environ["POOR_KEY"]
OFFER = json.loads((Path(__file__).parent / "dialects.json").read_text())[os.environ["DIALECT"]]
VERSION = tuple(int(part) for part in openai.__version__.split("."))

FINISH_TIMEOUT_S = 60
POLL_MS = 150
FIELDS = {
    *("id", "object", "model", "status", "progress", "created_at", "completed_at", "expires_at"),
    *("prompt", "size", "seconds", "remixed_from_video_id", "error"),
}

client = OpenAI(base_url=BASE_URL, api_key=API_KEY)
made = set()


class NotInThisRelease(Exception):
    """The SDK has no such method yet; the case is neither passed nor failed."""


def remember(video):
    """Remembers a clip, for the list to be compared with."""
    made.add(video.id)
    return video


def create(**wish):
    """Creates a clip and remembers it."""
    return remember(client.videos.create(**{"prompt": "a fox in the snow", "model": "sora-2", **wish}))


def finish(video):
    """Waits until a clip is done."""
    deadline = time.monotonic() + FINISH_TIMEOUT_S
    while video.status in ("queued", "in_progress"):
        assert time.monotonic() < deadline, f"{video.id} is {video.status} after {FINISH_TIMEOUT_S} s"
        time.sleep(POLL_MS / 1000)
        video = client.videos.retrieve(video.id)
    assert video.status == "completed", f"{video.id} is {video.status}: {video.error}"
    return video


_finished = None


def finished():
    """A clip that is done, the same for every case that leaves it as it is."""
    global _finished
    if _finished is None:
        _finished = finish(create())
    return _finished


def refused(error, call, **expected):
    """Asserts that `call` is refused with `error`, in OpenAI's envelope, and with these attributes; answers it."""
    try:
        answer = call()
    except error as refusal:
        seen = {name: getattr(refusal, name) for name in expected}
        assert seen == expected, f"refused with {seen}, not with {expected}: {refusal}"
        envelope = refusal.response.json().get("error", {})
        assert set(envelope) >= {"message", "type", "param", "code"}, f"envelope is {envelope}"
        assert envelope["message"], "a refusal without a message"
        return refusal
    raise AssertionError(f"not refused: {answer}")


def post_json(path, body):
    """Sends JSON where the typed method would send a form."""
    return client.post(path, body=body, cast_to=Video)


def counting_client(**arguments):
    """A client, and the list of the paths it has really requested, repetitions included."""
    sent = []
    transport = openai.DefaultHttpxClient(event_hooks={"request": [lambda request: sent.append(request.url.path)]})
    return OpenAI(base_url=BASE_URL, http_client=transport, **arguments), sent


def pending(attempts=5):
    """A clip caught before it was done, with the headers of the answer that said so."""
    for _ in range(attempts):
        raw = client.videos.with_raw_response.retrieve(create().id)
        video = raw.parse()
        if video.status in ("queued", "in_progress"):
            return video, raw.headers
    raise AssertionError(f"{attempts} clips were all done before they could be asked about")


def derived(operation, call):
    """Runs `call` to a finished clip if the dialect offers the operation; if not, expects a clean refusal and no clip."""
    if operation not in OFFER["operations"]:
        refused(openai.BadRequestError, call, type="invalid_request_error")
        return None
    return finish(remember(call()))


# ── Making ───────────────────────────────────────────────────────────────────────────────────────


def case_a_prompt_alone_is_answered_with_every_field():
    raw = client.videos.with_raw_response.create(prompt="a fox in the snow")
    body = json.loads(raw.text() if callable(raw.text) else raw.text)
    made.add(body["id"])
    assert FIELDS <= set(body), f"missing: {FIELDS - set(body)}"
    assert body["id"].startswith("video_"), body["id"]
    assert (body["object"], body["model"]) == ("video", "sora-2"), body
    assert (body["seconds"], body["size"]) == ("4", "720x1280"), "the protocol's own defaults"
    assert type(body["progress"]) is int and type(body["created_at"]) is int, body
    assert body["status"] in ("queued", "in_progress"), body["status"]
    assert raw.headers.get("x-request-id"), "no x-request-id"


def case_create_and_poll_waits_for_the_clip():
    video = client.videos.create_and_poll(prompt="a fox", model="sora-2", seconds="8", size="1280x720", poll_interval_ms=POLL_MS)
    made.add(video.id)
    assert (video.status, video.progress, video.error) == ("completed", 100, None), video
    assert (video.seconds, video.size, video.prompt) == ("8", "1280x720", "a fox"), video
    assert video.completed_at >= video.created_at, video


def case_a_pending_clip_tells_when_to_ask_again():
    _, headers = pending()
    assert 1 <= int(headers["openai-poll-after-ms"]) <= 60_000, headers["openai-poll-after-ms"]


def case_a_reference_picture_may_be_bytes_a_named_file_or_a_path():
    picture = png(720, 1280)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "first-frame.png"
        path.write_bytes(picture)
        forms = [picture, ("frame.png", picture, "image/png"), path]
        videos = [create(input_reference=form, size="720x1280") for form in forms]
    for video in videos:
        finish(video)


def case_a_reference_picture_may_be_a_data_url_in_json():
    url = "data:image/png;base64," + base64.b64encode(png(720, 1280)).decode()
    wish = {"prompt": "a fox", "model": "sora-2", "seconds": 8, "input_reference": {"image_url": url}}
    video = remember(post_json("/videos", wish))
    assert video.seconds == "8", video
    finish(video)


def case_a_reference_picture_may_be_elsewhere():
    wish = {"prompt": "a fox", "model": "sora-2", "input_reference": {"image_url": "https://pictures.example/fox.png"}}
    derived("reference_by_url", lambda: post_json("/videos", wish))


def case_one_idempotency_key_makes_one_clip():
    header = {"Idempotency-Key": f"the-same-wish-{time.time_ns()}"}
    wish = {"prompt": "twice", "model": "sora-2", "extra_headers": header}
    first, second = (remember(client.videos.create(**wish)) for _ in range(2))
    assert first.id == second.id, (first.id, second.id)


def case_an_answer_lost_on_the_way_does_not_make_a_second_clip():
    lost = []

    def lose_the_first(response):
        if response.request.method == "POST" and not lost:
            response.read()
            lost.append(response.json()["id"])
            raise transport_errors.ReadError("the line was cut")

    transport_errors = sys.modules[openai.DefaultHttpxClient.__mro__[1].__module__.split(".")[0]]
    unlucky = OpenAI(base_url=BASE_URL, api_key=API_KEY, http_client=openai.DefaultHttpxClient(event_hooks={"response": [lose_the_first]}))
    video = remember(unlucky.videos.create(prompt="once", model="sora-2"))
    made.update(lost)
    assert lost == [video.id], f"the SDK asked again, and {lost[0]} was paid for besides {video.id}"


def case_the_async_client_does_the_same():
    async def drive():
        async with AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY) as asynchronous:
            video = await asynchronous.videos.create_and_poll(prompt="a fox", model="sora-2", poll_interval_ms=POLL_MS)
            content = await asynchronous.videos.download_content(video.id)
            return video, content.content

    video, content = asyncio.run(drive())
    made.add(video.id)
    assert video.status == "completed" and is_mp4(content), video


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────


def case_a_finished_clip_is_retrieved_as_it_is():
    video = client.videos.retrieve(finished().id)
    assert video == finished(), (video, finished())


def case_a_list_is_walked_to_its_end_newest_first():
    while len(made) < 6:
        create()
    pages, seen = 0, []
    page = client.videos.list(limit=2)
    while True:
        pages += 1
        assert len(page.data) <= 2, f"{len(page.data)} on a page of 2"
        seen += [video.id for video in page.data]
        if not page.has_next_page():
            break
        page = page.get_next_page()
    assert pages >= 3, f"only {pages} pages"
    assert sorted(seen) == sorted(made), f"listed and not made: {set(seen) - set(made)}; made and not listed: {set(made) - set(seen)}"
    assert [video.id for video in client.videos.list(limit=2)] == seen, "auto-paging saw another list"
    assert [video.id for video in client.videos.list(limit=2, order="asc")] == seen[::-1], "ascending is not the reverse"
    created = [video.created_at for video in client.videos.list(limit=100)]
    assert created == sorted(created, reverse=True), "not newest first"
    assert [video.id for video in client.videos.list(after=seen[1], limit=2)] == seen[2:], "`after` starts elsewhere"


def case_the_clip_downloads_as_mp4():
    content = client.videos.download_content(finished().id)
    assert is_mp4(content.content), content.content[:16]
    assert content.response.headers["content-type"] == "video/mp4", content.response.headers
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        with client.videos.with_streaming_response.download_content(finished().id) as stream:
            stream.stream_to_file(path)
        assert path.read_bytes() == content.content, "streamed and buffered downloads differ"


def case_the_other_variants_download_or_are_refused():
    for variant in ("thumbnail", "spritesheet"):
        if variant in OFFER["variants"]:
            content = client.videos.download_content(finished().id, variant=variant)
            assert is_picture(content.content), f"{variant}: {content.content[:16]}"
        else:
            refused(openai.BadRequestError, lambda: client.videos.download_content(finished().id, variant=variant))


def case_a_clip_that_is_not_done_has_no_bytes():
    for _ in range(5):
        video = create()
        try:
            client.videos.download_content(video.id)
        except openai.NotFoundError as refusal:
            assert "not ready" in str(refusal), refusal
            return
    raise AssertionError("five clips were all done before they could be downloaded too early")


# ── Making from what is there ────────────────────────────────────────────────────────────────────


def case_a_clip_is_remixed():
    video = derived("remix", lambda: client.videos.remix(finished().id, prompt="the same, at night"))
    if video:
        assert video.remixed_from_video_id == finished().id, video


def case_a_clip_is_edited_by_id_and_from_a_file():
    by_id = {"prompt": "the same, at night", "video": {"id": finished().id}}
    derived("edit", lambda: post_json("/videos/edits", by_id))
    if VERSION >= (2, 27):
        upload = client.videos.download_content(finished().id).content
        derived("edit", lambda: client.videos.edit(prompt="at night", video=upload))


def case_a_clip_is_extended_by_id_and_from_a_file():
    by_id = {"prompt": "and then it runs", "seconds": "8", "video": {"id": finished().id}}
    derived("extend", lambda: post_json("/videos/extensions", by_id))
    if VERSION >= (2, 27):
        upload = client.videos.download_content(finished().id).content
        derived("extend", lambda: client.videos.extend(prompt="it runs", seconds="4", video=("clip.mp4", upload, "video/mp4")))


def case_a_character_is_made_and_found_again():
    if VERSION < (2, 27):
        raise NotInThisRelease
    upload = client.videos.download_content(finished().id).content
    call = lambda: client.videos.create_character(name="Fox", video=upload)
    if "character" not in OFFER["operations"]:
        refused(openai.BadRequestError, call, type="invalid_request_error")
        return
    character = call()
    assert character.id.startswith("char_") and character.name == "Fox", character
    assert client.videos.get_character(character.id).to_dict() == character.to_dict(), character
    finish(create(prompt="Fox walks by", extra_body={"characters": [{"id": character.id}]}))
    refused(openai.NotFoundError, lambda: client.videos.get_character("char_nobody"))


# ── Removing ─────────────────────────────────────────────────────────────────────────────────────


def case_a_deleted_clip_is_gone():
    video = finish(create())
    answer = client.videos.delete(video.id)
    assert (answer.id, answer.object, answer.deleted) == (video.id, "video.deleted", True), answer
    made.remove(video.id)
    refused(openai.NotFoundError, lambda: client.videos.retrieve(video.id))
    refused(openai.NotFoundError, lambda: client.videos.download_content(video.id))
    refused(openai.NotFoundError, lambda: client.videos.delete(video.id))
    assert video.id not in [other.id for other in client.videos.list(limit=100)]


# ── Refusals ─────────────────────────────────────────────────────────────────────────────────────


def case_a_wrong_key_is_an_authentication_error():
    stranger = OpenAI(base_url=BASE_URL, api_key="sk-nobody")
    refused(openai.AuthenticationError, lambda: stranger.videos.create(prompt="a fox"), code="invalid_api_key")
    refused(openai.AuthenticationError, lambda: stranger.videos.retrieve(finished().id), code="invalid_api_key")


def case_an_unknown_id_is_not_found():
    nowhere = "video_" + "0" * 32
    refused(openai.NotFoundError, lambda: client.videos.retrieve(nowhere), type="invalid_request_error")
    refused(openai.APIStatusError, lambda: client.videos.retrieve("edits"), status_code=405)
    refused(openai.NotFoundError, lambda: client.videos.remix(nowhere, prompt="a fox"))


def case_a_length_nobody_sells_names_the_parameter():
    counted, sent = counting_client(api_key=API_KEY)
    for seconds in ("7", "soon"):
        refusal = refused(
            openai.BadRequestError,
            lambda: counted.videos.create(prompt="a fox", model="sora-2", seconds=seconds),
            type="invalid_request_error",
            param="seconds",
        )
        if seconds == "7":
            assert all(str(length) in str(refusal) for length in OFFER["lengths_s"]), f"does not name the lengths: {refusal}"
    assert len(sent) == 2, sent


def case_a_bad_size_and_a_missing_prompt_name_the_parameter():
    refused(openai.BadRequestError, lambda: client.videos.create(prompt="a fox", model="sora-2", size="10x10"), param="size")
    refused(openai.BadRequestError, lambda: client.videos.create(prompt=""), param="prompt")


def case_an_unknown_model_is_not_found():
    refused(openai.NotFoundError, lambda: client.videos.create(prompt="a fox", model="sora-99"), code="model_not_found")


def case_a_picture_that_is_none_is_refused():
    refused(
        openai.BadRequestError,
        lambda: client.videos.create(prompt="a fox", model="sora-2", input_reference=b"Example data"),
        param="input_reference",
    )


def case_who_cannot_pay_is_told_once():
    poor, sent = counting_client(api_key=POOR_KEY)
    refused(openai.RateLimitError, lambda: poor.videos.create(prompt="a fox", model="sora-2"), code="insufficient_quota")
    assert len(sent) == 1, f"asked {len(sent)} times: the SDK was not told to stop"


# ── Webhooks ─────────────────────────────────────────────────────────────────────────────────────


def event_about(video):
    """The event about a video, as it came to this tenant's webhook: headers and body."""
    deadline = time.monotonic() + FINISH_TIMEOUT_S
    while time.monotonic() < deadline:
        with urllib.request.urlopen(os.environ["MAILBOX"]) as came:
            for event in json.load(came):
                if video.id in event["body"]:
                    return event["headers"], event["body"]
        time.sleep(POLL_MS / 1000)
    raise AssertionError(f"no event about {video.id} came")


def case_an_event_about_a_video_is_unwrapped():
    video = finished()
    headers, body = event_about(video)
    event = client.webhooks.unwrap(body, headers, secret=os.environ["HOOK_SECRET"])
    assert (event.type, event.data.id, event.id) == ("video.completed", video.id, headers["webhook-id"]), event
    for forged in [(body.replace("completed", "failed"), headers), (body, {**headers, "webhook-id": "evt_0"})]:
        try:
            client.webhooks.unwrap(*forged, secret=os.environ["HOOK_SECRET"])
        except openai.InvalidWebhookSignatureError:
            continue
        raise AssertionError("a forged event was unwrapped")


# ── Azure's classes ──────────────────────────────────────────────────────────────────────────────


def case_azure_clients_are_served_on_their_own_paths():
    clients = {
        "endpoint": AzureOpenAI(azure_endpoint=ROOT_URL, api_version="2025-04-01-preview", api_key=API_KEY),
        "deployment": AzureOpenAI(azure_endpoint=ROOT_URL, azure_deployment="x", api_version="preview", api_key=API_KEY),
        "token": AzureOpenAI(azure_endpoint=ROOT_URL, api_version="preview", azure_ad_token=API_KEY),
        "base_url": AzureOpenAI(base_url=f"{ROOT_URL}/openai/v1/", api_version="preview", api_key=API_KEY),
        "plain": OpenAI(base_url=f"{ROOT_URL}/openai/v1/", api_key=API_KEY),
    }
    for name, azure in clients.items():
        video = azure.videos.create(prompt=f"through {name}", model="sora-2")
        made.add(video.id)
        video = azure.videos.poll(video.id, poll_interval_ms=POLL_MS)
        assert video.status == "completed", (name, video)
        assert is_mp4(azure.videos.download_content(video.id).content), name
        assert video.id in [other.id for other in azure.videos.list(limit=100)], name
        assert azure.videos.delete(video.id).deleted, name
        made.remove(video.id)


def main():
    cases = [(name, case) for name, case in globals().items() if name.startswith("case_")]
    assert cases, "no cases"
    failures = 0
    for name, case in cases:
        sentence = name.removeprefix("case_").replace("_", " ")
        try:
            case()
            print(f"ok   {sentence}", flush=True)
        except NotInThisRelease:
            print(f"none {sentence}", flush=True)
        except Exception as fault:
            failures += 1
            where = [frame for frame in traceback.extract_tb(fault.__traceback__) if frame.filename == __file__][-1]
            print(f"FAIL {sentence}: line {where.lineno}: {type(fault).__name__}: {fault}", flush=True)
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
