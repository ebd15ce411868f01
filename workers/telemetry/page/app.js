// Asks for what it lacks every other second, and draws it. No framework, no build step, nothing from elsewhere.

import { Chart, colour, make } from "./charts.js";

const PATIENCE = 8_000;
const AGAIN_AT_MOST = 15_000;
const SESSIONS_EVERY = 4_000;
const LINES = 8;
const SHOWN_SESSIONS = 200;
const REMEMBERED = 225;

const $ = (id) => document.getElementById(id);

// --- numbers as people read them ----------------------------------------------------------------

function count(value) {
  if (value === null || value === undefined) return "–";
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (value >= size) return `${+(value / (unit === "k" ? 1e3 : size)).toPrecision(3)}${unit}`;
  }
  return value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : String(+value.toFixed(value >= 10 ? 1 : 2));
}
const milliseconds = (value) => (value === null || value === undefined ? "–" : `${value >= 100 ? Math.round(value) : +value.toFixed(1)} ms`);
const percent = (value) => (value === null || value === undefined ? "–" : `${value >= 10 ? Math.round(value) : +value.toFixed(value >= 1 ? 1 : 2)} %`);
const megabytes = (value) => (value === null || value === undefined ? "–" : `${Math.round(value)} MB`);

function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  for (const [size, unit, part, smaller] of [[86400, "d", 3600, "h"], [3600, "h", 60, "m"], [60, "m", 1, "s"]]) {
    if (whole >= size) return `${Math.floor(whole / size)}${unit} ${Math.floor((whole % size) / part)}${smaller}`;
  }
  return `${whole}s`;
}

const MOODS = { ready: "good", connected: "good", starting: "busy", cordoned: "busy", draining: "busy", releasing: "busy", degraded: "bad", "back-off": "bad", failed: "bad" };
const chip = (state) => make("span", { className: `state ${MOODS[state] ?? ""}`, textContent: state });

// --- the past, column by column -----------------------------------------------------------------

const past = { began: null, serial: 0, every: 2, length: 450, columns: { at: [] } };
const BY_NAME = ["drops", "cpu", "memory"];

function remember(news) {
  if (news.began !== past.began) Object.assign(past, { began: news.began, serial: 0, columns: { at: [] } });
  const before = past.columns.at.length, fresh = news.samples.at.length;
  const excess = Math.max(0, before + fresh - news.length);
  const join = (old, more, missing) => [...(old ?? Array(before).fill(missing)), ...(more ?? Array(fresh).fill(missing))].slice(excess);
  for (const [field, values] of Object.entries(news.samples)) {
    if (!BY_NAME.includes(field)) {
      past.columns[field] = join(past.columns[field], values, null);
      continue;
    }
    const old = past.columns[field] ?? {}, missing = field === "drops" ? 0 : null, joined = {};
    for (const name of new Set([...Object.keys(old), ...Object.keys(values)])) {
      const column = join(old[name], values[name], missing);
      if (column.some((value) => value !== missing)) joined[name] = column;
    }
    past.columns[field] = joined;
  }
  Object.assign(past, { serial: news.serial, every: news.every, length: news.length });
}

const latest = (field) => past.columns[field]?.at(-1) ?? null;

// --- charts -------------------------------------------------------------------------------------

const order = [];
/** A process keeps its colour, wherever it is drawn. */
function colourOf(name) {
  if (!order.includes(name)) order.push(name);
  return colour(order.indexOf(name));
}

const fixed = (...lines) => () => lines.map(([field, label], i) => ({ label, values: past.columns[field] ?? [], colour: colour(i), filled: lines.length === 1 || i === 0 }));

