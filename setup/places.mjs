import path from "node:path";

/**
 * Where the set-up reads and writes.
 *
 * @typedef {ReturnType<typeof placesIn>} Places
 */

/**
 * @param {string} root the folder of package.json
 * @param {string} [state] the folder for everything that the set-up makes besides node_modules
 * @param {string} [models] the folder of the models
 */
export function placesIn(root, state = path.join(root, ".embedge"), models = path.join(state, "models")) {
  const python = path.join(state, "python");
  return {
    root,
    state,
    stateFile: path.join(state, "setup.json"),
    lockFile: path.join(state, "setup.lock"),
    temporary: path.join(state, "tmp"),
    node24: path.join(state, "node24"),
    nodeModules: path.join(root, "node_modules"),
    nodeLink: path.join(root, "node_modules/.bin/node"),
    python,
    pythonBinary: path.join(python, "bin/python"),
    blas: path.join(state, "blas/libcblas.so"),
    models,
    hub: path.join(state, "hub"),
    fast: path.join(state, "fast"),
    cuda: path.join(state, "cuda"),
  };
}
