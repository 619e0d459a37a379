import { Targets } from '../targets/sshd.js';
import type { Backend } from './backends.js';
import { Operator, Work } from './operator.js';

/** Hosts, a place for state, and operators. */
export class Scene implements AsyncDisposable {
  readonly work: Work;
  private readonly operators: Operator[] = [];

  constructor(
    readonly targets: Targets,
    readonly backend: Backend,
    /** What has to happen before the hosts are gone. */
    private readonly leave: () => Promise<void> = () => Promise.resolve(),
  ) {
    this.work = new Work(targets);
  }

  static async open(backend: Backend, hosts = 1): Promise<Scene> {
    return new Scene(await Targets.open({ hosts }), backend);
  }

  /** A further operator, with a HOME and a folder of its own. */
  operator(): Operator {
    const operator = new Operator(String(this.operators.length + 1), this.targets, this.backend);
    this.operators.push(operator);
    return operator;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.operators.map((operator) => operator.crash()));
    await this.leave();
    await this.targets[Symbol.asyncDispose]();
  }
}
