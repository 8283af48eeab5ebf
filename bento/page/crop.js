// A box over a picture, drawn and moved by hand or by keys. It is kept in pixels of the picture that is sent.
const LEAST_PX = 24;
const STEP_PX = 8;
const REACH_PX = 22; // of a corner, in pixels of the screen
const DRAWN_PX = 8; // a shorter drag is a click
const PAUSE_MS = 350;
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export class CropBox {
  /** `stage` wraps the picture closely and holds the button `box`; `onChange` is called when a person has settled. */
  constructor(stage, box, onChange) {
    this.stage = stage;
    this.box = box;
    this.onChange = onChange;
    this.value = null; // {x_min, y_min, x_max, y_max}
    this.size = { width: 0, height: 0 };
    this.drag = null;
    stage.addEventListener("pointerdown", (event) => this.grab(event));
    stage.addEventListener("pointermove", (event) => this.pull(event));
    for (const type of ["pointerup", "pointercancel"]) stage.addEventListener(type, () => this.letGo());
    box.addEventListener("keydown", (event) => this.key(event));
  }

  /** A new picture of this size, without a box; one of no size takes none. */
  reset(width, height) {
    this.size = { width, height };
    this.show(null);
  }

  /** As the form field of the service, "" for the whole picture. */
  get field() {
    const { value } = this;
    return value ? [value.x_min, value.y_min, value.x_max, value.y_max].join(",") : "";
  }

  /** The middle of the picture, to begin with. */
  middle() {
    const { width, height } = this.size;
    this.show({ x_min: 0.2 * width, y_min: 0.2 * height, x_max: 0.8 * width, y_max: 0.8 * height });
  }

  show(value) {
    const { width, height } = this.size;
    this.value = value && Object.fromEntries(Object.entries(value).map(([side, at]) => [side, Math.round(clamp(at, 0, side.startsWith("x") ? width : height))]));
    this.box.hidden = this.value === null;
    if (this.value === null) return;
    const { x_min, y_min, x_max, y_max } = this.value;
    const percent = (at, whole) => `${(100 * at) / whole}%`;
    Object.assign(this.box.style, {
      left: percent(x_min, width),
      top: percent(y_min, height),
      width: percent(x_max - x_min, width),
      height: percent(y_max - y_min, height),
    });
    this.box.setAttribute("aria-label", `Box from ${x_min}, ${y_min} to ${x_max}, ${y_max} pixels`);
  }

  settle() {
    clearTimeout(this.timer);
    this.timer = setTimeout(this.onChange, PAUSE_MS);
  }

  at(event) {
    const frame = this.stage.getBoundingClientRect();
    const x = clamp((event.clientX - frame.left) / frame.width, 0, 1) * this.size.width;
    const y = clamp((event.clientY - frame.top) / frame.height, 0, 1) * this.size.height;
    return { x, y, scale: this.size.width / frame.width };
  }

  grab(event) {
    if (event.button !== 0 || !this.size.width || event.target.closest(".found")) return;
    const at = this.at(event);
    const inside = event.target.closest(".crop") !== null;
    if (!inside && event.pointerType === "touch") return; // a finger beside the box scrolls the page
    this.stage.setPointerCapture(event.pointerId);
    if (!inside) event.preventDefault(); // no dragging of the picture itself
    const corner = inside ? this.corner(at) : null;
    this.drag = { from: at, value: this.value, moved: false, way: inside ? (corner ? "size" : "move") : "draw", corner };
  }

  /** The corner opposite to the one under the pointer, which stays when that one is pulled. */
  corner({ x, y, scale }) {
    const { x_min, y_min, x_max, y_max } = this.value;
    const reach = Math.min(REACH_PX * scale, (x_max - x_min) / 3, (y_max - y_min) / 3);
    const side = (at, low, high) => (at - low < reach ? high : high - at < reach ? low : null);
    const [stayX, stayY] = [side(x, x_min, x_max), side(y, y_min, y_max)];
    return stayX === null || stayY === null ? null : { x: stayX, y: stayY };
  }

  pull(event) {
    if (!this.drag) return;
    const at = this.at(event);
    const { from, value, way, corner } = this.drag;
    if (!this.drag.moved && Math.hypot(at.x - from.x, at.y - from.y) < DRAWN_PX * at.scale) return;
    this.drag.moved = true;
    if (way === "move") this.move(value, at.x - from.x, at.y - from.y);
    else this.span(way === "size" ? corner : from, at);
  }

  span(one, other) {
    const low = { x: Math.min(one.x, other.x), y: Math.min(one.y, other.y) };
    const high = { x: Math.max(one.x, other.x, low.x + LEAST_PX), y: Math.max(one.y, other.y, low.y + LEAST_PX) };
    this.show({ x_min: low.x, y_min: low.y, x_max: high.x, y_max: high.y });
  }

  letGo() {
    if (this.drag?.moved) this.settle();
    this.drag = null;
  }

  move({ x_min, y_min, x_max, y_max }, byX, byY) {
    const right = clamp(byX, -x_min, this.size.width - x_max);
    const down = clamp(byY, -y_min, this.size.height - y_max);
    this.show({ x_min: x_min + right, y_min: y_min + down, x_max: x_max + right, y_max: y_max + down });
  }

  key(event) {
    const steps = MOVES[event.key];
    if (steps) {
      const [x, y] = steps.map((step) => step * STEP_PX);
      if (event.shiftKey) {
        const { x_min, y_min, x_max, y_max } = this.value;
        this.show({ x_min, y_min, x_max: Math.max(x_max + x, x_min + LEAST_PX), y_max: Math.max(y_max + y, y_min + LEAST_PX) });
      } else this.move(this.value, x, y);
    } else if (["Delete", "Backspace", "Escape"].includes(event.key)) this.show(null);
    else return;
    event.preventDefault();
    this.settle();
  }
}

/** Buttons over the things that a detector found; `onChoose` gets the box of the one that is tapped. */
export function showFound(stage, boxes, size, onChoose) {
  for (const old of stage.querySelectorAll(".found")) old.remove();
  boxes.forEach((found, number) => {
    const { x_min, y_min, x_max, y_max } = found.box || found;
    const button = Object.assign(document.createElement("button"), { type: "button", className: "found" });
    button.setAttribute("aria-label", `Search for ${found.label || `thing ${number + 1}`} in this photo`);
    Object.assign(button.style, { left: `${(50 * (x_min + x_max)) / size.width}%`, top: `${(50 * (y_min + y_max)) / size.height}%` });
    button.addEventListener("click", () => onChoose({ x_min, y_min, x_max, y_max }));
    stage.append(button);
  });
}
