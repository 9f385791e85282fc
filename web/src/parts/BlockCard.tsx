import { useRef } from "preact/hooks";
import type { BlockMapEntry } from "../../../src/instrument/blockMap.js";
import { changeCurves, kindName, timeShares } from "../blockView.js";
import { ink } from "../colours.js";
import { bytes, percent } from "../format.js";
import { saveSvg } from "../saveSvg.js";

/**
 * What is known of a block: shape, size, share of time, and how its C changes from evaluation to evaluation.
 *
 * @param saves whether the curve can be saved: not in a tooltip
 */
export function BlockCard({ block, saves = false }: { readonly block: BlockMapEntry; readonly saves?: boolean }) {
  const card = useRef<HTMLDivElement>(null);
  const share = timeShares.value.get(block.id);
  const curve = changeCurves.value.get(block.id);
  return (
    <div class="card" ref={card}>
      <h3>{block.id}</h3>
      <p>
        {kindName(block.kind)}, C {block.shape.join(" × ")}, {bytes(block.bytes)}
      </p>
      <p>
        {block.parameters.toLocaleString("en")} parameters
        {share === undefined ? "" : `, ${percent(share)} of an evaluation's time`}
      </p>
      {curve !== undefined && <ChangeCurve curve={curve} />}
      {curve !== undefined && saves && (
        <button
          class="small"
          onClick={() => saveSvg(card.current?.querySelector("svg") ?? null, `${block.id}-change.svg`)}
        >
          Save curve
        </button>
      )}
    </div>
  );
}

const [WIDTH, HEIGHT, LEFT, BOTTOM] = [230, 84, 34, 16];

function ChangeCurve({ curve }: { readonly curve: Float64Array }) {
  const colours = ink();
  // The first evaluation has nothing to compare with.
  const values = [...curve.subarray(1)];
  const top = Math.max(...values, 1e-9);
  const x = (index: number): number => LEFT + (index / Math.max(1, values.length - 1)) * (WIDTH - LEFT - 4);
  const y = (value: number): number => HEIGHT - BOTTOM - (value / top) * (HEIGHT - BOTTOM - 8);
  const points = values.map((value, index) => `${x(index).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  const text = { "font-size": 9, fill: colours.faint, "font-family": "Arimo, Arial, sans-serif" };
  return (
    <svg
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      width={WIDTH}
      height={HEIGHT}
      role="img"
      aria-label={`relative L1 change of C, at most ${top.toPrecision(2)}, over ${values.length} evaluations`}
    >
      <line x1={LEFT} y1={y(0)} x2={WIDTH - 4} y2={y(0)} stroke={colours.line} />
      <line x1={LEFT} y1={y(top)} x2={WIDTH - 4} y2={y(top)} stroke={colours.line} />
      <polyline points={points} fill="none" stroke={colours.computed} stroke-width={1.5} />
      <text {...text} x={LEFT - 3} y={y(top) + 3} text-anchor="end">
        {top.toPrecision(2)}
      </text>
      <text {...text} x={LEFT - 3} y={y(0) + 3} text-anchor="end">
        0
      </text>
      <text {...text} x={LEFT} y={HEIGHT - 4}>
        1
      </text>
      <text {...text} x={(WIDTH + LEFT) / 2} y={HEIGHT - 4} text-anchor="middle">
        L1 change, by evaluation
      </text>
      <text {...text} x={WIDTH - 4} y={HEIGHT - 4} text-anchor="end">
        {values.length}
      </text>
    </svg>
  );
}
