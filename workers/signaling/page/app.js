// One call at a time: microphone -> POST offer -> answer -> media. No framework, no build step.
//
//   idle -> asking -> connecting -> live -> ended
//              \________\___________\---> failed          (once, by itself: live/connecting -> connecting)

const CALLS = "/v1/realtime/calls";
const SIGNAL = "/v1/realtime/signal";
const FOLLOW_AGAIN = 1_000;
const BUSY_AGAIN = 250;
const BUSY_FOR = 5_000;
const CONNECT_WITHIN = 12_000;
const HANG_UP_WITHIN = 2_000;
const MEASURE_EVERY = 500;
const HISTORY = 120;
const AT_FIRST = 24;
const LINES = 200;

const root = document.documentElement;
/** Where calls go. The echo's page speaks of an echo, and a Realtime server wants its own name for the channel. */
const BACKEND = root.dataset.backend;
const ECHO = ["echo", "echo-pcm"].includes(BACKEND);
const CHANNEL = BACKEND === "realtime" ? "oai-events" : "chat";

const WORDS = {
  idle: ECHO
    ? ["Hear yourself", "Press the button and say something. It comes back through the relay, the transceiver and the echo back end."]
    : ["Talk", `Press the button and speak: “${BACKEND}” answers.`],
  asking: ["May we listen?", "Your browser is asking for the microphone."],
  connecting: ["Connecting", "Offer, answer, handshake: a moment."],
  live: ["You are live", ECHO ? "Say something; you hear it back." : "Say something. It answers; interrupt it whenever you like."],
  muted: ["Muted", "You are connected; nothing of you is heard."],
  shaky: ["Still there?", "The connection is silent. It may come back by itself."],
  again: ["Connecting again", "The connection broke; trying once more."],
  ended: ["Call ended", "Thank you for talking."],
};

const $ = (id) => document.getElementById(id);
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** Why a call failed, in words for the person in front of the page. */
class Failure extends Error {
  constructor(headline, detail, busy = false) {
    super(detail);
    this.headline = headline;
    this.busy = busy;
  }
}

// --- what the page shows ------------------------------------------------------------------------

function say([headline, detail]) {
  if ($("headline").textContent !== headline) $("headline").textContent = headline;
  if ($("detail").textContent !== detail) $("detail").textContent = detail;
}

function show(state, words = WORDS[state]) {
  const focused = document.activeElement;
  root.dataset.state = state;
  say(words);
  const busy = state === "asking" || state === "connecting" || state === "live";
  $("start").disabled = busy;
  $("start-label").textContent = state === "idle" ? "Start talking" : busy ? "Call in progress" : "Start again";
  // A focused button that vanishes would drop the keyboard user at the top of the page.
  if (focused instanceof HTMLButtonElement && (focused.disabled || focused.offsetParent === null)) {
    ({ live: $("hang-up"), connecting: $("hang-up"), ended: $("again"), failed: $("again") })[state]?.focus();
  }
}

function showLevel(name, level) {
  const track = $(name);
  track.firstElementChild.style.transform = `scaleX(${level.toFixed(3)})`;
  track.setAttribute("aria-valuenow", Math.round(level * 100));
}

const histories = { rtt: [], jitter: [], loss: [] };
/** A picture's scale never gets finer than this, or noise would look like drama. */
const FLOOR = { rtt: 4, jitter: 4, loss: 2 };

function showFigure(name, value, text, unit) {
  const figure = $(name);
  const output = figure.querySelector("output");
  output.textContent = text;
  if (unit) output.append(Object.assign(document.createElement("small"), { textContent: ` ${unit}` }));
  const history = histories[name];
  if (value !== null) history.push(value);
  if (history.length > HISTORY) history.shift();
  if (history.length < 2) {
    for (const path of figure.querySelectorAll("path")) path.removeAttribute("d");
    return;
  }
  const top = Math.max(FLOOR[name], ...history) * 1.15;
  const step = 120 / (Math.max(history.length, AT_FIRST) - 1);
  const points = history.map((y, x) => `${(x * step).toFixed(2)} ${(31 - (y / top) * 29).toFixed(2)}`);
  const line = `M${points.join("L")}`;
  figure.querySelector(".line").setAttribute("d", line);
  figure.querySelector(".area").setAttribute("d", `${line}V32H0Z`);
}

function clearFigures() {
  for (const name of Object.keys(histories)) {
    histories[name].length = 0;
    showFigure(name, null, "–", "");
  }
  $("facts").textContent = "";
}

