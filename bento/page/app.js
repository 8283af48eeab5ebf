// In: a photo, a category and a weight. Out: the answer of POST /search, drawn. No state outlives the page.
"use strict";

const FIRST_HITS = 12;
const MAX_HITS = 200;
const MAX_WEIGHT = 25;
const SLIDER_STEPS = 100;
const SLIDER_PAUSE_MS = 120;
const CALM = matchMedia("(prefers-reduced-motion: reduce)");

const $ = (id) => document.getElementById(id);
const state = {
  source: null, // {kind: "photo", file, picture, caption} or {kind: "product", id, picture, caption}
  photo: null, // the last photo, to come back to from "similar to this"
  queryId: null, // names the vectors of `source` in the service, so that a re-ranking sends no photo
  category: "", // "": the prediction
  weight: null, // null: the gallery's default
  topK: FIRST_HITS,
  running: null, // AbortController of the search in flight
};

// ---- talking to the service ----

class ServiceError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError("The service cannot be reached. Check the connection and try again.", 0);
  }
  const body = await response.json().catch(() => null);
  if (response.ok && body !== null) return body;
  const sentence = body && body.error && body.error.message;
  throw new ServiceError(sentence || `The service answered with status ${response.status} and no explanation.`, response.status);
}

function searchForm(reuse) {
  const form = new FormData();
  if (reuse) form.set("query_id", state.queryId);
  else if (state.source.kind === "photo") form.set("image", state.source.file, state.source.file.name || "photo.jpg");
  else form.set("product_id", state.source.id);
  if (state.category) form.set("category", state.category);
  if (state.weight !== null) form.set("weight", String(state.weight));
  form.set("top_k", String(state.topK));
  return form;
}

