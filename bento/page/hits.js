// In: hits of the service. Out: their cards. A card that stays moves to its new place.
const CALM = matchMedia("(prefers-reduced-motion: reduce)");

/** `options.service` answers for the pictures; `options.onSimilar(hit, picture)` is called by the button of a card. */
export function showHits(list, hits, options) {
  const old = new Map([...list.querySelectorAll("[data-product-id]")].map((card) => [card.dataset.productId, card]));
  const before = new Map([...old].map(([id, card]) => [id, card.getBoundingClientRect()]));
  list.replaceChildren(...hits.map((hit, index) => fill(old.get(hit.product_id) || newCard(), hit, index, options)));
  if (!CALM.matches) move(list, before);
}

export function showSkeletons(list, count) {
  list.replaceChildren(...Array.from({ length: count }, () => {
    const card = Object.assign(document.createElement("li"), { className: "card skeleton" });
    card.setAttribute("aria-hidden", "true");
    return card;
  }));
}

function newCard() {
  const card = document.getElementById("hit").content.firstElementChild.cloneNode(true);
  const image = card.querySelector("img");
  image.addEventListener("error", () => image.parentElement.classList.add("missing"));
  image.addEventListener("load", () => image.parentElement.classList.remove("missing"));
  return card;
}

function fill(card, hit, index, { service, onSimilar }) {
  const image = card.querySelector("img");
  if (card.dataset.productId !== hit.product_id) {
    card.dataset.productId = hit.product_id;
    service.show(image, hit.image_url);
  }
  card.querySelector(".rank").textContent = String(index + 1);
  card.querySelector(".title").replaceChildren(titleOf(hit));
  card.querySelector(".category").textContent = hit.category_path;
  card.querySelector(".price").textContent = priceOf(hit);
  card.querySelector(".score").textContent = `score ${hit.score.toFixed(3)}`;
  const similar = card.querySelector(".similar");
  if (similar) {
    similar.setAttribute("aria-label", `Similar to this: ${hit.title || hit.product_id}`);
    similar.onclick = () => onSimilar(hit, image);
  }
  fillPart(card.querySelector(".part.image"), hit.image_score, ""); // a search by words has no picture to compare with
  fillPart(card.querySelector(".part.text"), hit.text_score, "no text");
  return card;
}

function fillPart(part, cosine, missing) {
  const none = cosine === null;
  part.hidden = none && missing === "";
  part.classList.toggle("none", none);
  part.querySelector(".value").textContent = none ? missing : cosine.toFixed(2);
  part.querySelector("i").style.width = none ? "0" : `${100 * Math.min(Math.max(cosine, 0), 1)}%`;
}

function titleOf(hit) {
  const text = hit.title || hit.product_id;
  if (!/^https?:\/\//i.test(hit.url || "")) return document.createTextNode(text); // a shop's file may hold any string
  return Object.assign(document.createElement("a"), { href: hit.url, target: "_blank", rel: "noopener noreferrer", textContent: text });
}

function priceOf({ price, currency }) {
  if (price === null || price === undefined) return "";
  const known = /^[A-Z]{3}$/.test(currency || "");
  const money = known ? { style: "currency", currency } : { minimumFractionDigits: 2, maximumFractionDigits: 2 };
  return new Intl.NumberFormat(undefined, money).format(price);
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
