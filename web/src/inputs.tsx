/** The page of `interact`: inputs whose values go to the kernel. */
import { signal } from "@preact/signals";
import { render } from "preact";
import type { Input } from "../../src/notebook/inputs.js";
import { Check, Choice } from "./parts/fields.js";
import "./style.css";
import "./inputs.css";

type Values = Readonly<Record<string, Input["value"]>>;

const token = new URLSearchParams(location.search).get("token") ?? "";
const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
const values = signal<Values>({});
const problem = signal("");

function set(name: string, value: Input["value"]): void {
  values.value = { ...values.value, [name]: value };
  void fetch("/api/values", { method: "POST", headers, body: JSON.stringify(values.value) }).then(
    async (answer) => (problem.value = answer.ok ? "" : ((await answer.json()) as { problem: string }).problem),
    () => (problem.value = "The kernel does not answer: run the cell again."),
  );
}

function Inputs({ inputs }: { readonly inputs: Readonly<Record<string, Input>> }) {
  return (
    <>
      {Object.entries(inputs).map(([name, input]) => (
        <Field key={name} name={name} input={input} />
      ))}
      <p class="fault" role="alert">
        {problem.value}
      </p>
    </>
  );
}

function Field({ name, input }: { readonly name: string; readonly input: Input }) {
  const value = values.value[name];
  switch (input.kind) {
    case "slider":
      return (
        <label class="input">
          <span>{name}</span>
          <input
            type="range"
            min={input.min}
            max={input.max}
            step={input.step}
            value={Number(value)}
            onInput={({ currentTarget }) => set(name, currentTarget.valueAsNumber)}
          />
          <output>{Number(Number(value).toPrecision(4))}</output>
        </label>
      );
    case "text":
      return (
        <label class="input">
          <span>{name}</span>
          <input value={String(value)} onInput={({ currentTarget }) => set(name, currentTarget.value)} />
        </label>
      );
    case "choice":
      return (
        <Choice
          label={name}
          value={String(value)}
          choices={input.choices.map((each) => [each, each] as const)}
          onValue={(next) => set(name, next)}
        />
      );
    case "check":
      return (
        <Check checked={value === true} onValue={(next) => set(name, next)}>
          {name}
        </Check>
      );
  }
}

const answer = await fetch("/api/inputs", { headers });
const { inputs, values: first } = (await answer.json()) as { inputs: Record<string, Input>; values: Values };
values.value = first;
const page = document.getElementById("page");
page?.addEventListener("submit", (event) => event.preventDefault());
if (page !== null) render(<Inputs inputs={inputs} />, page);
if (window.parent !== window) window.parent.postMessage({ blockcache: "alive" }, "*");
