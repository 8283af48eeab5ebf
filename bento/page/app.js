// In: a photo, words or a product, and what a shopper asks of the hits. Out: the answer of the service, drawn.
import { Service, ServiceError } from "./api.js";
import { CropBox, showFound } from "./crop.js";
import { showHits, showSkeletons } from "./hits.js";
import { percent, stepOf, weightAt, weightText } from "./numbers.js";
import { offerSamples, prepare, takePhotos } from "./photo.js";

const FIRST_HITS = 12;
const MAX_HITS = 200;
const SLIDER_PAUSE_MS = 120;
const MOST_CATEGORIES = 300;
const CALM = matchMedia("(prefers-reduced-motion: reduce)");

const $ = (id) => document.getElementById(id);
const service = new Service(undefined, (seconds) => say(`The shop is busy. Asking again in ${Math.ceil(seconds)} s \u2026`));
const state = {
  source: null, // {kind: photo, file, width, height, picture} | {kind: product, id, picture, caption} | {kind: text, query}
  before: null, // the last photo or words, to come back to from "similar to this"
  queryId: null, // names the vectors of `source` in the service, so that a re-ranking sends no photo
  category: "", // "": the prediction
  weight: null, // null: the gallery's default
  topK: FIRST_HITS,
  running: null, // AbortController of the search in flight
};
const crop = new CropBox($("stage"), $("crop"), onCrop);

// ---- asking ----

function searchForm(reuse) {
  const form = new FormData();
  if (reuse) form.set("query_id", state.queryId);
  else if (state.source.kind === "product") form.set("product_id", state.source.id);
  else {
    form.set("image", state.source.file, state.source.file.name || "photo.jpg");
    if (crop.field) form.set("box", crop.field);
  }
  if (state.category) form.set("category", state.category);
  if (state.weight !== null) form.set("weight", String(state.weight));
  const filters = filtersAsked();
  if (filters) form.set("filters", JSON.stringify(filters));
  form.set("top_k", String(state.topK));
  return form;
}

function filtersAsked() {
  const bound = (id) => ($(id).value === "" ? undefined : Number($(id).value));
  const price = { gte: bound("price-from"), lte: bound("price-to") };
  const filters = {};
  if (price.gte !== undefined || price.lte !== undefined) filters.price = price;
  if ($("only").value) filters.category = $("only").value;
  return Object.keys(filters).length ? filters : null;
}

async function answerOf(signal) {
  const { source } = state;
  if (source.kind === "text") {
    const body = JSON.stringify({ query: source.query, top_k: state.topK, ...(filtersAsked() && { filters: filtersAsked() }) });
    return service.ask("search/text", { method: "POST", body, headers: { "Content-Type": "application/json" }, signal });
  }
  const post = (reuse) => service.ask("search", { method: "POST", body: searchForm(reuse), signal });
  if (state.queryId === null) return post(false);
  try {
    return await post(true);
  } catch (error) {
    if (error.status !== 404) throw error;
    return post(false); // the service keeps vectors for minutes only: send the photo once more
  }
}

async function search() {
  if (!state.source) return;
  state.running?.abort();
  const running = new AbortController();
  state.running = running;
  showBusy();
  try {
    const answer = await answerOf(running.signal);
    if (state.running === running) showAnswer(answer);
  } catch (error) {
    if (error.name !== "AbortError" && state.running === running) showError(error);
  } finally {
    if (state.running === running) {
      state.running = null;
      $("hits").removeAttribute("aria-busy");
    }
  }
}

// ---- what is searched for ----

let chosen = 0;
async function searchPhoto(file) {
  chosen += 1;
  const mine = chosen;
  const sent = await prepare(file);
  if (mine !== chosen) return; // another photo was chosen meanwhile
  if (state.before?.kind === "photo") URL.revokeObjectURL(state.before.picture);
  const picture = URL.createObjectURL(sent.file);
  searchSource({ kind: "photo", ...sent, picture, caption: file.name || "Pasted photo" });
}

