/**
 * Lets identical calls share their answers. Nobody gets an answer older than the question: who asks while a call is under
 * way gets the answer of the next one, together with all others who asked meanwhile.
 */
export class SharedCalls<T> {
  readonly #running = new Map<string, Promise<T>>();
  readonly #next = new Map<string, Promise<T>>();

  /** The answer of `load`, called now or when the running call of the same `key` has ended. */
  get(key: string, load: () => Promise<T>): Promise<T> {
    const next = this.#next.get(key);
    if (next !== undefined) return next;
    const running = this.#running.get(key);
    return running === undefined ? this.#begin(key, load) : this.#queue(key, running, load);
  }

  #begin(key: string, load: () => Promise<T>): Promise<T> {
    const call = load().finally(() => {
      if (this.#running.get(key) === call) this.#running.delete(key);
    });
    this.#running.set(key, call);
    return call;
  }

  #queue(key: string, running: Promise<T>, load: () => Promise<T>): Promise<T> {
    const begin = (): Promise<T> => {
      this.#next.delete(key);
      return this.#begin(key, load);
    };
    // A failed call is its own callers' affair.
    const next = running.then(begin, begin);
    this.#next.set(key, next);
    return next;
  }
}
