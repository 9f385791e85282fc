/** The survey's page: asks for a pair, shows it once both pictures are there, sends the choice. */
const token = new URLSearchParams(location.search).get("token") ?? "";
const element = (id) => document.getElementById(id);
const show = (id, visible) => (element(id).hidden = !visible);

let rater = "";
/** the trial on the page; absent while the next one loads */
let shown;

async function ask(path, body) {
  const headers = { "content-type": "application/json", "x-token": token };
  const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

/** Loads both pictures of a trial before either is seen, so that a slow one does not give its side away. */
async function present({ done, total, next }) {
  show("welcome", false);
  show("finished", next === undefined);
  show("trial", next !== undefined);
  element("progress").value = done / total;
  element("progress-text").textContent = `${done} of ${total}`;
  if (next === undefined) return;
  for (const side of ["left", "right"]) {
    const query = new URLSearchParams({ token, rater, index: next.index, side });
    element(side).src = `/picture?${query}`;
  }
  element("pictures").style.visibility = "hidden";
  await Promise.all(["left", "right"].map((side) => element(side).decode()));
  element("pictures").style.visibility = "visible";
  element("prompt").textContent = next.prompt;
  for (const button of document.querySelectorAll("#choices button")) button.disabled = false;
  shown = { index: next.index, since: performance.now() };
}

/** What fails is said, and the pair stays: the same choice can be made again. */
async function attempt(work) {
  try {
    show("trouble", false);
    await work();
  } catch (error) {
    element("trouble").textContent = `${error.message} — reload the page to go on`;
    show("trouble", true);
  }
}

function choose(choice) {
  if (shown === undefined) return;
  const { index, since } = shown;
  shown = undefined;
  for (const button of document.querySelectorAll("#choices button")) button.disabled = true;
  const seconds = (performance.now() - since) / 1000;
  void attempt(async () => present(await ask("/vote", { rater, index, choice, seconds })));
}

element("welcome").addEventListener("submit", (event) => {
  event.preventDefault();
  rater = element("rater").value.trim();
  void attempt(async () => present(await ask("/standing", { rater })));
});
for (const button of document.querySelectorAll("#choices button"))
  button.addEventListener("click", () => choose(button.dataset.choice));
const KEYS = { ArrowLeft: "left", ArrowDown: "tie", ArrowRight: "right" };
document.addEventListener("keydown", ({ key, repeat }) => {
  if (!repeat && KEYS[key] !== undefined && !element("trial").hidden) choose(KEYS[key]);
});
element("rater").focus();
