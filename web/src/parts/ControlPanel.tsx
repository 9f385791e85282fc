import { HeuristicControls } from "./HeuristicControls.js";
import { SamplingControls } from "./SamplingControls.js";

export function ControlPanel() {
  return (
    <>
      <SamplingControls />
      <HeuristicControls />
    </>
  );
}
