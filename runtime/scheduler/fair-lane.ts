import { type Input, InputList } from "./input-list.ts";

/** Tenants without waiting inputs whose past is remembered. One that is forgotten gains at most what it had been ahead. */
const IDLE_TENANTS_MAX = 1_024;

/** A place in the order of turns. */
interface Standing {
  /** Tokens its tenant has had, counted from the start that it was given. */
  servedTokens: number;
  /** Decides between equals: who has been waiting for longer. */
  readonly turn: number;
}

interface Tenant extends Standing {
  readonly id: string;
  readonly list: InputList;
}

/** How far a look into the future has come with one tenant. */
interface Cursor extends Standing {
  readonly next: Input | undefined;
}

/**
 * The waiting inputs of one priority, shared by their tenants: deficit round robin with the quantum at one token, which
 * is to say that the tenant which has had the fewest tokens goes next. In order of arrival inside each.
 *
 * A tenant that comes back starts where the last input to start stood, so it owes nothing and has saved nothing up:
 * start-time fair queueing (Goyal, Vin and Cheng 1996), section 2. Iterates in the order in which inputs would start.
 */
export class FairLane implements Iterable<Input> {
  /** The tenants with waiting inputs, by name and by standing. */
  readonly #tenants = new Map<string, Tenant>();
  readonly #waiting: Tenant[] = [];
  /** What others had been served when they last waited; the first has been away longest. */
  readonly #idle = new Map<string, number>();
  /** Where the last input to start stood. */
  #servedTokens = 0;
  #turns = 0;

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** The tenant's last waiting input. */
  lastOf(tenantId: string): Input | undefined {
    return this.#tenants.get(tenantId)?.list.last;
  }

  append(input: Input): void {
    const { tenant: id } = input.call;
    const tenant = this.#tenants.get(id) ?? this.#join(id);
    tenant.list.append(input);
  }

  /** Takes a waiting input out because it starts, and charges its tenant. */
  start(input: Input): void {
    const tenant = this.#tenantOf(input);
    this.#servedTokens = Math.max(this.#servedTokens, tenant.servedTokens);
    this.#leave(tenant);
    tenant.servedTokens += input.tokens;
    insert(this.#waiting, tenant);
    this.remove(input);
  }

  /** Takes a waiting input out that will not run. */
  remove(input: Input): void {
    const tenant = this.#tenantOf(input);
    tenant.list.remove(input);
    if (tenant.list.first !== undefined) return;
    this.#leave(tenant);
    this.#tenants.delete(tenant.id);
    this.#idle.set(tenant.id, tenant.servedTokens);
    if (this.#idle.size <= IDLE_TENANTS_MAX) return;
    for (const longestAway of this.#idle.keys()) return void this.#idle.delete(longestAway);
  }

  *[Symbol.iterator](): Generator<Input, void> {
    const visited: Cursor[] = [];
    let unvisited = 0;
    for (;;) {
      const fresh = this.#waiting[unvisited];
      const [known] = visited;
      const isFresh = fresh !== undefined && (known === undefined || isBefore(fresh, known));
      const standing = isFresh ? fresh : known;
      const input = isFresh ? fresh.list.first : known?.next;
      if (standing === undefined || input === undefined) return;
      if (isFresh) unvisited += 1;
      else visited.shift();
      yield input;
      const { turn, servedTokens } = standing;
      if (input.next !== undefined)
        insert(visited, { turn, servedTokens: servedTokens + input.tokens, next: input.next });
    }
  }

  #join(id: string): Tenant {
    const servedTokens = Math.max(this.#idle.get(id) ?? 0, this.#servedTokens);
    const tenant: Tenant = { id, list: new InputList(), servedTokens, turn: ++this.#turns };
    this.#idle.delete(id);
    this.#tenants.set(id, tenant);
    insert(this.#waiting, tenant);
    return tenant;
  }

  #tenantOf({ call: { tenant: id } }: Input): Tenant {
    const tenant = this.#tenants.get(id);
    if (tenant === undefined) throw new Error("An input waits of a tenant that does not; a bug of the scheduler.");
    return tenant;
  }

  #leave(tenant: Tenant): void {
    this.#waiting.splice(placeOf(this.#waiting, tenant), 1);
  }
}

function isBefore(a: Standing, b: Standing): boolean {
  return a.servedTokens < b.servedTokens || (a.servedTokens === b.servedTokens && a.turn < b.turn);
}

function insert<T extends Standing>(sorted: T[], item: T): void {
  sorted.splice(placeOf(sorted, item), 0, item);
}

/** The first place whose item does not come before this one. */
function placeOf(sorted: readonly Standing[], item: Standing): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const other = sorted[middle];
    if (other !== undefined && isBefore(other, item)) low = middle + 1;
    else high = middle;
  }
  return low;
}