/** Of many by name the greatest few; what a chart cannot show any more is added up, or left out. */
function greatest(field, { rest, paint }) {
  return () => {
    const from = past.columns.at.findIndex((time) => time >= shownFrom());
    const ranked = Object.entries(past.columns[field] ?? {})
      .map(([label, values]) => ({ label, values, weight: Math.max(0, ...values.slice(Math.max(0, from))) }))
      .filter(({ weight }) => weight > 0)
      .sort((a, b) => b.weight - a.weight);
    const shown = ranked.slice(0, ranked.length > LINES ? LINES - 1 : LINES);
    const left = ranked.slice(shown.length);
    shown.sort((a, b) => a.label.localeCompare(b.label));
    const lines = shown.map(({ label, values }, i) => ({ label: label.replaceAll("_", " "), values, colour: paint ? paint(label) : colour(i), filled: false }));
    if (left.length && rest) {
      const sums = left[0].values.map((_, i) => left.reduce((sum, { values }) => sum + (values[i] ?? 0), 0));
      lines.push({ label: `${left.length} others`, values: sums, colour: colour(LINES - 1), filled: false });
    }
    return lines;
  };
}

const CHARTS = [
  [{ title: "Sessions", unit: "", floor: 4, format: count }, fixed(["connected", "connected"], ["sessions", "all"])],
  [{ title: "Datagrams", unit: "per second", floor: 10, format: count }, fixed(["received", "from clients"], ["returned", "to clients"])],
  [{ title: "Set-ups", unit: "per second", floor: 1, format: count }, fixed(["setups", "sessions begun"])],
  [{ title: "Round trip", unit: "as clients report", floor: 10, format: milliseconds }, fixed(["round_trip", "mean"], ["round_trip_95", "95 of 100"])],
  [{ title: "Loss", unit: "of audio", floor: 1, format: percent }, fixed(["loss_in", "from clients"], ["loss_out", "to clients"])],
  [{ title: "Jitter", unit: "mean", floor: 5, format: milliseconds }, fixed(["jitter_in", "from clients"], ["jitter_out", "to clients"])],
  [{ title: "Drops", unit: "per second, by reason", floor: 1, format: count }, greatest("drops", { rest: true })],
  [{ title: "CPU", unit: "of one core, by process", floor: 5, format: percent }, greatest("cpu", { paint: colourOf })],
  [{ title: "Memory", unit: "resident, by process", floor: 64, format: megabytes }, greatest("memory", { paint: colourOf })],
].map(([options, lines]) => ({ chart: new Chart(options), lines }));

$("charts").append(...CHARTS.map(({ chart }) => chart.element));

/** Until somebody chooses, what is shown is what there is. */
let chosen = false;
function fit() {
  const all = now() - (past.columns.at[0] ?? now());
  const inputs = [...document.querySelectorAll('[name="span"]')];
  if (!chosen) (inputs.find(({ value }) => 1000 * value >= all) ?? inputs.at(-1)).checked = true;
}

const span = () => 1000 * Number(document.querySelector('[name="span"]:checked').value);
const now = () => past.columns.at.at(-1) ?? Date.now();
const shownFrom = () => now() - span();

function drawCharts() {
  fit();
  for (const { chart, lines } of CHARTS) chart.show(past.columns.at, lines(), shownFrom(), now(), 2500 * past.every);
}

// --- tiles, head, workers -----------------------------------------------------------------------

const TILES = [
  ["Sessions", () => count(latest("sessions")), (status) => (status ? `${count(latest("connected"))} connected` : "")],
  ["Set-ups", () => count(latest("setups")), () => "/s"],
  ["From clients", () => count(latest("received")), () => "/s"],
  ["To clients", () => count(latest("returned")), () => "/s"],
  ["Round trip", () => milliseconds(latest("round_trip")), () => ""],
  ["Loss, worse way", () => percent(worse()), () => "", () => (worse() ?? 0) >= 5],
  ["Drops", () => count(dropped()), () => "/s"],
];

function worse() {
  const both = [latest("loss_in"), latest("loss_out")].filter((value) => value !== null);
  return both.length ? Math.max(...both) : null;
}

function dropped() {
  if (!past.columns.at.length) return null;
  return Object.values(past.columns.drops ?? {}).reduce((sum, values) => sum + (values.at(-1) ?? 0), 0);
}

function drawTiles(status) {
  $("tiles").replaceChildren(...TILES.map(([title, value, unit, bad]) => {
    const [number, ...rest] = value().split(" ");
    const small = [...rest, unit(status)].filter(Boolean).join(" ");
    return make("div", { className: bad?.() ? "bad" : "" },
      make("dt", { textContent: title }),
      make("dd", {}, number, make("small", { textContent: small && ` ${small}` })));
  }));
}

