// One photo in, two searches side by side out: of two weights, or of the galleries of two services; and what they cost.
import { Service } from "./api.js";
import { showHits } from "./hits.js";
import { milliseconds, percent, stepOf, weightAt, weightText } from "./numbers.js";
import { offerSamples, prepare, takePhotos } from "./photo.js";

const TOP_K = 10;
const PAUSE_MS = 120;
const STAGES = ["decode", "models", "fuse", "search", "total"];

const $ = (id) => document.getElementById(id);
const here = new Service(undefined, (seconds) => say(`The service is busy. Asking again in ${Math.ceil(seconds)} s \u2026`));
let photo = null; // {file, width, height}

function say(words) {
  $("status").textContent = words;
}

/** One column: a service, a weight, a label mode, and the answer to them. */
class Side {
  constructor(name, letter) {
    this.name = name;
    this.root = $("side").content.firstElementChild.cloneNode(true);
    this.root.querySelector(".side-title").textContent = name;
    this.root.querySelector(".side-title").id = `title-${letter}`;
    this.root.setAttribute("aria-labelledby", `title-${letter}`);
    for (const field of ["service", "weight", "mode"]) {
      this.part(field).id = `${field}-${letter}`;
      this.part(`of-${field}`).htmlFor = `${field}-${letter}`;
    }
    this.service = here;
    this.queries = new Map(); // service address -> query_id of `photo` there
    this.weight = null;
    this.answer = null;
    this.history = [];
    this.part("weight").addEventListener("input", () => this.onWeight());
    this.part("mode").addEventListener("change", () => this.search());
    this.part("service").addEventListener("change", () => this.onService());
    this.root.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
    $("sides").append(this.root);
  }

  part(name) {
    return this.root.querySelector(`.${name}`);
  }

  onWeight() {
    this.weight = weightAt(Number(this.part("weight").value));
    this.showWeight(this.weight);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.search(), PAUSE_MS);
  }

  onService() {
    const given = this.part("service").value.trim();
    try {
      this.service = given ? new Service(new URL(given.endsWith("/") ? given : `${given}/`).href) : here;
    } catch {
      this.fail("That is no address. One looks like https://shop.example:3000.");
      return;
    }
    this.search();
  }

  showWeight(weight) {
    this.part("weight-value").textContent = weightText(weight);
    this.part("weight").setAttribute("aria-valuetext", `weight ${weightText(weight)}`);
  }

  form(queryId) {
    const form = new FormData();
    if (queryId) form.set("query_id", queryId);
    else form.set("image", photo.file, photo.file.name || "photo.jpg");
    if (this.weight !== null) form.set("weight", String(this.weight));
    if (this.part("mode").value) form.set("label_mode", this.part("mode").value);
    form.set("top_k", String(TOP_K));
    return form;
  }

  async ask(signal) {
    const post = (queryId) => this.service.ask("search", { method: "POST", body: this.form(queryId), signal });
    const queryId = this.queries.get(this.service.base);
    if (!queryId) return post(null);
    try {
      return await post(queryId);
    } catch (error) {
      if (error.status !== 404) throw error;
      return post(null); // forgotten there
    }
  }

  async search() {
    if (!photo) return;
    this.running?.abort();
    const running = new AbortController();
    this.running = running;
    this.root.setAttribute("aria-busy", "true");
    this.part("error").hidden = true;
    try {
      const answer = await this.ask(running.signal);
      if (this.running === running) this.show(answer);
    } catch (error) {
      if (error.name !== "AbortError" && this.running === running) this.fail(error.message);
    } finally {
      if (this.running === running) this.root.removeAttribute("aria-busy");
    }
    showComparison();
  }

  show(answer) {
    this.answer = answer;
    this.queries.set(this.service.base, answer.query_id);
    this.history.push(answer.timings_ms);
    if (this.weight === null) this.part("weight").value = String(stepOf(answer.weight));
    this.showWeight(answer.weight);
    const label = answer.label === null ? "no label" : `${answer.label} ${percent(answer.label_score)}`;
    this.part("said").textContent = `Gallery ${answer.gallery_version} \u00b7 ${label}${answer.abstained ? ", searched by picture only" : ""}`;
    showHits(this.part("rows"), answer.hits, { service: this.service });
  }

  fail(message) {
    this.answer = null;
    this.part("rows").replaceChildren();
    this.part("said").textContent = "";
    this.part("error").textContent = message;
    this.part("error").hidden = false;
  }
}

const sides = [new Side("Left", "left"), new Side("Right", "right")];

// ---- comparison ----

