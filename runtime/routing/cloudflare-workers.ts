/** What `import … from "cloudflare:workers"` gives on Node; `workers-import.ts` leads there. */
import type { Env } from "../../functions/_types.ts";
import { currentScope, outerEnv, runInScope } from "./worker-scope.ts";

type Names = Readonly<Record<string, unknown>>;

/** The Worker that imports this: each has a module of its own. */
const worker = new URL(import.meta.url).searchParams.get("worker") ?? "";

/** `env` of the run that asks. Outside of one: the variables, and bindings that cannot be used yet, as in workerd. */
export const env: Names = createEnv();

/** Keeps the run that asks alive. Throws where none runs. */
export function waitUntil(work: Promise<unknown>): void {
  const scope = currentScope();
  if (scope === undefined) throw outside("waitUntil");
  scope.context.waitUntil(work);
}

/** Calls `call`, for which `env` is another one. */
export function withEnv<T>(other: Names, call: () => T): T {
  return runInScope({ context: { waitUntil }, ...currentScope(), env: other as Env }, call);
}

/** Classes of workerd: a module may extend them, so that it loads; there are no objects of them here. */
export const DurableObject: Base = baseOf("DurableObject");
export const RpcStub: Base = baseOf("RpcStub");
export const RpcTarget: Base = baseOf("RpcTarget");
export const WorkerEntrypoint: Base = baseOf("WorkerEntrypoint");
export const WorkflowEntrypoint: Base = baseOf("WorkflowEntrypoint");

type Base = new () => object;

function baseOf(name: string): Base {
  const refuse = function (): never {
    throw new Error(`${name} needs workerd: run \`embedge dev --miniflare\`.`);
  };
  return refuse as unknown as Base;
}

function createEnv(): Names {
  const known = (): Names => {
    const scope = currentScope();
    if (scope !== undefined) return scope.env;
    const { vars, bindings } = outerEnv(worker);
    return { ...vars, ...Object.fromEntries(bindings.map((name) => [name, lateBinding(name)])) };
  };
  return new Proxy(
    {},
    {
      get: (_target, name) => Reflect.get(known(), name),
      has: (_target, name) => Reflect.has(known(), name),
      ownKeys: () => Reflect.ownKeys(known()),
      getOwnPropertyDescriptor(_target, name) {
        const value: unknown = Reflect.get(known(), name);
        return Reflect.has(known(), name) ? { value, enumerable: true, configurable: true } : undefined;
      },
    },
  );
}

/** A binding that was named where nothing runs, such as `const { KV } = env` at the top of a module. */
function lateBinding(name: string): object {
  return new Proxy(
    {},
    {
      get(_target, member) {
        const scope = currentScope();
        if (scope === undefined) {
          // `await` and `String` look for these on whatever they are given.
          if (typeof member === "symbol" || member === "then") return undefined;
          throw outside(`env.${name}.${member}`);
        }
        const binding = Object(scope.env[name]) as object;
        const value: unknown = Reflect.get(binding, member);
        return typeof value === "function" ? (value.bind(binding) as unknown) : value;
      },
    },
  );
}

function outside(what: string): Error {
  return new Error(`${what} can be used in a handler alone: no request and no event runs here.`);
}
