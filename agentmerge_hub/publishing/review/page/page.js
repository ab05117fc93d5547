"use strict";
// Shows the drawn rows and sends decisions. Texts of rows are set as text nodes, never as markup.

const byId = (id) => document.getElementById(id);
const state = { rows: [], number: 0, mark: -1, busy: false, finished: false };

async function request(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  let reply;
  try {
    reply = await fetch(path, options);
  } catch {
    throw new Error("The review is not running any more: run `agentmerge review` again. Recorded decisions are kept.");
  }
  const content = await reply.json().catch(() => ({ error: `The server answered ${reply.status}.` }));
  if (!reply.ok) throw new Error(content.error || `The server answered ${reply.status}.`);
  return content;
}

function say(text) {
  byId("message").textContent = text;
  byId("message").hidden = !text;
}

function guarded(action) {
  return async (...parts) => {
    if (state.busy || state.finished) return;
    state.busy = true;
    try {
      say("");
      await action(...parts);
    } catch (error) {
      say(error.message);
    } finally {
      state.busy = false;
    }
  };
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function section(part) {
  const details = element("details", part.role);
  details.open = part.open;
  const summary = element("summary", "", part.title);
  const unsure = part.segments.filter((segment) => segment.kind && segment.kind !== "replaced").length;
  if (unsure) summary.append(element("span", "count", ` · ${unsure} to check`));
  const text = element("pre");
  for (const segment of part.segments) {
    text.append(segment.kind ? element("mark", segment.kind, segment.text) : document.createTextNode(segment.text));
  }
  details.append(summary, text);
  return details;
}

function picture(base64) {
  const image = element("img");
  image.alt = "Screenshot of the page, which is published with the row";
  image.src = `data:image/png;base64,${base64}`;
  return image;
}

function showStatus() {
  const row = state.rows[state.number];
  const decided = state.rows.filter((one) => one.status !== "undecided").length;
  byId("progress").textContent = `${decided} of ${state.rows.length} decided`;
  byId("bar").max = state.rows.length;
  byId("bar").value = decided;
  byId("position").textContent =
    `Row ${state.number + 1}: ${row.task}, step ${row.step + 1} (${row.config}, ${row.split})`;
  byId("decision").textContent = row.reason ? `${row.status}: ${row.reason}` : row.status;
  byId("decision").className = `badge ${row.status}`;
  byId("undo").disabled = row.status === "undecided";
  byId("previous").disabled = state.number === 0;
  byId("next").disabled = state.number === state.rows.length - 1;
}

async function show(number) {
  closeReason();
  const content = await request(`api/rows/${number}`);
  state.number = number;
  state.mark = -1;
  byId("row").replaceChildren(...content.sections.map(section));
  if (content.picture) byId("row").children[1].after(picture(content.picture));
  showStatus();
  window.scrollTo(0, 0);
  byId("row").focus({ preventScroll: true });
}

async function decide(status, reason = "") {
  const decision = await request(`api/rows/${state.number}`, { status, reason });
  Object.assign(state.rows[state.number], decision);
  closeReason();
  showStatus();
  if (status === "undecided") return;
  const after = state.rows.findIndex((row, index) => index > state.number && row.status === "undecided");
  const open = after >= 0 ? after : state.rows.findIndex((row) => row.status === "undecided");
  if (open >= 0) await show(open);
  else say("Every row has a decision: press Finish to apply them.");
}

function openReason() {
  byId("strike-form").hidden = false;
  byId("actions").hidden = true;
  byId("reason").value = state.rows[state.number].reason;
  byId("reason").focus();
}

function closeReason() {
  byId("strike-form").hidden = true;
  byId("actions").hidden = false;
  byId("reason").blur();
}

function nextMark() {
  const marks = [...document.querySelectorAll("mark.near-miss, mark.random, mark.replaced")].filter((mark) => byId("row").contains(mark));
  if (!marks.length) return;
  marks.forEach((mark) => mark.classList.remove("current"));
  state.mark = (state.mark + 1) % marks.length;
  const mark = marks[state.mark];
  mark.closest("details").open = true;
  mark.classList.add("current");
  mark.scrollIntoView({ block: "center" });
}

async function finish() {
  const left = state.rows.filter((row) => row.status === "undecided").length;
  const struck = state.rows.filter((row) => row.status === "struck").length;
  const question = `${struck} struck rows will leave the dataset.` + (left ? ` ${left} rows have no decision yet.` : "") + " Finish?";
  if (!window.confirm(question)) return;
  await request("api/finish", {});
  state.finished = true;
  byId("row").replaceChildren(element("p", "", "Finished. The terminal shows the result; this page can be closed."));
  document.querySelectorAll("footer, header button").forEach((part) => { part.hidden = true; });
}

const move = (by) => guarded(async () => {
  const number = state.number + by;
  if (number >= 0 && number < state.rows.length) await show(number);
});
const actions = {
  a: guarded(() => decide("approved")), s: guarded(openReason), u: guarded(() => decide("undecided")),
  n: guarded(nextMark), f: guarded(finish), j: move(1), k: move(-1), arrowright: move(1), arrowleft: move(-1),
};

document.addEventListener("keydown", (event) => {
  if (event.target instanceof HTMLInputElement) {
    if (event.key === "Escape") closeReason();
    return;
  }
  const action = actions[event.key.toLowerCase()];
  if (!action || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  event.preventDefault();
  action();
});
for (const [id, key] of [["approve", "a"], ["strike", "s"], ["undo", "u"], ["spot", "n"], ["finish", "f"], ["next", "j"], ["previous", "k"]]) {
  byId(id).addEventListener("click", () => actions[key]());
}
byId("cancel").addEventListener("click", closeReason);
byId("strike-form").addEventListener("submit", (event) => {
  event.preventDefault();
  guarded(() => decide("struck", byId("reason").value))();
});

guarded(async () => {
  const overview = await request("api/sample");
  state.rows = overview.rows;
  byId("dataset").textContent = `${overview.dataset}: ${overview.rows.length} of ${overview.total} rows`;
  document.title = `Review of ${overview.dataset}`;
  const open = state.rows.findIndex((row) => row.status === "undecided");
  await show(Math.max(open, 0));
})();
