"""OGBench's cube-single for other programs: the physics, the start states, and how it looks."""

from __future__ import annotations

import contextlib
import functools
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import ConvexHull

from sorl_edu.environments.make import PhysicsState, get_state, make_env, parse_name, reset
from sorl_edu.errors import check

GRIPPER = "ur5e/robotiq/"
PINCH, WRIST = "ur5e/robotiq/pinch", "ur5e/attachment_site"
"""The sites between the finger tips, which actions move, and where the gripper begins."""
CUBE, TARGET = "object_joint_0", "object_target_0"


@dataclass(frozen=True)
class ArmPhysics:
    """All that another program needs to step cube-single's environment.

    Positions are in metres, in the world's frame. Numbers called *ids* are MuJoCo's.
    """

    xml: str
    """MuJoCo's model, without what is only for looking at. It refers to no file."""
    limit: int
    """The most steps of an episode."""
    physics_steps: int
    """Steps of the physics in one of the environment."""
    ids: dict[str, int | list[int]]
    """Of the arm's joints and actuators, the gripper's, the sites, and the right pad's body."""
    cube: dict[str, int]
    """Where the cube's pose begins in qpos, and the number of the goal's mocap body."""
    wrist_in_pinch: dict[str, list[float]]
    """The pose of the wrist's site in the frame of the pinch: position and rotation, a matrix by
    rows."""
    goal: list[float]
    """Where the cube shall be."""
    widths: tuple[int, int]
    """Of observations and of actions."""


@dataclass(frozen=True)
class Shape:
    """A visible part of the robot or its surroundings, fixed to a body."""

    body: int
    position: Float[np.ndarray, " 3"]
    quaternion: Float[np.ndarray, " 4"]
    """(w, x, y, z)."""
    colour: Float[np.ndarray, " 4"]
    """Red, green, blue, opacity."""
    size: Float[np.ndarray, " 3"] | None
    """Half the edges of a box; None for a mesh."""
    vertices: Float[np.ndarray, "vertices 3"] | None
    faces: Int[np.ndarray, "faces 3"] | None


@functools.lru_cache
def arm_physics(environment: str) -> ArmPhysics:
    """The physics of a task of cube-single.

    Raises:
        UnknownName: no such dataset.
        ConfigError: the name has no task, or is not cube-single's.
    """
    with _opened(environment) as env:
        bare, model = env.unwrapped, env.unwrapped.model
        joint = lambda name: int(model.joint(name).id)  # noqa: E731
        to_wrist = bare._T_pa
        mocap = int(model.body(TARGET).mocapid[0])
        return ArmPhysics(
            xml=_physical_xml(bare),
            limit=env.spec.max_episode_steps,
            physics_steps=int(bare._n_steps),
            ids={
                "joints": bare._arm_joint_ids.tolist(),
                "actuators": bare._arm_actuator_ids.tolist(),
                "finger_joint": joint(f"{GRIPPER}right_driver_joint"),
                "finger_actuator": int(bare._gripper_actuator_ids[0]),
                "pinch": int(model.site(PINCH).id),
                "wrist": int(model.site(WRIST).id),
                "pad": int(model.body(f"{GRIPPER}right_pad").id),
            },
            cube={"qpos": int(model.jnt_qposadr[joint(CUBE)]), "mocap": mocap},
            wrist_in_pinch={
                "position": to_wrist.translation().tolist(),
                "rotation": to_wrist.rotation().as_matrix().ravel().tolist(),
            },
            goal=bare.data.mocap_pos[mocap].tolist(),
            widths=(env.observation_space.shape[0], env.action_space.shape[0]),
        )


def start_states(environment: str, seeds: Sequence[int]) -> list[PhysicsState]:
    """The physics states that these seeds start from.

    Raises:
        UnknownName, ConfigError: as `arm_physics`.
    """
    with _opened(environment) as env:
        states = []
        for seed in seeds:
            reset(env, seed)
            states.append(get_state(env))
        return states


def arm_shapes(environment: str, resolution: float) -> list[Shape]:
    """What one sees of a task of cube-single: the arm, the gripper, the cube and its target.

    Args:
        environment: an official OGBench name.
        resolution: vertices of a mesh that are in one cube with this edge, in metres, become one.

    Raises:
        UnknownName, ConfigError: as `arm_physics`.
    """
    import mujoco

    with _opened(environment) as env:
        model = env.unwrapped.model
        shapes = []
        for i in range(model.ngeom):
            is_box = model.geom_type[i] == mujoco.mjtGeom.mjGEOM_BOX
            is_cube = is_box and model.geom_group[i] == 1
            if not is_cube and not _is_for_looking(model, i):
                continue
            material = model.geom_matid[i]
            mesh = None if is_box else _coarse(*_mesh(model, int(model.geom_dataid[i])), resolution)
            shapes.append(
                Shape(
                    body=int(model.geom_bodyid[i]),
                    position=model.geom_pos[i].copy(),
                    quaternion=model.geom_quat[i].copy(),
                    colour=(model.geom_rgba[i] if material < 0 else model.mat_rgba[material]) + 0,
                    size=model.geom_size[i].copy() if is_box else None,
                    vertices=None if mesh is None else mesh[0],
                    faces=None if mesh is None else mesh[1],
                )
            )
        return shapes