function drawHead(status) {
  const state = status?.state ?? "no answer";
  $("state").textContent = state;
  $("state").className = `state ${status ? MOODS[state] ?? "" : "bad"}`;
  document.title = status ? `${state === "ready" ? "" : `${state} · `}${count(latest("sessions"))} sessions · Tandem` : "no answer · Tandem";
  $("about").textContent = status ? `${status.version}, up ${duration(status.uptime)}, ${status.listen.map((each) => `${each}/udp`).join(", ")}` : "";
  const warnings = status ? status.warnings : ["The supervisor does not answer; this page shows what was known before."];
  $("warnings").replaceChildren(...warnings.map((text) => make("li", { textContent: text })));
  $("warnings").classList.toggle("lost", !status);
  $("warnings").hidden = !warnings.length;
}

function drawWorkers(status) {
  const rows = status.workers.map((worker) => {
    const cell = (text, className = "n") => make("td", { className, textContent: text });
    return make("tr", {},
      make("td", {}, make("i", { className: `key ${colourOf(worker.name)}` }), worker.name),
      make("td", {}, chip(worker.cordoned ? "cordoned" : worker.state)),
      cell(worker.pid ? duration(worker.uptime) : "–"),
      cell(count(worker.load)),
      cell(percent(past.columns.cpu?.[worker.name]?.at(-1))),
      cell(megabytes(past.columns.memory?.[worker.name]?.at(-1))),
      cell(String(worker.restarts), worker.restarts ? "n warm" : "n"),
      cell(String(worker.pid || "–")),
      cell(worker.note, "note"));
  });
  $("workers").tBodies[0].replaceChildren(...rows);
}

// --- sessions -----------------------------------------------------------------------------------

let listed = { total: 0, rows: [] };
const courses = new Map();
let opened = null;
let details = [];

function follow(list) {
  const at = Date.now();
  for (const row of list.rows) {
    const course = courses.get(row.session) ?? { at: [], trip: [], in: [], out: [], jitterIn: [], jitterOut: [], before: null };
    courses.set(row.session, course);
    const { before } = course;
    const more = (field) => (before === null ? 0 : Math.max(0, (row[field] ?? 0) - (before[field] ?? 0)));
    const share = (lost, all) => (all + lost > 0 ? (100 * lost) / (all + lost) : null);
    course.at.push(at);
    course.trip.push(row.round_trip_ms);
    course.in.push(share(more("lost"), more("packets_in")));
    course.out.push(before === null ? null : Math.min(100, (100 * more("peer_lost")) / Math.max(1, more("packets_out"))));
    course.jitterIn.push(row.packets_in ? row.jitter_ms : null);
    course.jitterOut.push(row.peer_jitter_ms);
    course.before = row;
    if (course.at.length > REMEMBERED) for (const values of Object.values(course)) if (Array.isArray(values)) values.shift();
  }
  const alive = new Set(list.rows.map((row) => row.session));
  for (const session of courses.keys()) if (!alive.has(session)) courses.delete(session);
}

const lossy = (lost, packets) => packets > 50 && lost > 0.05 * packets;

function sessionRow(row) {
  const cell = (text, bad = false) => make("td", { className: bad ? "n warm" : "n", textContent: text });
  const open = make("button", { className: "open", type: "button", textContent: row.session });
  open.setAttribute("aria-expanded", String(opened === row.session));
  open.dataset.session = row.session;
  return make("tr", {},
    make("td", {}, open),
    make("td", { textContent: row.worker }),
    make("td", {}, chip(row.state)),
    cell(duration(row.age)),
    cell(milliseconds(row.round_trip_ms)),
    cell(count(row.packets_in)),
    cell(count(row.lost), lossy(row.lost, row.packets_in)),
    cell(row.packets_in ? milliseconds(row.jitter_ms) : "–"),
    cell(count(row.packets_out)),
    cell(count(row.peer_lost), lossy(row.peer_lost ?? 0, row.packets_out)),
    cell(milliseconds(row.peer_jitter_ms)));
}