function searchSource(source) {
  state.source = source;
  if (source.kind !== "product") state.before = source;
  state.queryId = null;
  state.topK = FIRST_HITS;
  state.category = $("category").value = "";
  $("hits").replaceChildren();
  crop.reset(0, 0);
  showFound($("stage"), [], {});
  showSource();
  search();
}

function onCrop() {
  state.queryId = null;
  state.category = $("category").value = "";
  showCropButton();
  search();
}

const TITLES = { photo: "Your photo", product: "Similar to this product", text: "Your words" };

function showSource() {
  const { kind, picture, caption, width, height, query } = state.source;
  const photo = kind === "photo";
  $("layout").classList.remove("start");
  $("samples").hidden = true;
  $("invite").hidden = true;
  $("query-title").textContent = TITLES[kind];
  $("preview").hidden = kind === "text";
  $("said").hidden = kind !== "text";
  $("said").textContent = kind === "text" ? `\u201c${query}\u201d` : "";
  $("drop").classList.add("filled");
  $("file-label").textContent = photo ? "Another photo" : "Choose a photo";
  $("back").hidden = kind !== "product" || !state.before;
  if (state.before) $("back").textContent = state.before.kind === "photo" ? "Back to your photo" : "Back to your words";
  $("prediction").hidden = true;
  for (const field of document.querySelectorAll(".of-pictures")) field.hidden = kind === "text";
  $("crop-button").hidden = !photo || !width;
  if (kind === "text") return;
  $("words-input").value = "";
  $("preview-image").src = picture;
  $("preview-image").alt = photo ? "Your photo" : caption;
  $("preview-caption").textContent = caption;
  if (photo) crop.reset(width, height);
  showCropButton();
}

function showCropButton() {
  $("crop-button").textContent = crop.value ? "Whole photo" : "Mark a part";
  $("crop-help").hidden = crop.value === null;
}

let detects = null;
async function detect(source) {
  // Not every shop has a detector; its own description says so without an error in the browser's log.
  detects ??= service.ask("docs.json").then(({ paths }) => "/recognize" in paths, () => false);
  if (!(await detects) || state.source !== source) return;
  const form = new FormData();
  form.set("image", source.file, source.file.name || "photo.jpg");
  const { boxes } = await service.ask("recognize", { method: "POST", body: form }).catch(() => ({ boxes: [] }));
  if (state.source !== source) return;
  showFound($("stage"), boxes || [], source, (box) => {
    crop.show(box);
    onCrop();
  });
}

// ---- states of the page ----

function say(words) {
  $("status").textContent = words;
}

function showBusy() {
  $("error").hidden = true;
  $("empty").hidden = true;
  $("hits").setAttribute("aria-busy", "true");
  say("Searching \u2026");
  if ($("hits").childElementCount) return;
  $("more").hidden = true;
  showSkeletons($("hits"), 8);
}

function showError({ message, status }) {
  $("hits").replaceChildren();
  $("prediction").hidden = true;
  $("more").hidden = true;
  say("");
  $("error-message").textContent = message;
  $("retry").hidden = status >= 400 && status < 500 && ![401, 429].includes(status); // the same again would not help
  $("error").hidden = false;
  $("error").scrollIntoView({ block: "nearest" });
}

function showAnswer(answer) {
  const { hits } = answer;
  $("refine").hidden = false;
  if (answer.query_id) {
    state.queryId = answer.query_id;
    showLabels(answer);
    showWeight(answer.weight);
  }
  showHits($("hits"), hits, { service, onSimilar });
  const kind = answer.abstained ? ", by picture only" : answer.category ? `, as \u201c${answer.category}\u201d` : "";
  say(hits.length ? `${hits.length} ${hits.length === 1 ? "product" : "products"}${kind}` : "");
  const filtered = filtersAsked() !== null;
  $("empty").hidden = hits.length > 0;
  $("empty-advice").textContent = filtered ? "Nothing matches with these filters." : "Try other words, or a photo that shows the thing larger.";
  $("empty-clear").hidden = !filtered;
  $("more").hidden = hits.length < state.topK || state.topK >= MAX_HITS;
  if (state.source.kind === "photo" && state.source.width && !state.source.looked) {
    state.source.looked = true;
    detect(state.source);
  }
}