@contextlib.contextmanager
def _opened(environment: str) -> Iterator:
    """The environment of a task of cube-single, after a reset."""
    dataset, env_id = parse_name(environment)
    check(dataset.startswith("cube-single-"), f"'{environment}' is not a task of cube-single")
    env = make_env(env_id)
    try:
        reset(env, 0)
        yield env
    finally:
        env.close()


def _is_for_looking(model, geom: int) -> bool:
    """Whether a geometry is a mesh that touches nothing."""
    import mujoco

    is_mesh = model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH
    return bool(is_mesh and not model.geom_contype[geom] and not model.geom_conaffinity[geom])


def _physical_xml(bare) -> str:
    """The environment's model with the same physics, to the last bit, and no files.

    Inertias become numbers, meshes that touch nothing go, and of the others the convex hulls stay,
    by which MuJoCo judges contacts.
    """
    from ogbench.manipspace import mjcf_utils

    model = bare.model
    root = ET.fromstring(mjcf_utils.to_string(bare._mjcf_model))
    touching = set()
    for body in root.iter("body"):
        for geom in body.findall("geom"):
            if _is_for_looking(model, model.geom(geom.get("name")).id):
                body.remove(geom)
            elif geom.get("mesh"):
                touching.add(geom.get("mesh"))
        _set_inertia(body, model)
    for element in root.iter():
        element.attrib.pop("material", None)
    assets = root.find("asset")
    assets.clear()
    for name in sorted(touching):
        vertices = _in_file(model, int(model.mesh(name).id))
        hull = vertices[ConvexHull(vertices).vertices]
        ET.SubElement(assets, "mesh", name=name, scale="1 1 1", vertex=_text(hull))
    for actuator in root.find("actuator"):
        gains = model.actuator(actuator.get("name"))
        actuator.set("gainprm", _text(gains.gainprm[:3]))
        actuator.set("biasprm", _text(gains.biasprm[:3]))
    return ET.tostring(root, encoding="unicode")


def _set_inertia(body: ET.Element, model) -> None:
    """Gives a body of the XML the inertia of the compiled model's."""
    compiled = model.body(body.get("name"))
    for inertial in body.findall("inertial"):
        body.remove(inertial)
    if compiled.mass[0] > 0:
        numbers = {"pos": compiled.ipos, "quat": compiled.iquat, "mass": compiled.mass}
        numbers["diaginertia"] = compiled.inertia
        body.append(ET.Element("inertial", {name: _text(of) for name, of in numbers.items()}))


def _mesh(model, mesh: int) -> tuple[np.ndarray, np.ndarray]:
    """The vertices and the faces of a mesh."""
    first, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
    vertices = model.mesh_vert[first : first + count].astype(float)
    first, count = model.mesh_faceadr[mesh], model.mesh_facenum[mesh]
    return vertices, model.mesh_face[first : first + count]


def _in_file(model, mesh: int) -> Float[np.ndarray, "vertices 3"]:
    """The vertices of a mesh as its file has them: MuJoCo moves them into a frame of its own."""
    import mujoco

    matrix = np.zeros(9)
    mujoco.mju_quat2Mat(matrix, model.mesh_quat[mesh])
    return _mesh(model, mesh)[0] @ matrix.reshape(3, 3).T + model.mesh_pos[mesh]


def _text(numbers: np.ndarray) -> str:
    return " ".join(repr(float(number)) for number in np.ravel(numbers))


def _coarse(
    vertices: Float[np.ndarray, "vertices 3"], faces: Int[np.ndarray, "faces 3"], edge: float
) -> tuple[np.ndarray, np.ndarray]:
    """A mesh with fewer faces: the vertices in one cube of space become their mean."""
    cubes = np.floor(vertices / edge).astype(int)
    _, of, counts = np.unique(cubes, axis=0, return_inverse=True, return_counts=True)
    of = of.ravel()
    means = np.stack([np.bincount(of, axis) for axis in vertices.T], 1) / counts[:, None]
    faces = of[faces]
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    return means, np.unique(faces, axis=0)