const detailCell = make("td", { colSpan: 11 });
const detailRow = make("tr", { className: "detail" }, detailCell);
const detailFacts = make("dl", { className: "facts" });
const detailCharts = make("div", { className: "small" });
detailCell.append(detailFacts, detailCharts);

function openDetail(session) {
  for (const { chart } of details) chart.remove();
  details = [];
  opened = session;
  if (session === null) return;
  const both = (one, other) => (course) => [
    { label: "from", values: course[one], colour: colour(0), filled: false },
    { label: "to", values: course[other], colour: colour(1), filled: false },
  ];
  details = [
    [{ title: "Round trip", unit: "", floor: 10, format: milliseconds }, (course) => [{ label: "", values: course.trip, colour: colour(0), filled: true }]],
    [{ title: "Loss", unit: "", floor: 1, format: percent }, both("in", "out")],
    [{ title: "Jitter", unit: "", floor: 5, format: milliseconds }, both("jitterIn", "jitterOut")],
  ].map(([options, lines]) => ({ chart: new Chart({ ...options, small: true }), lines }));
  detailCharts.replaceChildren(...details.map(({ chart }) => chart.element));
}

function drawDetail() {
  const row = listed.rows.find((each) => each.session === opened), course = courses.get(opened);
  if (!row || !course) return;
  const facts = [["codec", row.codec || "–"], ["path", row.path.replace(">", " → ") || "–"], ["age", duration(row.age)]];
  detailFacts.replaceChildren(...facts.map(([name, value]) => make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: value }))));
  const until = course.at.at(-1), shown = Math.max(60_000, until - course.at[0]);
  for (const { chart, lines } of details) chart.show(course.at, lines(course), until - shown, until, 4 * SESSIONS_EVERY);
}

function drawSessions() {
  const wanted = $("filter").value.trim().toLowerCase();
  const rows = listed.rows.filter((row) => !wanted || [row.session, row.worker, row.state, row.codec, row.path].some((text) => text.toLowerCase().includes(wanted)));
  const focused = document.activeElement?.dataset?.session;
  if (opened !== null && !listed.rows.some((row) => row.session === opened)) openDetail(null);
  const elements = rows.slice(0, SHOWN_SESSIONS).flatMap((row) => (row.session === opened ? [sessionRow(row), detailRow] : [sessionRow(row)]));
  const body = $("sessions").tBodies[0];
  body.replaceChildren(...elements);
  if (focused) body.querySelector(`[data-session="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  const shown = Math.min(rows.length, SHOWN_SESSIONS);
  $("sessions-count").textContent = listed.total === shown ? count(listed.total) : `${shown} of ${listed.total}`;
  $("sessions").hidden = !listed.rows.length;
  $("sessions-empty").hidden = listed.rows.length > 0;
  drawDetail();
}

$("sessions").addEventListener("click", ({ target }) => {
  const session = target.closest(".open")?.dataset.session;
  if (session === undefined) return;
  openDetail(session === opened ? null : session);
  drawSessions();
});
$("filter").addEventListener("input", drawSessions);
$("spans").addEventListener("change", () => {
  chosen = true;
  drawCharts();
});

// --- asking -------------------------------------------------------------------------------------

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function ask(path) {
  const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

/** While nobody looks at the page nobody is asked; what was missed is in the history. */
async function seen() {
  if (document.hidden) await new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
}

async function forever(every, turn) {
  let failures = 0;
  for (;;) {
    await seen();
    try {
      await turn();
      failures = 0;
    } catch (error) {
      if (!failures++) console.warn(error);
      drawHead(null);
    }
    await sleep(Math.min(every() * 2 ** failures, AGAIN_AT_MOST));
  }
}

forever(() => 1000 * past.every, async () => {
  const news = await ask(`/data.json?after=${past.serial}`);
  remember(news);
  drawHead(news.status);
  drawTiles(news.status);
  drawCharts();
  if (news.status) drawWorkers(news.status);
});

forever(() => SESSIONS_EVERY, async () => {
  const list = await ask("/sessions.json");
  if (list === null) return;
  listed = list;
  follow(list);
  drawSessions();
});
