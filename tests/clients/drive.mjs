// Drives the gateway with one release of openai-node.
//
//     BASE_URL=http://127.0.0.1:8080/v1 API_KEY=… POOR_KEY=… DIALECT=openai MAILBOX=… HOOK_SECRET=… \
//     SDK=…/node_modules/openai-7.57.0 PICTURE=…/720x1280.png node drive.mjs
//
// The same cases as drive.py, as far as this SDK has the methods: it has no poll helper, and it can
// say in a form what Python can only say in JSON.

import assert from "node:assert/strict";
import { createReadStream, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const { default: OpenAI, AzureOpenAI, toFile } = await import(join(process.env.SDK, "index.mjs"));

const BASE_URL = process.env.BASE_URL.replace(/\/$/, "");
const ROOT_URL = BASE_URL.replace(/\/v1$/, "");
const { API_KEY: apiKey, POOR_KEY, DIALECT, PICTURE, MAILBOX, HOOK_SECRET } = process.env;
const OFFER = JSON.parse(readFileSync(new URL("dialects.json", import.meta.url)))[DIALECT];

const FINISH_TIMEOUT_MS = 60_000;
const POLL_MS = 150;
const FIELDS = [
  ...["id", "object", "model", "status", "progress", "created_at", "completed_at", "expires_at"],
  ...["prompt", "size", "seconds", "remixed_from_video_id", "error"],
];

const client = new OpenAI({ baseURL: BASE_URL, apiKey });
const made = new Set();

// Remembers a clip, for the list to be compared with.
function remember(video) {
  made.add(video.id);
  return video;
}

// Creates a clip and remembers it.
async function create(wish = {}) {
  return remember(await client.videos.create({ prompt: "a fox in the snow", model: "sora-2", ...wish }));
}

// Waits until a clip is done, as users of this SDK have to.
async function finish(video, through = client) {
  const deadline = Date.now() + FINISH_TIMEOUT_MS;
  while (video.status === "queued" || video.status === "in_progress") {
    assert(Date.now() < deadline, `${video.id} is ${video.status} after ${FINISH_TIMEOUT_MS} ms`);
    await sleep(POLL_MS);
    video = await through.videos.retrieve(video.id);
  }
  assert.equal(video.status, "completed", JSON.stringify(video.error));
  return video;
}

// The SDK has no such method yet; the case is neither passed nor failed.
class NotInThisRelease extends Error {}

let finishedOnce;
// A clip that is done, the same for every case that leaves it as it is.
const finished = () => (finishedOnce ??= create().then((video) => finish(video)));

async function download(id, query, through = client) {
  const response = await through.videos.downloadContent(id, query);
  return { type: response.headers.get("content-type"), bytes: Buffer.from(await response.arrayBuffer()) };
}

const isMp4 = (bytes) => bytes.subarray(4, 8).toString("latin1") === "ftyp";
const isPicture = (bytes) =>
  bytes.subarray(0, 3).equals(Buffer.from([0xff, 0xd8, 0xff])) ||
  bytes.subarray(1, 4).toString("latin1") === "PNG" ||
  bytes.subarray(8, 12).toString("latin1") === "WEBP";

// Asserts that `call` is refused with `error` and these attributes; answers the refusal.
async function refused(error, call, expected = {}) {
  let answer;
  try {
    answer = await call();
  } catch (refusal) {
    assert(refusal instanceof error, `refused with ${refusal.constructor.name}, not ${error.name}: ${refusal.message}`);
    for (const [name, value] of Object.entries(expected)) assert.equal(refusal[name], value, `${name} of ${refusal.message}`);
    for (const name of ["message", "type", "param", "code"]) assert(name in refusal.error, `no ${name} in the envelope`);
    return refusal;
  }
  assert.fail(`not refused: ${JSON.stringify(answer)}`);
}

// A client, and the list of the paths it has really requested, repetitions included.
function countingClient(key) {
  const sent = [];
  const counted = (url, init) => {
    // The SDK also fetches a `data:` URL, to see what this `fetch` can do.
    if (String(url).startsWith(BASE_URL)) sent.push(new URL(url).pathname);
    return fetch(url, init);
  };
  return [new OpenAI({ baseURL: BASE_URL, apiKey: key, fetch: counted }), sent];
}

// Runs `call` to a finished clip if the dialect offers the operation; if not, expects a clean refusal and no clip.
async function derived(operation, call) {
  if (!OFFER.operations.includes(operation)) {
    await refused(OpenAI.BadRequestError, call, { type: "invalid_request_error" });
    return null;
  }
  return finish(remember(await call()));
}

const uploadOf = async (id) => toFile((await download(id)).bytes, "clip.mp4", { type: "video/mp4" });

const cases = {
  // ── Making ──

  async "a prompt alone is answered with every field"() {
    const { data, response } = await client.videos.create({ prompt: "a fox in the snow" }).withResponse();
    remember(data);
    for (const field of FIELDS) assert(field in data, `no ${field}`);
    assert.match(data.id, /^video_/);
    assert.deepEqual([data.object, data.model, data.seconds, data.size], ["video", "sora-2", "4", "720x1280"]);
    assert(Number.isInteger(data.progress) && Number.isInteger(data.created_at), JSON.stringify(data));
    assert(response.headers.get("x-request-id"), "no x-request-id");
  },

  async "every option of a wish comes back with the clip"() {
    const video = await finish(await create({ prompt: "a fox", seconds: "8", size: "1280x720" }));
    assert.deepEqual([video.seconds, video.size, video.prompt], ["8", "1280x720", "a fox"]);
    assert.deepEqual([video.progress, video.error], [100, null]);
    assert(video.completed_at >= video.created_at, JSON.stringify(video));
  },

  async "a pending clip tells when to ask again"() {
    for (let attempt = 0; attempt < 5; attempt++) {
      const { data, response } = await client.videos.retrieve((await create()).id).withResponse();
      if (data.status === "completed") continue;
      const afterMs = Number(response.headers.get("openai-poll-after-ms"));
      return assert(afterMs >= 1 && afterMs <= 60_000, String(afterMs));
    }
    assert.fail("five clips were all done before they could be asked about");
  },

  async "a reference picture may be a stream or a named file"() {
    const forms = [createReadStream(PICTURE), await toFile(readFileSync(PICTURE), "frame.png", { type: "image/png" })];
    const videos = [];
    for (const form of forms) videos.push(await create({ input_reference: form, size: "720x1280" }));
    for (const video of videos) await finish(video);
  },

  async "a reference picture may be a data url in an object"() {
    const image_url = `data:image/png;base64,${readFileSync(PICTURE).toString("base64")}`;
    await finish(await create({ input_reference: { image_url } }));
  },

  async "a reference picture may be elsewhere"() {
    const input_reference = { image_url: "https://pictures.example/fox.png" };
    const wish = { prompt: "a fox", model: "sora-2", input_reference };
    await derived("reference_by_url", () => client.videos.create(wish));
  },

  async "one idempotency key makes one clip"() {
    const headers = { "Idempotency-Key": `the-same-wish-${process.hrtime.bigint()}` };
    const wish = () => client.videos.create({ prompt: "twice", model: "sora-2" }, { headers });
    const [first, second] = [remember(await wish()), remember(await wish())];
    assert.equal(first.id, second.id);
  },

  async "an answer lost on the way does not make a second clip"() {
    const lost = [];
    const loseTheFirst = async (url, init) => {
      const response = await fetch(url, init);
      if (!String(url).startsWith(BASE_URL) || lost.length > 0) return response;
      lost.push((await response.json()).id);
      throw new TypeError("the line was cut");
    };
    const unlucky = new OpenAI({ baseURL: BASE_URL, apiKey, fetch: loseTheFirst });
    const video = remember(await unlucky.videos.create({ prompt: "once", model: "sora-2" }));
    made.add(lost[0]);
    assert.deepEqual(lost, [video.id], "the SDK asked again, and a second clip was paid for");
  },

  // ── Reading ──

  async "a finished clip is retrieved as it is"() {
    const video = await finished();
    assert.deepEqual(await client.videos.retrieve(video.id), video);
  },

  async "a list is walked to its end newest first"() {
    while (made.size < 6) await create();
    const seen = [];
    let pages = 0;
    for await (const page of (await client.videos.list({ limit: 2 })).iterPages()) {
      pages++;
      assert(page.data.length <= 2, `${page.data.length} on a page of 2`);
      seen.push(...page.data.map((video) => video.id));
    }
    assert(pages >= 3, `only ${pages} pages`);
    assert.deepEqual([...seen].sort(), [...made].sort());
    const ascending = [];
    for await (const video of client.videos.list({ limit: 2, order: "asc" })) ascending.push(video.id);
    assert.deepEqual(ascending, [...seen].reverse());
  },

  async "the clip downloads as mp4"() {
    const { type, bytes } = await download((await finished()).id);
    assert(isMp4(bytes), bytes.subarray(0, 16).toString("latin1"));
    assert.equal(type, "video/mp4");
  },

  async "the other variants download or are refused"() {
    const { id } = await finished();
    for (const variant of ["thumbnail", "spritesheet"]) {
      if (OFFER.variants.includes(variant)) assert(isPicture((await download(id, { variant })).bytes), variant);
      else await refused(OpenAI.BadRequestError, () => download(id, { variant }));
    }
  },

  // ── Making from what is there ──

  async "a clip is remixed"() {
    const { id } = await finished();
    const video = await derived("remix", () => client.videos.remix(id, { prompt: "the same, at night" }));
    if (video) assert.equal(video.remixed_from_video_id, id);
  },

  async "a clip is edited by id and from a file"() {
    if (!client.videos.edit) throw new NotInThisRelease();
    const { id } = await finished();
    const upload = await uploadOf(id);
    await derived("edit", () => client.videos.edit({ prompt: "at night", video: { id } }));
    await derived("edit", () => client.videos.edit({ prompt: "at night", video: upload }));
  },

  async "a clip is extended by id and from a file"() {
    if (!client.videos.extend) throw new NotInThisRelease();
    const { id } = await finished();
    const upload = await uploadOf(id);
    await derived("extend", () => client.videos.extend({ prompt: "it runs", seconds: "8", video: { id } }));
    await derived("extend", () => client.videos.extend({ prompt: "it runs", seconds: "4", video: upload }));
  },

  async "a character is made and found again"() {
    if (!client.videos.createCharacter) throw new NotInThisRelease();
    const upload = await uploadOf((await finished()).id);
    const call = () => client.videos.createCharacter({ name: "Fox", video: upload });
    if (!OFFER.operations.includes("character")) {
      return void (await refused(OpenAI.BadRequestError, call, { type: "invalid_request_error" }));
    }
    const character = await call();
    assert.match(character.id, /^char_/);
    assert.deepEqual(await client.videos.getCharacter(character.id), character);
    await finish(await create({ characters: [{ id: character.id }] }));
  },

  // ── Removing ──

  async "a deleted clip is gone"() {
    const video = await finish(await create());
    const answer = await client.videos.delete(video.id);
    assert.deepEqual([answer.id, answer.object, answer.deleted], [video.id, "video.deleted", true]);
    made.delete(video.id);
    await refused(OpenAI.NotFoundError, () => client.videos.retrieve(video.id));
    await refused(OpenAI.NotFoundError, () => client.videos.delete(video.id));
  },

  // ── Refusals ──

  async "a wrong key is an authentication error"() {
    const stranger = new OpenAI({ baseURL: BASE_URL, apiKey: "sk-nobody" });
    const call = () => stranger.videos.create({ prompt: "a fox" });
    await refused(OpenAI.AuthenticationError, call, { code: "invalid_api_key" });
  },

  async "an unknown id is not found"() {
    const nowhere = `video_${"0".repeat(32)}`;
    await refused(OpenAI.NotFoundError, () => client.videos.retrieve(nowhere), { type: "invalid_request_error" });
  },

  async "a length nobody sells names the parameter"() {
    const [counted, sent] = countingClient(apiKey);
    const call = () => counted.videos.create({ prompt: "a fox", model: "sora-2", seconds: "7" });
    await refused(OpenAI.BadRequestError, call, { type: "invalid_request_error", param: "seconds" });
    assert.equal(sent.length, 1);
  },

  async "an unknown model is not found"() {
    const call = () => client.videos.create({ prompt: "a fox", model: "sora-99" });
    await refused(OpenAI.NotFoundError, call, { code: "model_not_found" });
  },

  async "who cannot pay is told once"() {
    const [poor, sent] = countingClient(POOR_KEY);
    const call = () => poor.videos.create({ prompt: "a fox", model: "sora-2" });
    await refused(OpenAI.RateLimitError, call, { code: "insufficient_quota" });
    assert.equal(sent.length, 1, `asked ${sent.length} times: the SDK was not told to stop`);
  },

  // ── Webhooks ──

  async "an event about a video is unwrapped"() {
    const video = await finished();
    const deadline = Date.now() + FINISH_TIMEOUT_MS;
    let told;
    while (!(told = (await (await fetch(MAILBOX)).json()).find((event) => event.body.includes(video.id)))) {
      assert(Date.now() < deadline, `no event about ${video.id} came`);
      await sleep(POLL_MS);
    }
    const event = await client.webhooks.unwrap(told.body, told.headers, HOOK_SECRET);
    assert.deepEqual([event.type, event.data.id, event.id], ["video.completed", video.id, told.headers["webhook-id"]]);
    const forged = told.body.replace("completed", "failed");
    await assert.rejects(client.webhooks.unwrap(forged, told.headers, HOOK_SECRET), OpenAI.InvalidWebhookSignatureError);
  },

  // ── Azure's class ──

  async "azure clients are served on their own paths"() {
    const clients = {
      endpoint: new AzureOpenAI({ endpoint: ROOT_URL, apiVersion: "2025-04-01-preview", apiKey }),
      deployment: new AzureOpenAI({ endpoint: ROOT_URL, deployment: "x", apiVersion: "preview", apiKey }),
      baseURL: new AzureOpenAI({ baseURL: `${ROOT_URL}/openai/v1/`, apiVersion: "preview", apiKey }),
      plain: new OpenAI({ baseURL: `${ROOT_URL}/openai/v1/`, apiKey }),
    };
    for (const [name, azure] of Object.entries(clients)) {
      const video = await finish(remember(await azure.videos.create({ prompt: name, model: "sora-2" })), azure);
      // This class does not follow redirects: the bytes have to come from here.
      assert(isMp4((await download(video.id, {}, azure)).bytes), name);
    }
  },
};

let failures = 0;
for (const [sentence, run] of Object.entries(cases)) {
  try {
    await run();
    console.log(`ok   ${sentence}`);
  } catch (fault) {
    if (fault instanceof NotInThisRelease) {
      console.log(`none ${sentence}`);
      continue;
    }
    failures++;
    const line = /drive\.mjs:(\d+)/.exec(fault.stack)?.[1];
    console.log(`FAIL ${sentence}: line ${line}: ${fault.name}: ${fault.message.replaceAll("\n", " ")}`);
  }
}
process.exit(failures > 0 ? 1 : 0);
