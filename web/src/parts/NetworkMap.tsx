import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import type { BlockMapEntry } from "../../../src/instrument/blockMap.js";
import { kindName, timeShares } from "../blockView.js";
import { ink, shareColours } from "../colours.js";
import { percent } from "../format.js";
import { ask, hoveredBlock, model, selectedBlock } from "../store.js";
import { saveSvg } from "../saveSvg.js";
import { BlockCard } from "./BlockCard.js";
import { resultTab } from "./ResultPanel.js";

const [BOX_WIDTH, BOX_HEIGHT, GAP] = [35, 24, 2];
/** Between the way down and the way up. */
const VALLEY = 16;

const SIGNS: Readonly<Partial<Record<BlockMapEntry["kind"], string>>> = {
  resnet: "R",
  transformer: "T",
  downsampler: "↓",
  upsampler: "↑",
  conv_in: "in",
  conv_out: "out",
};

interface Box {
  readonly block: BlockMapEntry;
  readonly x: number;
  readonly y: number;
}

/** The UNet as a U: down at the left, up at the right, a row a level of resolution. */
export function NetworkMap() {
  const drawing = useRef<SVGSVGElement>(null);
  const pointed = useSignal<Box | undefined>(undefined);
  const blocks = model.value?.blocks ?? [];
  const { boxes, width, height } = layout(blocks);
  const shares = timeShares.value;
  const largest = Math.max(1e-9, ...shares.values());
  const colours = ink();
  const look = (id: string): void => {
    selectedBlock.value = id;
    resultTab.value = "block";
    ask({ command: "look", block: id });
  };
  const focusable = boxes.some(({ block }) => block.id === selectedBlock.value)
    ? selectedBlock.value
    : boxes[0]?.block.id;
  const step = (event: KeyboardEvent, index: number): void => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      look(boxes[index].block.id);
      return;
    }
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    const next = drawing.current?.querySelectorAll<SVGGElement>("[role=button]")[index + by];
    next?.focus();
  };
  return (
    <section class="map" aria-labelledby="map-title">
      <div class="title">
        <h2 id="map-title">Network</h2>
        <p>share of time; R ResNet, T transformer, ↓ ↑ samplers</p>
        <button class="small" onClick={() => saveSvg(drawing.current, "network.svg")}>
          Save SVG
        </button>
      </div>
      <div class="drawing">
        <svg
          ref={drawing}
          viewBox={`0 0 ${width} ${height}`}
          width={width}
          height={height}
          role="group"
          aria-label="blocks of the network"
        >
          {boxes.map(({ block, x, y }, index) => {
            const share = shares.get(block.id);
            const { fill, text } = shareColours((share ?? 0) / largest);
            const isSelected = block.id === selectedBlock.value;
            const isHovered = block.id === hoveredBlock.value;
            const name = `${block.id}, ${kindName(block.kind)}${share === undefined ? "" : `, ${percent(share)} of the time`}`;
            return (
              <g
                key={block.id}
                role="button"
                aria-pressed={isSelected}
                tabIndex={block.id === focusable ? 0 : -1}
                onClick={() => look(block.id)}
                onKeyDown={(event) => step(event, index)}
                onPointerEnter={() => ([pointed.value, hoveredBlock.value] = [{ block, x, y }, block.id])}
                onPointerLeave={() => ([pointed.value, hoveredBlock.value] = [undefined, undefined])}
                onFocus={() => ([pointed.value, hoveredBlock.value] = [{ block, x, y }, block.id])}
                onBlur={() => ([pointed.value, hoveredBlock.value] = [undefined, undefined])}
              >
                <text opacity={0} font-size={1} {...{ x, y }}>
                  {name}
                </text>
                <rect
                  {...{ x, y, width: BOX_WIDTH, height: BOX_HEIGHT, fill }}
                  rx={block.kind === "transformer" ? 8 : 2}
                  stroke={isSelected || isHovered ? colours.focus : colours.line}
                  stroke-width={isSelected ? 2 : 1}
                />
                <text
                  aria-hidden="true"
                  x={x + BOX_WIDTH / 2}
                  y={y + 10}
                  fill={text}
                  font-size={9}
                  text-anchor="middle"
                  font-family="Arimo, Arial, sans-serif"
                >
                  {SIGNS[block.kind] ?? ""}
                </text>
                <text
                  aria-hidden="true"
                  x={x + BOX_WIDTH / 2}
                  y={y + 20}
                  fill={text}
                  font-size={9}
                  text-anchor="middle"
                  font-family="Arimo, Arial, sans-serif"
                >
                  {share === undefined ? "–" : percent(share)}
                </text>
              </g>
            );
          })}
        </svg>
        {pointed.value !== undefined && (
          <div class="tooltip" style={tooltipPlace(pointed.value, width)}>
            <BlockCard block={pointed.value.block} />
          </div>
        )}
      </div>
    </section>
  );
}

function tooltipPlace({ x, y }: Box, width: number): { left: string; top: string } {
  // Of 250 pixels, inside the map.
  return { left: `${Math.max(0, Math.min(x - 100, width - 250))}px`, top: `${y + BOX_HEIGHT + 6}px` };
}

/** Where each block stands. */
function layout(blocks: readonly BlockMapEntry[]): { boxes: Box[]; width: number; height: number } {
  const rows = new Map<string, BlockMapEntry[]>();
  for (const block of blocks) {
    const [stage, level] = block.id.split(".");
    const row =
      stage === "conv_in"
        ? "down 0"
        : stage === "down_blocks"
          ? `down ${level}`
          : stage === "mid_block"
            ? "mid"
            : stage === "conv_out"
              ? "up last"
              : `up ${level}`;
    rows.set(row, [...(rows.get(row) ?? []), block]);
  }
  const downs = [...rows.keys()].filter((row) => row.startsWith("down")).length;
  const ups = [...rows.keys()].filter((row) => row.startsWith("up") && row !== "up last").length;
  const lastUp = rows.get("up last") ?? [];
  const upRow = (level: number): BlockMapEntry[] => [
    ...(rows.get(`up ${level}`) ?? []),
    ...(level === ups - 1 ? lastUp : []),
  ];
  const wide = (list: readonly unknown[]): number => list.length * (BOX_WIDTH + GAP) - GAP;
  const down = Array.from({ length: downs }, (_, level) => rows.get(`down ${level}`) ?? []);
  const up = Array.from({ length: ups }, (_, level) => upRow(level));
  const left = Math.max(0, ...down.map(wide));
  const right = Math.max(0, ...up.map(wide));
  const middle = rows.get("mid") ?? [];
  const width = Math.max(left + VALLEY + right, wide(middle)) + 2;
  const levels = Math.max(downs, ups);
  const place = (list: readonly BlockMapEntry[], x: number, row: number): Box[] =>
    list.map((block, index) => ({ block, x: 1 + x + index * (BOX_WIDTH + GAP), y: 1 + row * (BOX_HEIGHT + 4) }));
  const boxes = [
    ...down.flatMap((list, level) => place(list, left - wide(list), level)),
    ...place(middle, Math.max(0, Math.min(left + VALLEY / 2 - wide(middle) / 2, width - wide(middle))), levels),
    ...up.flatMap((list, level) => place(list, left + VALLEY, levels - 1 - level)),
  ];
  return { boxes, width, height: (levels + (middle.length > 0 ? 1 : 0)) * (BOX_HEIGHT + 4) };
}