// --- what was said, if the back end writes it down ------------------------------------------------

/** [who, text] of a message: our examples' {heard, answer}, a Realtime server's transcripts, else the text as it is. */
function linesOf(data) {
  let said;
  try {
    said = JSON.parse(data);
  } catch {
    said = null;
  }
  if (said === null || typeof said !== "object") return [["them", data]];
  switch (said.type) {
    case "conversation.item.input_audio_transcription.completed": return [["you", said.transcript]];
    case "response.output_audio_transcript.done":
    case "response.audio_transcript.done": return [["them", said.transcript]];
    case "error": return [["error", said.error?.message]];
    default: return [["you", said.heard], ["them", said.answer], ["interrupted", said.interrupted]];
  }
}

function write(data) {
  if (typeof data !== "string") return;
  const list = $("transcript");
  for (const [who, text] of linesOf(data)) {
    if (typeof text !== "string" || !text.trim()) continue;
    const last = [...list.children].findLast((line) => line.className === "them" && line.textContent === text);
    if (who === "interrupted") last?.classList.add("cut");
    else list.append(Object.assign(document.createElement("li"), { className: who, textContent: text }));
  }
  while (list.children.length > LINES) list.firstElementChild.remove();
  list.scrollTop = list.scrollHeight;
}

// --- sound levels -------------------------------------------------------------------------------

/** Loudness of streams as 0..1, sixty times a second while the page is seen. */
class Levels {
  constructor() {
    this.context = new AudioContext();
    this.taps = new Map();
    this.frame = requestAnimationFrame(() => this.draw());
  }

  listen(name, stream) {
    this.taps.get(name)?.source.disconnect();
    const source = this.context.createMediaStreamSource(stream);
    const analyser = new AnalyserNode(this.context, { fftSize: 1024 });
    source.connect(analyser);
    this.taps.set(name, { source, analyser, samples: new Float32Array(1024), level: 0 });
  }

  draw() {
    for (const [name, tap] of this.taps) {
      tap.analyser.getFloatTimeDomainData(tap.samples);
      const power = tap.samples.reduce((sum, x) => sum + x * x, 0) / tap.samples.length;
      const heard = Math.min(1, Math.max(0, (10 * Math.log10(power + 1e-9) + 60) / 55));
      tap.level = Math.max(heard, tap.level * 0.9);
      showLevel(name, tap.level);
      if (name === "echo" && !still.matches) $("halo").style.transform = `scale(${1 + tap.level * 0.42})`;
    }
    this.frame = requestAnimationFrame(() => this.draw());
  }

  close() {
    cancelAnimationFrame(this.frame);
    void this.context.close();
    for (const name of ["mic", "echo"]) showLevel(name, 0);
    $("halo").style.transform = "";
  }
}

// --- the microphone -----------------------------------------------------------------------------

async function openMicrophone() {
  if (!window.isSecureContext || !navigator.mediaDevices) {
    throw new Failure("This address is not secure",
      `Browsers give the microphone only to localhost or HTTPS, and this is ${location.origin}. Use ssh -L or a TLS proxy.`);
  }
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true } });
  } catch (error) {
    throw {
      NotAllowedError: new Failure("The microphone is blocked", "Allow it for this page in your browser's address bar, then try again."),
      NotFoundError: new Failure("There is no microphone", "Plug one in or switch it on, then try again."),
      NotReadableError: new Failure("The microphone is busy", "Another program may be using it. Close that, then try again."),
    }[error.name] ?? new Failure("The microphone did not open", `${error.name}: ${error.message}`);
  }
}

// --- a call -------------------------------------------------------------------------------------

/** POST the offer, again for a while if `patient`: who has just lost a call may be back before the server is. */
async function place(sdp, signal, patient) {
  const until = performance.now() + (patient ? BUSY_FOR : 0);
  for (;;) {
    try {
      return await exchange(sdp, signal);
    } catch (error) {
      if (!error.busy || performance.now() > until) throw error;
      await new Promise((done) => setTimeout(done, BUSY_AGAIN));
    }
  }
}

