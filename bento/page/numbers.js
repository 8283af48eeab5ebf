// How numbers are written on both pages, and how the weight lies on its slider.
export const MAX_WEIGHT = 25;
const STEPS = 100;

export const percent = (share) => `${(100 * share).toFixed(share >= 0.1 ? 0 : 1)} %`;
export const milliseconds = (value) => (value >= 10 ? value.toFixed(0) : value.toFixed(1));
export const weightText = (weight) => weight.toFixed(weight >= 10 ? 1 : 2);
/** The slider is quadratic: fine steps where small weights differ most. */
export const weightAt = (step) => Math.round(100 * MAX_WEIGHT * (step / STEPS) ** 2) / 100;
export const stepOf = (weight) => Math.round(Math.sqrt(weight / MAX_WEIGHT) * STEPS);
