/** Which piece of work comes next: one at a time, and what is more urgent takes the place of what is less. */
import { InterruptedError } from "../errors.js";

export interface Task {
  /** the same name is the same piece of work: a later one replaces it */
  readonly name: string;
  /** the smaller, the sooner; a smaller one stops a greater one that is under way */
  readonly priority: number;
  /** Throws InterruptedError on abort; stopped for something more urgent, it runs again later from the start. */
  work(signal: AbortSignal): Promise<void>;
}

type Ending = "more urgent" | "replaced" | "removed";

export class Agenda {
  readonly #waiting = new Map<string, Task>();
  readonly #onFault: (error: unknown) => void;
  #current: { readonly task: Task; readonly controller: AbortController } | undefined;

  /** @param onFault is told what a task throws, interruption apart */
  constructor(onFault: (error: unknown) => void) {
    this.#onFault = onFault;
  }

  /** Does a task as soon as nothing more urgent is left; one of this name that is under way is stopped. */
  add(task: Task): void {
    this.#waiting.set(task.name, task);
    const current = this.#current?.task;
    if (current === undefined) void this.#work();
    else if (current.name === task.name) this.#stop("replaced");
    else if (current.priority > task.priority) this.#stop("more urgent");
  }

  /** Forgets a task, and stops it where it is under way. */
  remove(name: string): void {
    this.#waiting.delete(name);
    if (this.#current?.task.name === name) this.#stop("removed");
  }

  /** Forgets and stops everything. */
  clear(): void {
    this.#waiting.clear();
    this.#stop("removed");
  }

  #stop(ending: Ending): void {
    this.#current?.controller.abort(ending);
  }

  async #work(): Promise<void> {
    for (let task = this.#next(); task !== undefined; task = this.#next()) {
      this.#waiting.delete(task.name);
      const controller = new AbortController();
      this.#current = { task, controller };
      try {
        await task.work(controller.signal);
      } catch (error) {
        if (!(error instanceof InterruptedError)) this.#onFault(error);
        else if (controller.signal.reason === "more urgent" && !this.#waiting.has(task.name))
          this.#waiting.set(task.name, task);
      }
      this.#current = undefined;
    }
  }

  #next(): Task | undefined {
    return [...this.#waiting.values()].sort((a, b) => a.priority - b.priority)[0];
  }
}
