// MuJoCo and three.js, from the scripts beside a page (packages.py), loaded when they are wanted.
//
// A script can be loaded where a page is opened from a disk, too; a module could not.

/** The files of a package, by their names. */
async function filesOf(name, script) {
  if (globalThis.sorlPackages?.[name] === undefined)
    await new Promise((resolve, reject) => {
      const element = document.createElement("script");
      const failed = () => reject(new Error(`${script} is missing beside this page`));
      Object.assign(element, { src: script, onload: resolve, onerror: failed });
      document.head.append(element);
    });
  return globalThis.sorlPackages[name];
}

/** The address of a module with this text. */
function addressOf(text) {
  return URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
}

/** MuJoCo's build for browsers. */
export async function loadMuJoCo(script) {
  const files = await filesOf("@mujoco/mujoco", script);
  const { default: load } = await import(addressOf(files["mujoco.js"]));
  const wasmBinary = Uint8Array.from(atob(files["mujoco.wasm"]), (c) => c.charCodeAt(0));
  return load({ wasmBinary, locateFile: (name) => name });
}

/** three.js, and its controls of a camera. */
export async function loadThree(script) {
  const files = await filesOf("three", script);
  const core = addressOf(files["three.core.js"]);
  const main = addressOf(files["three.module.js"].replaceAll("./three.core.js", core));
  const controls = files["OrbitControls.js"].replace(/from 'three'/, `from '${main}'`);
  const [three, { OrbitControls }] = await Promise.all([
    import(main),
    import(addressOf(controls)),
  ]);
  return { three, OrbitControls };
}