/** POST the offer. Throws a Failure that carries the problem's own words. */
async function exchange(sdp, signal) {
  let response;
  try {
    response = await fetch(CALLS, { method: "POST", headers: { "Content-Type": "application/sdp" }, body: sdp, signal });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Failure("The server did not answer", `${location.host} could not be reached. Is Tandem still running?`, true);
  }
  if (!response.ok) {
    const problem = await response.json().catch(() => ({}));
    if (response.status === 401) {
      throw new Failure("This page has no key", `Calls need one here, from a page of your own: ${problem.detail ?? response.statusText}.`);
    }
    const wait = response.headers.get("Retry-After");
    const hint = wait ? ` Try again in ${wait} s.` : "";
    throw new Failure(problem.title ?? `The server answered ${response.status}`, `${problem.detail ?? response.statusText}.${hint}`, response.status === 503);
  }
  return { answer: await response.text(), location: response.headers.get("Location") };
}

const endpoint = (host, port) => (host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);

/** Our addresses in the answer, for the one message where they matter. */
function addresses(sdp) {
  const found = [...sdp.matchAll(/^a=candidate:\S+ 1 (\S+) \d+ (\S+) (\d+)/gm)];
  return found.map(([, transport, host, port]) => `${transport.toUpperCase()} ${endpoint(host, port)}`).join(", ");
}

class Call {
  constructor(microphone, levels, patient, over) {
    this.patient = patient;
    this.microphone = microphone;
    this.levels = levels;
    this.over = over;
    this.aborter = new AbortController();
    this.peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    this.session = null;
    this.was = null;
    this.closed = false;
  }

  async connect() {
    const { peer } = this;
    for (const track of this.microphone.getTracks()) peer.addTrack(track, this.microphone);
    peer.ontrack = ({ track }) => {
      const stream = new MediaStream([track]);
      $("speaker").srcObject = stream;
      this.levels.listen("echo", stream);
    };
    peer.createDataChannel(CHANNEL).onmessage = ({ data }) => write(data);
    this.timer = setTimeout(() => this.fail(this.noPath()), CONNECT_WITHIN);
    peer.onconnectionstatechange = () => this.moved();
    try {
      await peer.setLocalDescription();
      const { answer, location } = await place(peer.localDescription.sdp, this.aborter.signal, this.patient);
      this.session = location;
      if (this.closed) return void this.tell();
      this.answer = answer;
      this.answered = performance.now();
      await peer.setRemoteDescription({ type: "answer", sdp: answer });
      // A hang-up by the server closes DTLS; the connection's own state follows half a minute later.
      const { transport } = peer.getSenders()[0];
      transport.onstatechange = () => transport.state === "closed" && this.gone();
      this.follow();
    } catch (error) {
      if (!this.closed) this.fail(error instanceof Failure ? error : new Failure("The call could not be set up", error.message));
    }
  }

  /** Hear what becomes of the call: a process that is gone says no goodbye, and ICE takes long to notice. */
  follow() {
    if (this.closed) return;
    const socket = (this.socket = new WebSocket(location.origin.replace(/^http/, "ws") + SIGNAL));
    socket.onopen = () => socket.send(JSON.stringify({ type: "follow", session: this.session.split("/").pop() }));
    socket.onmessage = ({ data }) => {
      const said = JSON.parse(data);
      if (said.type === "closed" || said.problem?.status === 404) this.gone();
    };
    socket.onclose = () => setTimeout(() => this.follow(), FOLLOW_AGAIN);
  }

  moved() {
    if (this.closed) return;
    switch (this.peer.connectionState) {
      case "connected":
        clearTimeout(this.timer);
        this.took ??= performance.now() - this.answered;
        this.sampler ??= setInterval(() => void this.measure(), MEASURE_EVERY);
        show("live", muted() ? WORDS.muted : WORDS.live);
        void this.measure();
        break;
      case "disconnected":
        say(WORDS.shaky);
        break;
      case "failed":
        this.fail(this.noPath());
        break;
      case "closed":
        this.gone();
    }
  }

  /** The server has ended the call: there is nobody to tell. */
  gone() {
    if (this.closed) return;
    this.session = null;
    this.fail(new Failure("The server ended the call", "It may be restarting, or the call reached a limit."));
  }

  noPath() {
    if (this.took) return new Failure("The connection was lost", "Nothing came from the server for a while.");
    if (!this.answer) return new Failure("The server is slow", `No answer came within ${CONNECT_WITHIN / 1000} s.`);
    return new Failure("No way through for sound", `The answer came, but no media path to ${addresses(this.answer)} opened. A firewall may block it.`);
  }

