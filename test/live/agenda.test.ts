import { expect, it } from "vitest";
import { InterruptedError } from "../../src/errors.js";
import { Agenda } from "../../src/live/agenda.js";

/** An agenda, and tasks that write what happens to them and end when told. */
function bench(): {
  agenda: Agenda;
  log: string[];
  add(name: string, priority: number): void;
  end(name: string): Promise<void>;
} {
  const log: string[] = [];
  const ends = new Map<string, () => void>();
  const agenda = new Agenda((error) => log.push(`fault ${String(error)}`));
  return {
    agenda,
    log,
    add: (name, priority) =>
      agenda.add({
        name,
        priority,
        work: (signal) =>
          new Promise((resolve, reject) => {
            log.push(`${name} starts`);
            ends.set(name, () => (log.push(`${name} ends`), resolve()));
            signal.addEventListener("abort", () => (log.push(`${name} stops`), reject(new InterruptedError(name))));
          }),
      }),
    async end(name) {
      ends.get(name)?.();
      await settled();
    },
  };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it("stops what is less urgent, and takes it up again", async () => {
  const { add, end, log } = bench();
  add("judge", 4);
  add("compare", 2);
  await settled();
  await end("compare");
  await end("judge");
  expect(log).toEqual(["judge starts", "judge stops", "compare starts", "compare ends", "judge starts", "judge ends"]);
});

it("replaces a task of the same name, once however often", async () => {
  const { add, end, log } = bench();
  add("compare", 2);
  for (let time = 0; time < 5; time++) add("compare", 2);
  await settled();
  await end("compare");
  expect(log).toEqual(["compare starts", "compare stops", "compare starts", "compare ends"]);
});

it("lets what is more urgent finish, and forgets what is removed", async () => {
  const { agenda, add, end, log } = bench();
  add("measure", 1);
  add("compare", 2);
  add("judge", 4);
  agenda.remove("judge");
  await end("measure");
  agenda.remove("compare");
  await settled();
  expect(log).toEqual(["measure starts", "measure ends", "compare starts", "compare stops"]);
});

it("tells of faults, and goes on", async () => {
  const { agenda, add, log } = bench();
  agenda.add({ name: "bad", priority: 0, work: () => Promise.reject(new Error("no")) });
  add("good", 1);
  await settled();
  expect(log).toEqual(["fault Error: no", "good starts"]);
});
