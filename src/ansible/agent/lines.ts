/** Cuts a stream of bytes into lines; one of many megabytes costs no more than its bytes. */
export class Lines {
  #parts: Buffer[] = [];

  /** The lines that `chunk` completes. */
  *add(chunk: Buffer): Generator<string> {
    let rest = chunk;
    for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10)) {
      this.#parts.push(rest.subarray(0, end));
      const line = this.#parts.length === 1 ? rest.toString('utf8', 0, end) : Buffer.concat(this.#parts).toString();
      this.#parts = [];
      yield line;
      rest = rest.subarray(end + 1);
    }
    if (rest.length > 0) this.#parts.push(rest);
  }
}
