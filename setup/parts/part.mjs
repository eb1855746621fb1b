/**
 * One thing that the set-up puts in place.
 *
 * @typedef {object} Part
 * @property {string} name
 * @property {string} label what people read
 * @property {readonly string[]} after names of the parts that it needs first
 * @property {string} [inside] the part that holds this one: when that is made again, so is this
 * @property {() => string | undefined} whyDue why it has to be made (again); undefined when it is in place. Fast: asked at every start.
 * @property {() => number} [receivedBytes] how much of a long download is there
 * @property {() => Promise<void>} make starts from nothing, whatever an earlier try has left
 *
 * @typedef {object} Context
 * @property {import("../places.mjs").Places} places
 * @property {import("../state.mjs").State} state
 * @property {import("../children.mjs").Children["run"]} run
 */

export {};
