/**
 * An evaluation as bench/results keeps it: with the speeds of another one of the same settings, which was made on fewer
 * prompts while nothing else ran; prints its table.
 *
 * usage: node bench/evaluation/speeds.mjs <evaluation.json> <its speeds: evaluation.json> <out.json>
 */
import { relative } from "node:path";
import { evaluationTable } from "../../dist/study/evaluation/table.js";
import { loadEvaluation, saveEvaluation } from "../../dist/study/evaluation/evaluationFile.js";

const [from, speeds, out] = process.argv.slice(2);
const [evaluation, quiet] = await Promise.all([from, speeds].map(loadEvaluation));
const settings = evaluation.settings.map((setting) => {
  const found = quiet.settings.find(({ arm }) => arm.name === setting.arm.name);
  if (found === undefined) throw new Error(`${speeds}: ${setting.arm.name} is missing`);
  const { images_per_second, speedup } = found;
  const { cached } = setting.arm;
  // Where the file lay on this machine says nothing to others.
  const place = cached?.adjustment && { ...cached.adjustment, file: relative(".", cached.adjustment.file) };
  const arm = place === undefined ? setting.arm : { ...setting.arm, cached: { ...cached, adjustment: place } };
  return { ...setting, arm, images_per_second, speedup };
});
const result = { ...evaluation, machines: quiet.machines, settings };
await saveEvaluation(out, result);
console.log(["```", ...evaluationTable(result), "```"].join("\n"));
