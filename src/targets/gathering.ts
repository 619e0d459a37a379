type Call<Item, Answer> = (items: Item[], signal: AbortSignal) => Promise<Answer[]>;

/** One who waits for an answer. */
class Asked<Item, Answer> {
  readonly answer: Promise<Answer>;
  resolve!: (answer: Answer) => void;
  reject!: (reason: Error) => void;

  constructor(
    readonly item: Item,
    readonly call: Call<Item, Answer>,
    readonly signal: AbortSignal,
  ) {
    this.answer = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
}

/**
 * What many ask of the same place is asked together: one call at a time, which takes along all that was asked during the one before.
 * Other places are asked at the same time.
 */
export class Gathering<Item, Answer> {
  /** By the places that are being asked. */
  private readonly waiting = new Map<string, Asked<Item, Answer>[]>();

  /**
   * @param most what one call takes along, in items and in bytes of them as JSON; of one item, whatever it has
   * @param isForAll whether an answer is about the place, so that it goes to all who were waiting when it came
   */
  constructor(
    private readonly most: { items: number; bytes: number },
    private readonly isForAll: (answer: Answer) => boolean = () => false,
  ) {}

  /**
   * @param place calls of two that name the same one can stand for each other
   * @param call gives an answer for each item, in their order
   * @param signal ends the waiting; the call is ended when none waits for it any more
   */
  async ask(place: string, item: Item, call: Call<Item, Answer>, signal: AbortSignal): Promise<Answer> {
    signal.throwIfAborted();
    const asked = new Asked<Item, Answer>(item, call, signal);
    const others = this.waiting.get(place);
    if (others === undefined) void this.serve(place, [asked]);
    else others.push(asked);
    const giveUp = (): void => asked.reject(signal.reason as Error);
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      return await asked.answer;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  }

  private async serve(place: string, waiting: Asked<Item, Answer>[]): Promise<void> {
    this.waiting.set(place, waiting);
    while (waiting.length > 0) {
      const together = this.next(waiting).filter(({ signal }) => !signal.aborted);
      const [answer] = await answerAll(together);
      if (answer !== undefined && this.isForAll(answer)) for (const asked of waiting.splice(0)) asked.resolve(answer);
    }
    this.waiting.delete(place);
  }

  /** Takes from those who wait as many as one call may have. */
  private next(waiting: Asked<Item, Answer>[]): Asked<Item, Answer>[] {
    let bytes = 0;
    const beyond = waiting.findIndex(({ item }, index) => {
      bytes += Buffer.byteLength(JSON.stringify(item));
      return index > 0 && (index === this.most.items || bytes > this.most.bytes);
    });
    return waiting.splice(0, beyond === -1 ? waiting.length : beyond);
  }
}

/** The answers, which all of them are given; none if the call failed. */
async function answerAll<Item, Answer>(together: Asked<Item, Answer>[]): Promise<Answer[]> {
  const [first] = together;
  if (first === undefined) return [];
  const unwanted = new AbortController();
  const look = (): void => {
    if (together.every(({ signal }) => signal.aborted)) unwanted.abort(first.signal.reason);
  };
  for (const { signal } of together) signal.addEventListener('abort', look, { once: true });
  try {
    const items = together.map(({ item }) => item);
    const answers = await first.call(items, unwanted.signal);
    if (answers.length !== items.length)
      throw new Error(`${items.length} were asked for, and ${answers.length} answered`);
    together.forEach((asked, index) => asked.resolve(answers[index] as Answer));
    return answers;
  } catch (error) {
    for (const asked of together) asked.reject(error as Error);
    return [];
  } finally {
    for (const { signal } of together) signal.removeEventListener('abort', look);
  }
}
