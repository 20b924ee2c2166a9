// Canvases: their size, their coordinates, and marks and colours that several pictures have.

/** The colours of both themes; those of data come from the house style (plotting/style.py). */
export const THEMES = {
  light: {
    text: "#1a1a1a",
    paper: "#ffffff",
    wall: "#595959",
    shade: ["#999999", "#fafafa"],
    knot: "#595959",
  },
  dark: {
    text: "#e8e8e8",
    paper: "#121212",
    wall: "#707070",
    shade: ["#0d0d0d", "#4a4a4a"],
    knot: "#b0b0b0",
  },
};

/** Gives a canvas as many pixels as the screen has there (or for a size), and clears it. */
export function fit(canvas, [width, height] = [canvas.clientWidth, canvas.clientHeight]) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { context, width, height };
}

/** Maps coordinates (x to the right, y upwards) to a box of pixels, and back. */
export function projection([left, right, bottom, top], box) {
  const scale = { x: box.width / (right - left), y: box.height / (top - bottom) };
  return {
    scale: scale.x,
    x: (x) => box.left + (x - left) * scale.x,
    y: (y) => box.top + (top - y) * scale.y,
    inverse: (px, py) => [left + (px - box.left) / scale.x, top - (py - box.top) / scale.y],
  };
}

/** Red, green and blue of "#rrggbb". */
function rgb(colour) {
  return [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
}

/** A function from [0, 1] to colours between those given. */
export function ramp(colours) {
  const stops = colours.map(rgb);
  return (share) => {
    const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
    const i = Math.min(Math.floor(at), stops.length - 2);
    return stops[i].map((c, k) => c + (at - i) * (stops[i + 1][k] - c));
  };
}

/** Draws a grid of numbers, the first row at the bottom, over [left, right, bottom, top]. */
export function drawGrid(context, to, grid, colour, smoothly) {
  const { columns, rows, values, extent, limits } = grid;
  const [low, high] = limits;
  const image = new ImageData(columns, rows);
  for (let i = 0; i < columns * rows; i++) {
    const value = values[i];
    if (Number.isNaN(value)) continue; // transparent
    const row = rows - 1 - Math.floor(i / columns);
    const rgba = [...colour((value - low) / (high - low || 1)), 255];
    image.data.set(rgba, 4 * (row * columns + (i % columns)));
  }
  const small = document.createElement("canvas");
  [small.width, small.height] = [columns, rows];
  small.getContext("2d").putImageData(image, 0, 0);
  const [left, right, bottom, top] = extent;
  context.imageSmoothingEnabled = smoothly;
  const [x, y] = [to.x(left), to.y(top)];
  context.drawImage(small, x, y, to.x(right) - x, to.y(bottom) - y);
}

/** The lowest and the highest of some numbers, without NaN. */
export function limitsOf(values) {
  const finite = values.filter((value) => Number.isFinite(value));
  return [finite.reduce((a, b) => Math.min(a, b)), finite.reduce((a, b) => Math.max(a, b))];
}

/** A disc with an edge. */
export function disc(context, x, y, radius, fill, edge, width = 1) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  paint(context, fill, edge, width);
}

/** A star with five points. */
export function star(context, x, y, radius, fill, edge) {
  context.beginPath();
  for (let i = 0; i < 10; i++) {
    const r = i % 2 ? 0.4 * radius : radius;
    const angle = (i * Math.PI) / 5;
    context.lineTo(x + r * Math.sin(angle), y - r * Math.cos(angle));
  }
  context.closePath();
  paint(context, fill, edge, 1.5);
}

/** An arrow from (x, y) by (dx, dy) pixels, white with a dark edge, with a head of some length. */
export function arrow(context, x, y, dx, dy, headLength) {
  const length = Math.hypot(dx, dy);
  if (length < 0.5) return;
  const [ux, uy] = [dx / length, dy / length];
  const head = Math.min(headLength, length);
  const point = (along, across) =>
    context.lineTo(x + along * ux - across * uy, y + along * uy + across * ux);
  context.beginPath();
  for (const [along, across] of [
    [0, 1], [length - head, 1], [length - head, head / 2], [length, 0],
    [length - head, -head / 2], [length - head, -1], [0, -1],
  ]) point(along, across);
  context.closePath();
  paint(context, "#ffffff", "#000000", 0.8);
}

/** A line through points of pixels. */
export function line(context, points, colour, width) {
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x, y);
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke();
}

function paint(context, fill, edge, width) {
  if (fill) {
    context.fillStyle = fill;
    context.fill();
  }
  if (edge) {
    context.strokeStyle = edge;
    context.lineWidth = width;
    context.stroke();
  }
}

/** Writes the lowest and the highest of some numbers beside their colours; nothing without any. */
export function writeScale(scale, values, colours) {
  scale.hidden = !values;
  if (!values) return;
  const [low, high] = scale.querySelectorAll("span");
  [low.textContent, high.textContent] = limitsOf(values).map((x) => decimal(x, 1));
  const between = ramp(colours);
  const stops = [0, 0.25, 0.5, 0.75, 1].map((share) => `rgb(${between(share).map(Math.round)})`);
  scale.querySelector("i").style.background = `linear-gradient(to right, ${stops})`;
}

/** A number with some decimals, and without the sign of a negative zero. */
export function decimal(x, digits) {
  return x.toFixed(digits).replace(/^-(?=0\.?0*$)/, "");
}
