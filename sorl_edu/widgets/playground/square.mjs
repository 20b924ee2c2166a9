// The square of actions [-1, 1]^2: candidates with their ways from noise, and the density of the
// chosen action.

import { disc, drawGrid, fit, limitsOf, line, projection, ramp } from "./drawing.mjs";
import { row } from "./networks.mjs";

const NOISE_SHOWN = 2; // noise is wider than the square of actions
const UNIT = [-1, 1, -1, 1];

/**
 * One draw: Q over the square in greys, the way of each candidate through its m steps, and a ring
 * around the chosen one. `share` of the way is drawn, from 0 (noise) to 1 (actions).
 */
export function drawCandidates(canvas, { path, actions, chosen }, q, colours, share) {
  const { context, to } = axes(canvas, NOISE_SHOWN, colours);
  if (q !== null) {
    const side = Math.sqrt(q.length);
    const grid = { rows: side, columns: side, values: q, limits: limitsOf(q), extent: UNIT };
    drawGrid(context, to, grid, ramp(colours.shade), true);
  }
  outline(context, to, colours);
  const order = Array.from({ length: actions.rows }, (_, n) => n).filter((n) => n !== chosen);
  const ways = [...order, chosen].map((n) => ({ n, way: wayOf(path, actions, n, share) }));
  const pixels = ([x, y]) => [to.x(x), to.y(y)];
  const faint = Math.max(0.2, Math.min(0.7, 16 / actions.rows));
  for (const { n, way } of ways) {
    const [colour, width, alpha] =
      n === chosen ? [colours.orange, 2, 1] : [colours.way, 1.2, faint];
    context.globalAlpha = alpha;
    line(context, way.map(pixels), colour, width);
  }
  context.globalAlpha = 1;
  const size = actions.rows > 64 ? 3 : 4.5;
  for (const { n, way } of ways) {
    for (const knot of way.slice(0, -1)) disc(context, ...pixels(knot), 1.4, colours.knot, null);
    disc(context, ...pixels(way.at(-1)), size, colours.blue, "#ffffff", 0.8);
    if (n === chosen) disc(context, ...pixels(way.at(-1)), 9, null, colours.orange, 3);
  }
}

/** The first `share` of one candidate's way; a whole one ends at the action, which is clipped. */
function wayOf(path, actions, n, share) {
  if (share >= 1) return [...path.slice(0, -1).map((a_t) => row(a_t, n)), row(actions, n)];
  const steps = share * (path.length - 1);
  const whole = Math.floor(steps);
  const [from, to] = [row(path[whole], n), row(path[whole + 1], n)];
  const now = from.map((a, i) => a + (steps - whole) * (to[i] - a));
  return [...path.slice(0, whole + 1).map((a_t) => row(a_t, n)), now];
}

/** Many draws: the density of the chosen action; it stands out more where it is higher. */
export function drawDensity(canvas, density, colours) {
  const { context, to } = axes(canvas, 1.05, colours);
  if (density !== null) {
    const side = Math.sqrt(density.length);
    const values = density.map(Math.sqrt); // so that rare actions are seen, too
    const limits = [0, limitsOf(values)[1]];
    const grid = { rows: side, columns: side, values, limits, extent: UNIT };
    drawGrid(context, to, grid, ramp([colours.paper, ...colours.density]), true);
  }
  outline(context, to, colours);
}

/** Clears a canvas, and draws the numbers -1, 0 and 1 at both axes. */
function axes(canvas, limit, colours) {
  const { context, width, height } = fit(canvas);
  const text = Number.parseFloat(window.getComputedStyle(canvas).fontSize);
  const [left, bottom, rest] = [1.6 * text, 1.5 * text, 4]; // room for the numbers
  const box = { left, top: rest, width: width - left - rest, height: height - bottom - rest };
  const to = projection([-limit, limit, -limit, limit], box);
  context.fillStyle = colours.text;
  context.font = `${text}px system-ui, sans-serif`;
  for (const tick of [-1, 0, 1]) {
    context.textAlign = "center";
    context.textBaseline = "top";
    context.fillText(String(tick), to.x(tick), box.top + box.height + 5);
    context.textAlign = "right";
    context.textBaseline = "middle";
    context.fillText(String(tick), left - 5, to.y(tick));
  }
  context.beginPath();
  context.rect(box.left, box.top, box.width, box.height);
  context.clip(); // noise may lie outside
  return { context, to };
}

function outline(context, to, colours) {
  context.strokeStyle = colours.text;
  context.lineWidth = 1;
  context.strokeRect(to.x(-1), to.y(1), to.x(1) - to.x(-1), to.y(-1) - to.y(1));
}
