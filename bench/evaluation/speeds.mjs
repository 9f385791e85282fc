/**
 * An evaluation with the speeds of another one of the same settings, which was made on fewer prompts while nothing else ran.
 *
 * usage: node bench/evaluation/speeds.mjs <evaluation.json> <its speeds: evaluation.json> <out.json>
 */
import { loadEvaluation, saveEvaluation } from "../../dist/study/evaluation/evaluationFile.js";

const [from, speeds, out] = process.argv.slice(2);
const [evaluation, quiet] = await Promise.all([from, speeds].map(loadEvaluation));
const settings = evaluation.settings.map((setting) => {
  const found = quiet.settings.find(({ arm }) => arm.name === setting.arm.name);
  if (found === undefined) throw new Error(`${speeds}: ${setting.arm.name} is missing`);
  const { images_per_second, speedup } = found;
  return { ...setting, images_per_second, speedup };
});
await saveEvaluation(out, { ...evaluation, machines: quiet.machines, settings });
