import { expect, it } from "vitest";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { memory } from "../../src/live/remember.js";

it("what was used last stays, what was not goes first", () => {
  const pipeline = {} as Pipeline;
  memory<string>(pipeline, ["profile"]).set("dear");
  memory<string>(pipeline, ["never looked at"]).set("cheap");
  for (let run = 0; run < 40; run++) {
    memory<number>(pipeline, ["plain", run]).set(run);
    expect(memory<string>(pipeline, ["profile"]).get()).toBe("dear");
  }
  expect(memory<string>(pipeline, ["never looked at"]).get()).toBeUndefined();
  expect(memory<number>(pipeline, ["plain", 0]).get()).toBeUndefined();
  expect(memory<number>(pipeline, ["plain", 39]).get()).toBe(39);
  expect(memory<string>({} as Pipeline, ["profile"]).get()).toBeUndefined();
});
