// The arm, the cube and its goal, drawn with three.js from the model's own shapes.

const CAMERA = { position: [1.3, -0.7, 0.75], target: [0.33, 0, 0.24], angle: 38 };
const NEAR_GROUND = -0.001; // the floor, a little below z = 0, so that shapes on it show
const DOT = 0.005; // radius of a dot, metres
const LOWEST = 0.03; // of the view above the horizon, radians
const MOST_DOTS = 256;

/** What one sees: bodies that move, and dots for candidates. */
export class Scene {
  /**
   * @param {{three, OrbitControls}} library as `loadThree` of packages.mjs loads it.
   * @param {HTMLCanvasElement} canvas
   * @param {object[]} shapes as robot.py writes them.
   * @param {() => void} changed is called when the reader has turned the view.
   */
  constructor({ three, OrbitControls }, canvas, shapes, changed) {
    Object.assign(this, { three, canvas });
    this.renderer = new three.WebGLRenderer({ canvas, antialias: true });
    this.scene = new three.Scene();
    this.camera = new three.PerspectiveCamera(CAMERA.angle, 1, 0.05, 10);
    this.camera.up.set(0, 0, 1);
    this.camera.position.set(...CAMERA.position);
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.target.set(...CAMERA.target);
    this.controls.enablePan = false;
    this.controls.minDistance = 0.4;
    this.controls.maxDistance = 2.5;
    this.controls.maxPolarAngle = Math.PI / 2 - LOWEST; // not from below the floor
    this.controls.update();
    this.controls.addEventListener("change", changed);
    this.bodies = new Map(); // by MuJoCo's numbers
    for (const shape of shapes) this.add(shape);
    this.addSurroundings();
    this.dots = new three.InstancedMesh(
      new three.SphereGeometry(1, 12, 8),
      new three.MeshBasicMaterial({ depthTest: false, transparent: true }), // before the gripper
      MOST_DOTS,
    );
    this.dots.count = 0;
    this.dots.frustumCulled = false;
    this.dots.renderOrder = 1;
    this.scene.add(this.dots);
  }

  add({ body, position, quaternion, colour, size, mesh }) {
    const { three } = this;
    const opacity = colour[3];
    const material = new three.MeshStandardMaterial({
      color: new three.Color().setRGB(...colour.slice(0, 3), three.SRGBColorSpace),
      roughness: 0.6,
      opacity,
      transparent: opacity < 1,
    });
    const geometry =
      mesh === null ? new three.BoxGeometry(...size.map((s) => 2 * s)) : this.geometry(mesh);
    const drawn = new three.Mesh(geometry, material);
    drawn.position.set(...position);
    place(drawn.quaternion, quaternion);
    if (!this.bodies.has(body)) {
      this.bodies.set(body, new three.Group());
      this.scene.add(this.bodies.get(body));
    }
    this.bodies.get(body).add(drawn);
  }

  /** A mesh whose vertices are 16-bit numbers between two corners. */
  geometry({ vertices, faces, low, high }) {
    const { three } = this;
    const shares = new Uint16Array(bytesOf(vertices).buffer);
    const positions = Float32Array.from(
      shares,
      (share, i) => low[i % 3] + (share / 65535) * (high[i % 3] - low[i % 3]),
    );
    const geometry = new three.BufferGeometry();
    geometry.setAttribute("position", new three.BufferAttribute(positions, 3));
    const index = new Uint16Array(bytesOf(faces).buffer);
    geometry.setIndex(new three.BufferAttribute(index, 1));
    geometry.computeVertexNormals();
    return geometry;
  }

  addSurroundings() {
    const { three } = this;
    this.floor = new three.GridHelper(2, 20);
    Object.assign(this.floor.material, { vertexColors: false, transparent: true, opacity: 0.4 });
    this.floor.rotation.x = Math.PI / 2;
    this.floor.position.set(0.4, 0, NEAR_GROUND);
    this.scene.add(this.floor, new three.HemisphereLight(0xffffff, 0x888888, 2));
    const sun = new three.DirectionalLight(0xffffff, 1.5);
    sun.position.set(1, -1, 2);
    this.scene.add(sun);
  }

  /** Moves the bodies to where they are in MuJoCo's data. */
  follow(data) {
    for (const [number, body] of this.bodies) {
      body.position.set(...data.xpos.subarray(3 * number, 3 * number + 3));
      place(body.quaternion, data.xquat.subarray(4 * number, 4 * number + 4));
    }
  }

  /** Shows where candidates would bring the gripper; the chosen one is larger. */
  showDots(places, colours, chosen) {
    const { three, dots } = this;
    const matrix = new three.Matrix4();
    const colour = new three.Color();
    dots.count = Math.min(places.length, MOST_DOTS);
    places.slice(0, MOST_DOTS).forEach((at, n) => {
      const radius = n === chosen ? 2 * DOT : DOT;
      matrix.makeScale(radius, radius, radius).setPosition(...at);
      dots.setMatrixAt(n, matrix);
      dots.setColorAt(n, colour.setRGB(...colours[n].map((c) => c / 255), three.SRGBColorSpace));
    });
    dots.instanceMatrix.needsUpdate = true;
    if (dots.instanceColor !== null) dots.instanceColor.needsUpdate = true;
  }

  /** Turns the view around the vertical, and up or down, by angles. */
  turn(around, upwards) {
    const { camera, controls } = this;
    const from = camera.position.clone().sub(controls.target);
    const distance = from.length();
    const azimuth = Math.atan2(from.y, from.x) + around;
    const steepest = Math.PI / 2 - 0.01;
    const height = Math.asin(from.z / distance) + upwards;
    const elevation = Math.min(Math.max(height, LOWEST), steepest);
    const [level, above] = [distance * Math.cos(elevation), distance * Math.sin(elevation)];
    camera.position.set(level * Math.cos(azimuth), level * Math.sin(azimuth), above);
    camera.position.add(controls.target);
    controls.update(); // which calls `changed`
  }

  /** Draws, at the canvas's size on the page. */
  draw({ paper, wall }) {
    const { three, canvas } = this;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (width === 0) return;
    this.renderer.setPixelRatio(Math.min(window.devicePixelRatio, 2));
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    this.scene.background = new three.Color(paper);
    this.floor.material.color.set(wall);
    this.renderer.render(this.scene, this.camera);
  }

  end() {
    this.controls.dispose();
    this.renderer.dispose();
  }
}

/** Sets three's quaternion (x, y, z, w) to MuJoCo's (w, x, y, z). */
function place(quaternion, [w, x, y, z]) {
  quaternion.set(x, y, z, w);
}

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
