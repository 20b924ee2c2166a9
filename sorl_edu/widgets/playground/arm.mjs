// OGBench's cube-single in the browser: what an action does, what is observed, and what is success.
//
// It follows OGBench's ManipSpaceEnv and CubeEnv step by step; a test replays actions in both. The
// model and the numbers of joints and sites come from environments/arms.py.

import { noiseOfStep } from "./episodes.mjs";
import { propose } from "./inference.mjs";
import { matrix, row } from "./networks.mjs";
import {
  aroundVertical,
  product,
  rotated,
  rotationVector,
  transposed,
  yawOf,
  yawOfQuaternion,
} from "./rotations.mjs";

const REACH = [0.05, 0.05, 0.05, 0.3, 1]; // of an action of 1: metres, radians, opening
const WORKSPACE = [[0.25, 0.6], [-0.35, 0.35], [0.02, 0.35]]; // metres
const DOWN = [1, 0, 0, 0, -1, 0, 0, 0, -1]; // the gripper looks down: half a turn around x
const CENTRE = [0.425, 0, 0]; // of observed positions, metres
const SCALE = 10; // of observed positions
const OPENING = { joint: 0.8, observed: 3, control: 255 };
const CONTACT = 50; // newtons that are observed as 1
const NEAR = 0.04; // metres from the goal that are success

const IK = { rounds: 20, tolerance: 1e-4, damping: 1e-12, most: Math.PI / 4 };

/** One arm with a cube. */
export class Arm {
  /** @param physics what `arm_physics` of environments/arms.py gives. */
  constructor(mujoco, physics) {
    Object.assign(this, { mujoco, physics });
    this.model = mujoco.MjModel.from_xml_string(physics.xml);
    this.data = new mujoco.MjData(this.model);
    this.thought = new mujoco.MjData(this.model); // where the arm would be, while it is solved for
  }

  /** Puts the arm and the cube into a start state {qpos, qvel}, and returns the observation. */
  reset({ qpos, qvel }) {
    const { mujoco, model, data, physics } = this;
    mujoco.mj_resetData(model, data);
    data.qpos.set(qpos);
    data.qvel.set(qvel);
    data.mocap_pos.set(physics.goal, 3 * physics.cube.mocap);
    data.mocap_quat.set([1, 0, 0, 0], 4 * physics.cube.mocap);
    mujoco.mj_forward(model, data);
    mujoco.mj_rnePostConstraint(model, data);
    return this.observe();
  }

  /** Takes an action in [-1, 1]^5 and returns what is observed then. */
  step(action) {
    const { mujoco, model, data } = this;
    this.control(action);
    for (let n = 0; n < this.physics.physics_steps; n++) mujoco.mj_step(model, data);
    mujoco.mj_rnePostConstraint(model, data); // the contact forces
    return this.observe();
  }

  /** Whether the cube is at its goal. */
  get succeeds() {
    const { goal } = this.physics;
    return Math.hypot(...this.cubePosition().map((p, k) => p - goal[k])) <= NEAR;
  }

  /** Joints, pinch and gripper, and the cube, in 32 bits as Python's agents see them. */
  observe() {
    const { data, physics } = this;
    const { joints, finger_joint: finger, pad } = physics.ids;
    const { position, yaw } = this.pinch();
    const force = Math.hypot(...data.cfrc_ext.subarray(6 * pad, 6 * pad + 6));
    const at = physics.cube.qpos;
    const cubeQuaternion = data.qpos.subarray(at + 3, at + 7);
    const cubeYaw = yawOfQuaternion(cubeQuaternion);
    return Float32Array.from([
      ...joints.map((j) => data.qpos[j]),
      ...joints.map((j) => data.qvel[j]),
      ...observedPosition(position),
      Math.cos(yaw),
      Math.sin(yaw),
      OPENING.observed * limited(data.qpos[finger] / OPENING.joint, 0, 1),
      limited(force / CONTACT, 0, 1),
      ...observedPosition(this.cubePosition()),
      ...cubeQuaternion,
      Math.cos(cubeYaw),
      Math.sin(cubeYaw),
    ]);
  }

  /** The position between the finger tips, and the gripper's angle around the vertical. */
  pinch() {
    const { data, physics } = this;
    const { position, rotation } = poseOfSite(data, physics.ids.pinch);
    return { position, yaw: yawOf(rotation) };
  }

  /** Where an action would move the pinch, in metres, before the arm follows. */
  target(action) {
    const moved = this.pinch().position.map((p, k) => p + REACH[k] * action[k]);
    return moved.map((p, k) => limited(p, ...WORKSPACE[k]));
  }

  cubePosition() {
    const at = this.physics.cube.qpos;
    return [...this.data.qpos.subarray(at, at + 3)];
  }

  /** Tells the joints where to go, such that the pinch goes where the action wants it. */
  control(action) {
    const { data, physics } = this;
    const { finger_joint: finger, actuators, finger_actuator: fingers } = physics.ids;
    const moved = REACH.map((reach, k) => reach * (Math.fround(action[k] + 1) - 1)); // as NumPy's
    const { position, yaw } = this.pinch();
    const wanted = position.map((p, k) => limited(p + moved[k], ...WORKSPACE[k]));
    const orientation = product(aroundVertical(yaw + moved[3]), DOWN);
    const { position: offset, rotation } = physics.wrist_in_pinch;
    const wrist = rotated(orientation, offset).map((p, k) => p + wanted[k]);
    const angles = this.anglesFor(wrist, product(orientation, rotation));
    actuators.forEach((actuator, k) => {
      data.ctrl[actuator] = angles[k];
    });
    const opening = limited(data.qpos[finger] / OPENING.joint, 0, 1) + moved[4];
    data.ctrl[fingers] = OPENING.control * limited(opening, 0, 1);
  }