function showLabels({ label, label_score: score, labels, category, abstained }) {
  $("prediction").hidden = label === null;
  if (label === null) return;
  $("prediction-title").textContent = abstained ? "It might be" : "It looks like";
  $("doubt").hidden = !abstained;
  $("label").textContent = label;
  $("label-score").textContent = score === null ? "" : percent(score);
  const others = labels.filter((item) => item.label !== label && item.score >= 0.005).slice(0, 4);
  const chips = state.category || abstained ? [{ label, score }, ...others] : others;
  const focused = document.activeElement?.dataset?.label;
  $("labels").replaceChildren(...chips.map((item) => chip(item, state.category !== "" && item.label === category)));
  $("labels").hidden = chips.length === 0;
  if (focused) ([...$("labels").querySelectorAll("button")].find((one) => one.dataset.label === focused) || $("category")).focus({ preventScroll: true });
}

function chip(item, pressed) {
  const row = document.createElement("li");
  const button = document.createElement("button");
  const confidence = document.createElement("span");
  confidence.textContent = item.score === null ? "" : ` ${percent(item.score)}`;
  button.type = "button";
  button.dataset.label = item.label;
  button.setAttribute("aria-pressed", String(pressed));
  button.append(item.label, confidence);
  button.addEventListener("click", () => {
    $("category").value = pressed ? "" : item.label;
    onCategory();
  });
  row.append(button);
  return row;
}

function showWeight(weight) {
  $("weight-value").textContent = weightText(weight);
  $("weight").setAttribute("aria-valuetext", `weight ${weightText(weight)}`);
  $("weight-reset").hidden = state.weight === null;
  // While a person drags, the thumb is theirs; the service's own choice is shown otherwise.
  if (state.weight === null) $("weight").value = String(stepOf(weight));
}

// ---- events ----

function onSimilar(hit, image) {
  searchSource({ kind: "product", id: hit.product_id, picture: pictureOf(image), caption: hit.title || hit.product_id });
  scrollTo({ top: 0, behavior: CALM.matches ? "auto" : "smooth" });
  $("results").focus({ preventScroll: true });
}

/** A picture that is loaded, at an address that outlives its card. */
function pictureOf(image) {
  if (!image.src.startsWith("blob:")) return image.src;
  const canvas = Object.assign(document.createElement("canvas"), { width: image.naturalWidth, height: image.naturalHeight });
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.toDataURL("image/jpeg");
}

function onCategory() {
  const category = $("category").value.trim();
  if (category === state.category) return;
  state.category = category;
  search();
}

let pause = 0;
function onWeight() {
  state.weight = weightAt(Number($("weight").value));
  showWeight(state.weight);
  clearTimeout(pause);
  pause = setTimeout(search, SLIDER_PAUSE_MS);
}

function onWords(event) {
  event.preventDefault();
  const query = $("words-input").value.trim();
  if (!query) {
    $("words-input").focus();
    return;
  }
  chosen += 1; // a photo that is still being read has lost
  searchSource({ kind: "text", query });
}

function onFilters() {
  const ordered = $("price-from").value === "" || $("price-to").value === "" || Number($("price-from").value) <= Number($("price-to").value);
  $("price-to").setCustomValidity(ordered ? "" : "The highest price is below the lowest.");
  if (!$("price-from").reportValidity() || !$("price-to").reportValidity()) return;
  const count = Object.keys(filtersAsked() || {}).length;
  $("filters-count").textContent = count ? `${count} active` : "";
  $("filters-clear").hidden = count === 0;
  search();
}

