// What a reader moves.

/** To the right and upwards, by the names of arrow keys. */
export const ARROW_KEYS = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowDown: [0, -1],
  ArrowUp: [0, 1],
};

/**
 * Makes an input a slider over some values, which are written into the element after it.
 *
 * @param {() => void} moved is called when the reader has moved it.
 * @param {AbortSignal} signal ends that.
 * @returns {() => number} says which value is chosen.
 */
export function makeSlider(input, values, start, moved, signal) {
  Object.assign(input, { min: 0, max: values.length - 1, step: 1, value: values.indexOf(start) });
  const chosen = () => values[input.value];
  const say = () => {
    input.nextElementSibling.textContent = chosen();
    input.setAttribute("aria-valuetext", chosen());
  };
  const follow = () => {
    say();
    moved();
  };
  input.addEventListener("input", follow, { signal });
  say();
  return chosen;
}