  /**
   * Inverse kinematics: the joints' angles that bring the wrist to a pose, from where it is.
   *
   * Newton's method with the Jacobian J of the wrist, by damped least squares:
   *
   *     q <- q + J^T (J J^T + damping)^-1 e,   e = (error of position, error of rotation)
   */
  anglesFor(position, rotation) {
    const { mujoco, model, thought, physics } = this;
    const { joints, wrist } = physics.ids;
    for (const j of joints) thought.qpos[j] = this.data.qpos[j];
    for (let round = 0; round < IK.rounds; round++) {
      mujoco.mj_kinematics(model, thought);
      const now = poseOfSite(thought, wrist);
      const shift = position.map((p, k) => p - now.position[k]);
      const turn = rotationVector(product(rotation, transposed(now.rotation)));
      if (Math.hypot(...shift) <= IK.tolerance && Math.hypot(...turn) <= IK.tolerance) break;
      const J = this.jacobian(now.position);
      const error = [...shift, ...turn];
      const H = error.map((_, i) =>
        error.map((__, j) => dot(J[i], J[j]) + (i === j ? IK.damping : 0)),
      );
      const x = solve(H, error);
      const update = joints.map((_, k) => x.reduce((sum, xi, i) => sum + J[i][k] * xi, 0));
      const scale = Math.min(1, IK.most / Math.max(...update.map(Math.abs)));
      joints.forEach((j, k) => {
        thought.qpos[j] += scale * update[k];
      });
    }
    return joints.map((j) => thought.qpos[j]);
  }

  /** The Jacobian of a point of the wrist: six rows, of velocity and of rotation; hinges only. */
  jacobian(point) {
    const { thought, physics } = this;
    const columns = physics.ids.joints.map((j) => {
      const axis = [...thought.xaxis.subarray(3 * j, 3 * j + 3)];
      const anchor = thought.xanchor.subarray(3 * j, 3 * j + 3);
      return cross(axis, point.map((p, k) => p - anchor[k])).concat(axis);
    });
    return Array.from({ length: 6 }, (_, i) => columns.map((column) => column[i]));
  }
}

function poseOfSite(data, site) {
  const position = [...data.site_xpos.subarray(3 * site, 3 * site + 3)];
  return { position, rotation: [...data.site_xmat.subarray(9 * site, 9 * site + 9)] };
}

function observedPosition(position) {
  return position.map((p, k) => SCALE * (p - CENTRE[k]));
}

function limited(x, low, high) {
  return Math.min(Math.max(x, low), high);
}

function dot(a, b) {
  return a.reduce((sum, x, i) => sum + x * b[i], 0);
}

function cross([a, b, c], [x, y, z]) {
  return [b * z - c * y, c * x - a * z, a * y - b * x];
}

/** Solves A x = b by Gauss's elimination with pivots. */
export function solve(A, b) {
  const rows = A.map((numbers, i) => [...numbers, b[i]]);
  const n = rows.length;
  for (let i = 0; i < n; i++) {
    let pivot = i;
    for (let k = i + 1; k < n; k++) if (Math.abs(rows[k][i]) > Math.abs(rows[pivot][i])) pivot = k;
    [rows[i], rows[pivot]] = [rows[pivot], rows[i]];
    for (let k = i + 1; k < n; k++) {
      const factor = rows[k][i] / rows[i][i];
      for (let j = i; j <= n; j++) rows[k][j] -= factor * rows[i][j];
    }
  }
  const x = Array.from({ length: n }, () => 0);
  for (let i = n - 1; i >= 0; i--) {
    let rest = rows[i][n];
    for (let j = i + 1; j < n; j++) rest -= rows[i][j] * x[j];
    x[i] = rest / rows[i][i];
  }
  return x;
}

/** An episode of an agent with the arm, whose steps and candidates may change on the way. */
export class ArmEpisode {
  /**
   * @param start a start state {qpos, qvel}.
   * @param seed of the noise: the same as in the maze's episodes.
   */
  constructor(agent, arm, start, seed) {
    Object.assign(this, { agent, arm, seed, time: 0, arrived: false, over: false });
    this.observation = arm.reset(start);
  }

  /** What the agent proposes here: its candidates, their values and the choice. */
  propose({ steps, candidates }) {
    const { agent, observation, seed, time } = this;
    const obs = matrix(1, observation.length, Float64Array.from(observation));
    return propose(agent, obs, noiseOfStep(seed, time, candidates, agent.actionDim), steps);
  }

  /**
   * Takes the proposal's chosen action.
   *
   * As in OGBench's single tasks, success is that of the state before the step, and ends the
   * episode after it.
   */
  take({ actions, chosen }) {
    this.arrived = this.arm.succeeds;
    this.observation = this.arm.step([...row(actions, chosen)]);
    this.time += 1;
    this.over = this.arrived || this.time >= this.arm.physics.limit;
  }
}