async function answerOf(signal) {
  const post = (reuse) => ask("search", { method: "POST", body: searchForm(reuse), signal });
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
  if (state.running) state.running.abort();
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

function searchPhoto(file) {
  if (state.photo) URL.revokeObjectURL(state.photo.picture);
  state.photo = { kind: "photo", file, picture: URL.createObjectURL(file), caption: file.name || "Pasted photo" };
  searchSource(state.photo);
}

function searchSource(source) {
  state.source = source;
  state.queryId = null;
  state.topK = FIRST_HITS;
  state.category = $("category").value = "";
  $("hits").replaceChildren();
  showSource();
  search();
}

function showSource() {
  const { kind, picture, caption } = state.source;
  const photo = kind === "photo";
  $("layout").classList.remove("start");
  $("query-title").textContent = photo ? "Your photo" : "Similar to this product";
  $("invite").hidden = true;
  $("preview").hidden = false;
  $("preview-image").src = picture;
  $("preview-image").alt = photo ? "Your photo" : caption;
  $("preview-caption").textContent = caption;
  $("drop").classList.add("filled");
  $("file-label").textContent = "Choose another";
  $("back").hidden = photo || !state.photo;
  $("prediction").hidden = true;
}

// ---- states of the page ----

function showBusy() {
  $("error").hidden = true;
  $("empty").hidden = true;
  $("hits").setAttribute("aria-busy", "true");
  $("status").textContent = "Searching \u2026";
  if ($("hits").childElementCount) return;
  $("timing").hidden = true;
  $("more").hidden = true;
  for (let i = 0; i < 8; i += 1) {
    const card = document.createElement("li");
    card.className = "card skeleton";
    card.setAttribute("aria-hidden", "true");
    $("hits").append(card);
  }
}

function showError({ message, status }) {
  $("hits").replaceChildren();
  $("prediction").hidden = true;
  $("timing").hidden = true;
  $("more").hidden = true;
  $("status").textContent = "";
  $("error-message").textContent = message;
  $("retry").hidden = status >= 400 && status < 500 && status !== 429; // asking the same again would not help
  $("controls").hidden = $("controls").hidden || status === 415;
  $("error").hidden = false;
  $("error").scrollIntoView({ block: "nearest" });
}

function showAnswer(answer) {
  state.queryId = answer.query_id;
  $("controls").hidden = false;
  showLabels(answer);
  showWeight(answer.weight);
  showHits(answer.hits, answer.weight);
  showTimings(answer.timings_ms);
  const count = answer.hits.length;
  const words = answer.category ? `, as \u201c${answer.category}\u201d` : "";
  const kind = answer.abstained ? ", by picture only" : words;
  $("status").textContent = count ? `${count} ${count === 1 ? "product" : "products"}${kind}` : "";
  $("empty").hidden = count > 0;
  $("more").hidden = count < state.topK || state.topK >= MAX_HITS;
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
  $("labels").replaceChildren(...chips.map((item) => chip(item, state.category !== "" && item.label === category)));
}

function chip(item, pressed) {
  const row = document.createElement("li");
  const button = document.createElement("button");
  const confidence = document.createElement("span");
  confidence.textContent = item.score === null ? "" : ` ${percent(item.score)}`;
  button.type = "button";
  button.setAttribute("aria-pressed", String(pressed));
  button.append(item.label, confidence);
  button.addEventListener("click", () => {
    $("category").value = pressed ? "" : item.label;
    onCategory();
    $("category").focus({ preventScroll: true });
  });
  row.append(button);
  return row;
}

function showWeight(weight) {
  $("weight-value").textContent = weightText(weight);
  $("weight").setAttribute("aria-valuetext", `weight ${weightText(weight)}`);
  $("weight-reset").hidden = state.weight === null;
  // While a person drags, the thumb is theirs; the service's own choice is shown otherwise.
  if (state.weight === null) $("weight").value = String(Math.round(Math.sqrt(weight / MAX_WEIGHT) * SLIDER_STEPS));
}

function showTimings(timings) {
  const stages = ["decode", "models", "fuse", "search"];
  $("stages").replaceChildren(...stages.map((stage) => {
    const part = document.createElement("i");
    part.style.flexGrow = String(Math.max(timings[stage], 0));
    return part;
  }));
  const parts = stages.map((stage) => `${stage} ${milliseconds(timings[stage])}`).join(", ");
  $("timing-text").textContent = `${milliseconds(timings.total)} ms in the service: ${parts}`;
  $("timing").hidden = false;
}

// ---- hits ----

function showHits(hits, weight) {
  const list = $("hits");
  const old = new Map([...list.querySelectorAll("[data-product-id]")].map((card) => [card.dataset.productId, card]));
  const before = new Map([...old].map(([id, card]) => [id, card.getBoundingClientRect()]));
  list.dataset.weight = String(weight);
  list.replaceChildren(...hits.map((hit, index) => fill(old.get(hit.product_id) || newCard(), hit, index)));
  if (!CALM.matches) move(list, before);
}

function newCard() {
  const card = $("hit").content.firstElementChild.cloneNode(true);
  const image = card.querySelector("img");
  image.addEventListener("error", () => image.parentElement.classList.add("missing"));
  card.querySelector(".similar").addEventListener("click", () => {
    searchSource({ kind: "product", id: card.dataset.productId, picture: image.src, caption: card.querySelector(".title").textContent });
    scrollTo({ top: 0, behavior: CALM.matches ? "auto" : "smooth" });
    $("results").focus({ preventScroll: true });
  });
  return card;
}

function fill(card, hit, index) {
  const image = card.querySelector("img");
  if (card.dataset.productId !== hit.product_id) {
    card.dataset.productId = hit.product_id;
    image.src = hit.image_url;
  }
  card.querySelector(".rank").textContent = String(index + 1);
  card.querySelector(".title").replaceChildren(titleOf(hit));
  card.querySelector(".category").textContent = hit.category_path;
  card.querySelector(".price").textContent = priceOf(hit);
  card.querySelector(".score").textContent = `score ${hit.score.toFixed(3)}`;
  card.querySelector(".similar").setAttribute("aria-label", `Similar to this: ${hit.title}`);
  fillPart(card.querySelector(".image"), hit.image_score);
  fillPart(card.querySelector(".text"), hit.text_score);
  return card;
}

function fillPart(part, cosine) {
  const none = cosine === null;
  part.classList.toggle("none", none);
  part.querySelector(".value").textContent = none ? "no text" : cosine.toFixed(2);
  part.querySelector("i").style.width = none ? "0" : `${100 * Math.min(Math.max(cosine, 0), 1)}%`;
}

function titleOf(hit) {
  const text = hit.title || hit.product_id;
  if (!/^https?:\/\//i.test(hit.url || "")) return document.createTextNode(text); // a shop's file may hold any string
  const link = document.createElement("a");
  link.href = hit.url;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  link.textContent = text;
  return link;
}

function move(list, before) {
  for (const card of list.children) {
    const from = before.get(card.dataset.productId);
    if (!from) continue;
    const to = card.getBoundingClientRect();
    const shift = `translate(${from.left - to.left}px, ${from.top - to.top}px)`;
    if (from.left !== to.left || from.top !== to.top) card.animate([{ transform: shift }, { transform: "none" }], { duration: 260, easing: "ease-out" });
  }
}

// ---- numbers ----

const percent = (share) => `${(100 * share).toFixed(share >= 0.1 ? 0 : 1)} %`;
const milliseconds = (value) => (value >= 10 ? value.toFixed(0) : value.toFixed(1));
const weightText = (weight) => weight.toFixed(weight >= 10 ? 1 : 2);

function priceOf({ price, currency }) {
  if (price === null || price === undefined) return "";
  const known = /^[A-Z]{3}$/.test(currency || "");
  const money = known ? { style: "currency", currency } : { minimumFractionDigits: 2, maximumFractionDigits: 2 };
  return new Intl.NumberFormat(undefined, money).format(price);
}

// ---- events ----

function onFile(event) {
  const [file] = event.target.files;
  event.target.value = ""; // the same photo may be chosen again
  if (file) searchPhoto(file);
}

function onDrag(event) {
  if (![...event.dataTransfer.types].includes("Files")) return;
  event.preventDefault();
  $("drop").classList.toggle("over", event.type === "dragover");
  const [file] = event.type === "drop" ? event.dataTransfer.files : [];
  if (file) searchPhoto(file);
}

function onPaste(event) {
  const [file] = event.clipboardData ? event.clipboardData.files : [];
  if (file) searchPhoto(file);
}

function onCategory() {
  const category = $("category").value.trim();
  if (category === state.category) return;
  state.category = category;
  search();
}

let pause = 0;
function onWeight() {
  const share = Number($("weight").value) / SLIDER_STEPS;
  state.weight = Math.round(100 * MAX_WEIGHT * share * share) / 100; // fine steps where small weights differ most
  showWeight(state.weight);
  clearTimeout(pause);
  pause = setTimeout(search, SLIDER_PAUSE_MS);
}

function listen() {
  $("file").addEventListener("change", onFile);
  $("camera").addEventListener("change", onFile);
  for (const type of ["dragover", "dragleave", "drop"]) document.addEventListener(type, onDrag);
  document.addEventListener("paste", onPaste);
  $("weight").addEventListener("input", onWeight);
  $("weight-reset").addEventListener("click", () => { state.weight = null; search(); $("weight").focus(); });
  $("category").addEventListener("change", onCategory);
  $("category").addEventListener("input", () => { if (!$("category").value) onCategory(); });
  $("controls").addEventListener("submit", (event) => { event.preventDefault(); $("category").blur(); });
  $("preview-image").addEventListener("error", () => { $("preview").hidden = true; });
  $("back").addEventListener("click", () => searchSource(state.photo));
  $("retry").addEventListener("click", search);
  $("more").addEventListener("click", () => { state.topK = Math.min(2 * state.topK, MAX_HITS); search(); });
}

async function showGallery() {
  try {
    const { version, count, products, recall } = await ask("gallery");
    const measured = recall.length ? `, recall@10 ${Math.min(...recall.map((item) => item.recall_at_10)).toFixed(3)}` : "";
    $("gallery").textContent = `Gallery ${version}: ${count.toLocaleString()} pictures of ${products.toLocaleString()} products${measured}`;
    $("tagline").textContent = `${products.toLocaleString()} products to search`;
  } catch (error) {
    $("gallery").textContent = `Gallery: ${error.message}`;
  }
}

async function showCategories() {
  const option = (value, label) => Object.assign(document.createElement("option"), { value, label });
  try {
    const { labels, category_paths: paths } = await ask("categories");
    const counted = Object.entries(paths).map(([path, count]) => option(path, `${count.toLocaleString()} products`));
    $("categories").replaceChildren(...labels.map((label) => option(label, "")), ...counted);
  } catch {
    $("categories").replaceChildren(); // free words still work
  }
}

listen();
showGallery();
showCategories();