  async measure() {
    const reports = await this.peer.getStats().catch(() => null);
    if (!reports || this.closed) return;
    const all = [...reports.values()];
    const transport = all.find((r) => r.type === "transport");
    const pair = reports.get(transport?.selectedCandidatePairId);
    const inbound = all.find((r) => r.type === "inbound-rtp" && r.kind === "audio");
    const codec = reports.get(inbound?.codecId);
    const remote = reports.get(pair?.remoteCandidateId);
    if (pair?.currentRoundTripTime !== undefined) {
      const ms = pair.currentRoundTripTime * 1000;
      showFigure("rtt", ms, ms < 10 ? ms.toFixed(1) : ms.toFixed(0), "ms");
    }
    if (inbound) {
      const ms = inbound.jitter * 1000;
      showFigure("jitter", ms, ms < 10 ? ms.toFixed(1) : ms.toFixed(0), "ms");
      const now = { lost: inbound.packetsLost, received: inbound.packetsReceived };
      if (this.was) {
        const lost = Math.max(0, now.lost - this.was.lost);
        const expected = lost + now.received - this.was.received;
        const percent = expected > 0 ? (100 * lost) / expected : 0;
        showFigure("loss", percent, percent.toFixed(percent && percent < 10 ? 1 : 0), "%");
      }
      this.was = now;
    }
    const facts = [
      codec && codec.mimeType.replace("audio/", "").replace("opus", "Opus"),
      remote && `${remote.protocol.toUpperCase()} ${endpoint(remote.address ?? "", remote.port)}`,
      `connected in ${Math.round(this.took)} ms`,
    ];
    $("facts").textContent = facts.filter(Boolean).map((fact) => fact.replaceAll(" ", "\u00a0")).join("\u00a0· ");
  }

  fail(failure) {
    if (this.closed) return;
    const worked = this.took !== undefined;
    this.close();
    this.over(failure, worked);
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    clearInterval(this.sampler);
    this.aborter.abort();
    this.socket?.close();
    $("speaker").srcObject = null;
    // A peer that closes first says goodbye by DTLS, and the server would know no such call any more.
    void this.tell().finally(() => this.peer.close());
  }

  async tell() {
    if (!this.session) return;
    const address = `${this.session}/hangup`;
    this.session = null;
    const signal = AbortSignal.timeout(HANG_UP_WITHIN);
    await fetch(address, { method: "POST", keepalive: true, signal }).catch(() => {});
  }
}

// --- the person's buttons -----------------------------------------------------------------------

let microphone = null;
let levels = null;
let call = null;
let mayRetry = false;

const muted = () => $("mute").getAttribute("aria-pressed") === "true";

async function start() {
  show("asking");
  clearFigures();
  $("transcript").replaceChildren();
  try {
    microphone = await openMicrophone();
  } catch (failure) {
    show("failed", [failure.headline, failure.message]);
    return;
  }
  microphone.getAudioTracks()[0].onended = () => finish("failed", ["The microphone is gone", "It was unplugged or switched off."]);
  levels = new Levels();
  levels.listen("mic", microphone);
  mayRetry = true;
  connect(WORDS.connecting);
}

function connect(words) {
  show("connecting", words);
  call = new Call(microphone, levels, words === WORDS.again, (failure, worked) => {
    if (worked && mayRetry) {
      mayRetry = false;
      connect(WORDS.again);
    } else {
      finish("failed", [failure.headline, failure.message]);
    }
  });
  void call.connect();
}

function finish(state, words = WORDS[state]) {
  call?.close();
  call = null;
  levels?.close();
  levels = null;
  microphone?.getTracks().forEach((track) => { track.onended = null; track.stop(); });
  microphone = null;
  setMuted(false);
  show(state, words);
}

function setMuted(on) {
  $("mute").setAttribute("aria-pressed", String(on));
  document.body.classList.toggle("muted", on);
  microphone?.getAudioTracks().forEach((track) => { track.enabled = !on; });
}

if (!ECHO) {
  $("echo-name").textContent = "Answer";
  $("advice").textContent = "With speakers it may hear itself and think that you interrupt; headphones are better.";
}
show("idle");
$("start").addEventListener("click", () => void start());
$("again").addEventListener("click", () => void start());
$("hang-up").addEventListener("click", () => finish("ended"));
$("mute").addEventListener("click", () => {
  setMuted(!muted());
  say(muted() ? WORDS.muted : WORDS.live);
});
addEventListener("pagehide", () => call && finish("ended"));