function clearFilters() {
  for (const id of ["price-from", "price-to", "only"]) $(id).value = "";
  onFilters();
  $("filters").querySelector("summary").focus();
}

function onCropButton() {
  if (crop.value) crop.show(null);
  else crop.middle();
  onCrop();
  if (crop.value) $("crop").focus({ preventScroll: true });
}

/** The engineers' page takes the photo over, in this tab only. */
async function handOver() {
  const { source } = state;
  if (source?.kind !== "photo") return;
  const canvas = Object.assign(document.createElement("canvas"), { width: source.width, height: source.height });
  canvas.getContext("2d").drawImage($("preview-image"), 0, 0, source.width, source.height);
  sessionStorage.setItem("shopcam photo", canvas.toDataURL("image/jpeg", 0.9));
}

function listen() {
  takePhotos([$("file"), $("camera")], $("drop"), searchPhoto);
  $("words").addEventListener("submit", onWords);
  $("weight").addEventListener("input", onWeight);
  $("weight-reset").addEventListener("click", () => { state.weight = null; search(); $("weight").focus(); });
  $("category").addEventListener("change", onCategory);
  $("category").addEventListener("input", () => { if (!$("category").value) onCategory(); });
  $("controls").addEventListener("submit", (event) => { event.preventDefault(); onCategory(); });
  for (const id of ["price-from", "price-to", "only"]) $(id).addEventListener("change", onFilters);
  for (const id of ["filters-clear", "empty-clear"]) $(id).addEventListener("click", clearFilters);
  $("crop-button").addEventListener("click", onCropButton);
  $("preview-image").addEventListener("error", () => { $("preview").hidden = true; });
  $("back").addEventListener("click", () => searchSource(state.before));
  $("retry").addEventListener("click", search);
  $("more").addEventListener("click", () => { state.topK = Math.min(2 * state.topK, MAX_HITS); search(); });
  $("engineers").addEventListener("click", handOver);
}

async function showGallery() {
  try {
    const { version, count, products, recall, text_vector: text } = await service.ask("gallery");
    const measured = recall.length ? `, recall@10 ${Math.min(...recall.map((item) => item.recall_at_10)).toFixed(3)}` : "";
    $("gallery").textContent = `Gallery ${version}: ${count.toLocaleString()} pictures of ${products.toLocaleString()} products${measured}`;
    $("tagline").textContent = `${products.toLocaleString()} products`;
    $("words").hidden = text !== "wordvector";
    $("texts").hidden = text === "none";
  } catch (error) {
    $("gallery").textContent = `Gallery: ${error.message}`;
    if (error instanceof ServiceError && !$("layout").classList.contains("start")) return;
    $("start-error").textContent = error.message;
    $("start-error").hidden = false;
  }
}

async function showCategories() {
  const option = (value, label) => Object.assign(document.createElement("option"), { value, label });
  try {
    const { labels, category_paths: paths } = await service.ask("categories");
    const counted = Object.entries(paths).map(([path, count]) => option(path, `${count.toLocaleString()} products`));
    $("categories").replaceChildren(...labels.map((label) => option(label, "")), ...counted);
    const all = new Set();
    for (const path of Object.keys(paths)) {
      const levels = path.split(">").map((level) => level.trim()).filter(Boolean);
      levels.slice(0, 2).forEach((_, depth) => all.add(levels.slice(0, depth + 1).join(" > ")));
    }
    $("only").append(...[...all].sort().slice(0, MOST_CATEGORIES).map((path) => option(path, path)));
  } catch {
    $("categories").replaceChildren(); // free words still work
  }
}

$("refine").open = matchMedia("(min-width: 900px)").matches; // on a phone the hits come first
listen();
showGallery();
showCategories();
offerSamples(service, $("samples"), searchPhoto);
