// In: a path of a service. Out: its JSON, or a ServiceError with one sentence for a person.
import { askForKey } from "./key.js";

const LONGEST_WAIT_S = 20; // beyond it a person decides when to ask again
const BUSY = [429, 503];

export class ServiceError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export class Service {
  /** `base` is the service's address; `onWait(seconds)` is told before a busy service is asked again. */
  constructor(base = new URL(".", location.href).href, onWait = () => {}) {
    this.base = base;
    this.own = new URL(base).origin === location.origin;
    this.onWait = onWait;
  }

  get keyName() {
    return `shopcam key of ${new URL(this.base).origin}`;
  }

  /** Whether pictures need a request with a header, which an image element cannot send. */
  get locked() {
    return !this.own || sessionStorage.getItem(this.keyName) !== null;
  }

  async ask(path, options = {}) {
    const response = await this.fetch(path, options);
    const body = await response.json().catch(() => null);
    if (body !== null) return body;
    throw new ServiceError("The service gave an answer that is not JSON. Is this the address of a shopcam service?", response.status);
  }

  async fetch(path, options = {}) {
    let again = true;
    for (;;) {
      const key = sessionStorage.getItem(this.keyName);
      const response = await this.send(path, options, key);
      if (response.ok) return response;
      const body = await response.json().catch(() => null);
      const sentence = body?.error?.message || `The service answered with status ${response.status} and no explanation.`;
      if (response.status === 401) {
        await this.newKey(sentence, key);
        continue;
      }
      if (!BUSY.includes(response.status)) throw new ServiceError(sentence, response.status);
      const wait = waitOf(response);
      if (!again || wait > LONGEST_WAIT_S) throw new ServiceError(`${sentence.replace(/\.$/, "")}. Try again in ${duration(wait)}.`, response.status);
      again = false;
      this.onWait(wait);
      await pause(wait, options.signal);
    }
  }

  async send(path, options, key) {
    const headers = new Headers(options.headers);
    if (key !== null) headers.set("Authorization", `Bearer ${key}`);
    try {
      return await fetch(new URL(path, this.base), { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ServiceError(this.own
        ? "The service cannot be reached. Check the connection and try again."
        : `${new URL(this.base).host} cannot be asked from this page. Is the address right, and does that service allow ${location.origin} in its CORS list?`, 0);
    }
  }

  async newKey(sentence, refused) {
    if (sessionStorage.getItem(this.keyName) !== refused) return; // one was given meanwhile
    const key = await askForKey(this.own ? "This shop" : new URL(this.base).host, refused === null ? "" : sentence);
    if (key === null) throw new ServiceError("This shop answers only with a key. Search again to give one.", 401);
    sessionStorage.setItem(this.keyName, key);
  }

  /** Show a picture of the service in an image element. */
  async show(image, path) {
    if (!this.locked) {
      image.src = new URL(path, this.base).href;
      return;
    }
    image.removeAttribute("src");
    image.wanted = path;
    await seen(image);
    try {
      const url = URL.createObjectURL(await (await this.fetch(path)).blob());
      image.addEventListener("load", () => URL.revokeObjectURL(url), { once: true });
      if (image.wanted === path) image.src = url;
    } catch {
      image.dispatchEvent(new Event("error"));
    }
  }
}

function waitOf(response) {
  const told = Number(response.headers.get("Retry-After") || NaN);
  return Number.isFinite(told) && told >= 0 ? told : 2;
}

function duration(seconds) {
  if (seconds <= 1) return "a second";
  if (seconds < 90) return `${Math.ceil(seconds)} seconds`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} minutes` : `${Math.round(seconds / 3600)} hours`;
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("superseded", "AbortError"));
    });
  });
}

function seen(element) {
  return new Promise((resolve) => {
    const observer = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      resolve();
    }, { rootMargin: "300px" });
    observer.observe(element);
  });
}
