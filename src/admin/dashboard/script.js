"use strict";
// Asks for the figures every five seconds and shows them. Names come from visitors: they are put in as text only.
const byId = (id) => document.getElementById(id);
const numbers = new Intl.NumberFormat("en");
let figures = null;
let timer = null;

function element(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

// A table: columns of [heading, value of a row, kind].
function table(id, columns, rows, empty) {
  const head = element("tr");
  for (const [heading, , kind] of columns) {
    const cell = element("th", heading, kind === "number" ? "number" : "");
    cell.scope = "col";
    head.append(cell);
  }
  const body = element("tbody");
  for (const row of rows) {
    const line = element("tr");
    for (const [, value, kind] of columns) {
      const shown = value(row);
      const cell = element("td", shown instanceof Node ? undefined : kind === "number" ? numbers.format(shown) : shown ?? "–", kind);
      if (shown instanceof Node) cell.append(shown);
      line.append(cell);
    }
    body.append(line);
  }
  if (rows.length === 0) {
    const cell = element("td", empty);
    cell.colSpan = columns.length;
    const line = element("tr");
    line.append(cell);
    body.append(line);
  }
  const top = element("thead");
  top.append(head);
  byId(id).replaceChildren(top, body);
}

const strippedOf = (item) => item.undecided.stripped + item.decided.stripped;
const totalOf = (counts) => Object.values(counts).reduce((sum, count) => sum + count, 0);

// What was stripped a minute between each two samples, by category.
function rates({ times, requests, stripped }) {
  const points = [];
  for (let at = 1; at < times.length; at++) {
    const seconds = times[at] - times[at - 1];
    // The newest sample may be of a moment ago: too short to speak of a minute.
    if (seconds <= 0 || (seconds < 3 && times.length > 2)) continue;
    const a_minute = ([name, counts]) => [name, (counts[at] - counts[at - 1]) * 60 / seconds];
    points.push({
      time: times[at],
      stripped: Object.fromEntries(Object.entries(stripped).map(a_minute)),
      requests: (requests[at] - requests[at - 1]) / seconds,
    });
  }
  return points;
}

function svg(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function plot(points, categories) {
  const [left, right, top, bottom] = [56, 950, 12, 225];
  const most = Math.max(1, ...points.flatMap((point) => Object.values(point.stripped)));
  const scale = 10 ** Math.floor(Math.log10(most));
  const ceiling = [1, 2, 5, 10].map((step) => step * scale).find((step) => step >= most);
  const [first, last] = points.length ? [points[0].time, points.at(-1).time] : [0, 1];
  const x = (time) => left + (right - left) * (last > first ? (time - first) / (last - first) : 1);
  const y = (value) => bottom - (bottom - top) * value / ceiling;
  const shown = [byId("plot-text")];
  for (const part of [0, 0.5, 1]) {
    shown.push(svg("line", { x1: left, x2: right, y1: y(part * ceiling), y2: y(part * ceiling), class: "grid" }));
    shown.push(svg("text", { x: left - 8, y: y(part * ceiling) + 4, "text-anchor": "end" }, numbers.format(part * ceiling)));
  }
  if (points.length) {
    const time = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
    shown.push(svg("text", { x: left, y: 248 }, time(first)));
    shown.push(svg("text", { x: right, y: 248, "text-anchor": "end" }, time(last)));
  }
  categories.forEach((name, at) => {
    const line = points.map((point, index) => `${index ? "L" : "M"}${x(point.time).toFixed(1)} ${y(point.stripped[name] ?? 0).toFixed(1)}`);
    if (line.length) shown.push(svg("path", { d: line.join(""), class: `k${at % 6}` }));
  });
  byId("plot").replaceChildren(...shown);
  const newest = points.at(-1);
  byId("plot-text").textContent = newest
    ? "At last: " + categories.map((name) => `${name} ${Math.round(newest.stripped[name] ?? 0)}`).join(", ") + " a minute."
    : "Nothing to show yet.";
  byId("legend").replaceChildren(...categories.map((name, at) => element("li", name, `k${at % 6}`)));
  const columns = [["Time", (point) => new Date(point.time * 1000).toLocaleTimeString()]];
  for (const name of categories) columns.push([name, (point) => Math.round(point.stripped[name] ?? 0), "number"]);
  table("plot-table", columns, points.slice(-60).reverse(), "Nothing yet.");
}

function share(part, whole, label) {
  const meter = element("meter");
  meter.max = Math.max(whole, 1);
  meter.value = part;
  meter.setAttribute("aria-label", label);
  return meter;
}

function show() {
  const choice = byId("site");
  if (choice.options.length !== figures.sites.length) {
    choice.replaceChildren(...figures.sites.map((name, place) => new Option(name, place)));
  }
  const { now, history, errors } = figures;
  const { cookies, beacons, held_back, url_parameters } = figures.inventory;
  byId("version").textContent = figures.version;
  byId("mode").textContent = now.mode;
  byId("observing").hidden = now.mode !== "observe";
  const points = rates(history);
  const newest = points.at(-1);
  const tiles = [
    ["Requests a second", newest ? newest.requests.toFixed(1) : "–"],
    ["Requests", numbers.format(now.requests)],
    ["Cookies stripped", numbers.format(totalOf(now.stripped))],
    ["Cookies presumed necessary", numbers.format(now.presumed)],
    ["Beacons answered here", numbers.format(now.beacons)],
    ["Deletions", numbers.format(now.expired)],
    ["Open connections", numbers.format(figures.open_connections)],
  ];
  byId("tiles").replaceChildren(...tiles.flatMap(([name, value]) => {
    const both = element("div");
    both.append(element("dt", name), element("dd", value));
    return [both];
  }));
  plot(points, Object.keys(now.stripped));
  table("stripped", [
    ["Name", (item) => item.name, "name"],
    ["Category", (item) => item.category ?? "unclassified"],
    ["Vendor", (item) => item.vendor],
    ["Stripped", strippedOf, "number"],
  ], cookies.filter(strippedOf).sort((a, b) => strippedOf(b) - strippedOf(a)).slice(0, 20), "Nothing was stripped yet.");
  table("unknown", [
    ["Name", (item) => item.name, "name"],
    ["From", (item) => item.from],
    ["Proposal", (item) => `${item.suggestion.category}: ${item.suggestion.reason}`],
    ["Seen", (item) => item.set + item.sent, "number"],
    ["Passes as", (item) => item.presumed ? `presumed necessary: ${item.presumed.reason}` : "unclassified"],
  ], cookies.filter((item) => !item.category).sort((a, b) => b.set + b.sent - a.set - a.sent).slice(0, 50), "None: every cookie has its rule.");
  const all = totalOf(now.consent);
  table("consent", [
    ["State", ([name]) => name.replaceAll("_", " ")],
    ["Share", ([name, count]) => share(count, all, `${name}: ${Math.round(100 * count / Math.max(all, 1))} %`)],
    ["%", ([, count]) => Math.round(1000 * count / Math.max(all, 1)) / 10, "number"],
    ["Requests", ([, count]) => count, "number"],
  ], Object.entries(now.consent).filter(([, count]) => count).sort((a, b) => b[1] - a[1]), "No request yet.");
  table("held-back", [
    ["Name", (item) => item.name, "name"],
    ["Kind", (item) => item.kind],
    ["Category", (item) => item.category ?? "unclassified"],
    ["Vendor", (item) => item.vendor],
    ["Times", (item) => item.times, "number"],
  ], held_back.sort((a, b) => b.times - a.times).slice(0, 50), "None: the guard is off or has blocked nothing.");
  table("beacons", [
    ["Path", (item) => item.name, "name"],
    ["Category", (item) => item.category ?? "looks like one"],
    ["Vendor", (item) => item.vendor],
    ["Passed", (item) => item.undecided.passed + item.decided.passed, "number"],
    ["Held back", strippedOf, "number"],
  ], beacons.slice().sort((a, b) => strippedOf(b) - strippedOf(a)).slice(0, 30), "No beacon was seen yet.");
  table("parameters", [
    ["Name", (item) => item.name, "name"],
    ["Category", (item) => item.category],
    ["Vendor", (item) => item.vendor],
    ["Passed", (item) => item.undecided.passed + item.decided.passed, "number"],
    ["Stripped", strippedOf, "number"],
  ], url_parameters.slice().sort((a, b) => strippedOf(b) - strippedOf(a)).slice(0, 30), "No parameter with a rule was seen yet.");
  const minuteAgo = Math.max(0, history.times.findLastIndex((time) => time <= history.times.at(-1) - 60));
  const recent = history.upstream_errors.at(-1) - history.upstream_errors[minuteAgo];
  byId("health").textContent = recent === 0
    ? `No upstream failed in the last minute. Connections opened to them: ${numbers.format(figures.upstream_connections)}.`
    : `Upstreams failed ${recent} times in the last minute.`;
  table("errors", [
    ["Kind", ([kind]) => kind.replaceAll("_", " ")],
    ["Since the start", ([, count]) => count, "number"],
  ], Object.entries(errors), "");
}

async function refresh() {
  try {
    const answer = await fetch(`/dashboard.json?site=${Number(byId("site").value)}`, { cache: "no-store" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    figures = await answer.json();
    show();
    byId("state").textContent = `As of ${new Date().toLocaleTimeString()}.`;
  } catch (error) {
    byId("state").textContent = `Cannot reach the proxy: ${error.message}. The data shown is outdated.`;
  }
}

function run(on) {
  clearInterval(timer);
  timer = on ? setInterval(refresh, 5000) : null;
}

byId("pause").addEventListener("click", () => {
  const pause = byId("pause").getAttribute("aria-pressed") === "false";
  byId("pause").setAttribute("aria-pressed", String(pause));
  run(!pause);
});
byId("site").addEventListener("change", refresh);
refresh();
run(true);