function showComparison() {
  const [left, right] = sides.map((side) => side.answer && side.answer.hits.map((hit) => hit.product_id));
  showStages();
  for (const side of sides) showChanges(side, side === sides[0] ? right : left);
  if (!left || !right) {
    say("");
    return;
  }
  const both = left.filter((id) => right.includes(id)).length;
  const first = left[0] === right[0] ? "The first is the same." : "The first differs.";
  say(`${both} of the first ${Math.max(left.length, right.length)} are on both sides. ${first}`);
}

/** Where a product stands on the other side. */
function showChanges(side, others) {
  for (const card of side.part("rows").children) {
    const place = others ? others.indexOf(card.dataset.productId) + 1 : 0;
    const text = !others ? "" : place ? `there ${place}` : "not there";
    card.querySelector(".change").textContent = text;
    card.classList.toggle("alone", others !== null && place === 0);
  }
}

function median(values) {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function cell(kind, text, scope) {
  const made = Object.assign(document.createElement(kind), { textContent: text });
  if (scope) made.scope = scope;
  return made;
}

function showStages() {
  const shown = sides.filter((side) => side.history.length);
  const head = document.createElement("tr");
  head.append(cell("th", "stage", "col"), ...shown.flatMap((side) => [cell("th", `${side.name}, last`, "col"), cell("th", `median of ${side.history.length}`, "col")]));
  $("stages").tHead.replaceChildren(head);
  $("stages").tBodies[0].replaceChildren(...STAGES.map((stage) => {
    const row = document.createElement("tr");
    const cells = shown.flatMap(({ history }) => [history.at(-1)[stage], median(history.map((one) => one[stage]))]);
    row.append(cell("th", stage, "row"), ...cells.map((value) => cell("td", milliseconds(value))));
    return row;
  }));
}

// ---- gallery ----

async function showGallery() {
  let gallery;
  try {
    gallery = await here.ask("gallery");
  } catch (error) {
    $("gallery-error").textContent = error.message;
    $("gallery-error").hidden = false;
    return;
  }
  const { changes, following, label, recall } = gallery;
  const wanted = following.wanted === gallery.version ? "the live one" : `${following.wanted ?? "none"} is wanted`;
  const facts = {
    version: `${gallery.version}, ${following.on_trial ? "a canary" : wanted}`,
    built: `${gallery.created_at.slice(0, 16).replace("T", " ")} UTC`,
    rows: `${gallery.count.toLocaleString()} of ${gallery.products.toLocaleString()} products`,
    index: `${gallery.recipe} on ${gallery.device}`,
    vectors: `${gallery.image_vector} ${gallery.image_dim} + ${gallery.text_vector} ${gallery.text_dim}`,
    "default weight": weightText(gallery.default_weight),
    labels: `${gallery.labels.length}, ${label.mode}${label.min_confidence ? `, from ${percent(label.min_confidence)} on` : ""}`,
    changes: `batch ${changes.sequence} of the journal; ${changes.applied} applied, ${changes.skipped} skipped`,
    spaces: Object.entries(gallery.spaces).map(([name, id]) => `${name} ${id.slice(0, 12)}`).join(", "),
  };
  if (recall.length) facts["recall@10 against exact search"] = recall.map((one) => `${one.recall_at_10.toFixed(3)} at weight ${weightText(one.weight)}`).join(", ");
  const troubles = [changes.reason, ...changes.misfits, following.store_failure, ...following.failures.map((one) => `${one.version}: ${one.reason}`)].filter(Boolean);
  if (troubles.length) facts.trouble = troubles.join("; ");
  $("facts").replaceChildren(...Object.entries(facts).map(([name, text]) => {
    const row = document.createElement("div");
    row.append(cell("dt", name), cell("dd", text));
    return row;
  }));
}

// ---- photo ----

async function usePhoto(file) {
  photo = await prepare(file);
  $("preview").src = URL.createObjectURL(photo.file);
  $("preview").hidden = false;
  $("query-hint").hidden = true;
  for (const side of sides) side.queries.clear();
  const [left, right] = sides;
  await left.search();
  if (left.answer && right.service.base === left.service.base) right.queries.set(right.service.base, left.answer.query_id);
  await right.search();
}

async function takeOver() {
  const kept = sessionStorage.getItem("shopcam photo");
  if (kept === null) return;
  sessionStorage.removeItem("shopcam photo");
  const bytes = Uint8Array.from(atob(kept.slice(kept.indexOf(",") + 1)), (letter) => letter.charCodeAt(0));
  await usePhoto(new File([bytes], "photo.jpg", { type: "image/jpeg" }));
}

takePhotos([$("file")], $("drop"), usePhoto);
showStages();
showGallery();
offerSamples(here, $("samples"), usePhoto);
takeOver();
