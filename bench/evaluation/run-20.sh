#!/bin/sh
# The evaluation of bench/README.md, from the repository's root: profile and adjustments from fit.txt, pictures of the first so many
# prompts of evaluate.txt. Goes on where it was interrupted; half an hour on two quiet cores for 160 prompts.
#
# usage: bench/evaluation/run-20.sh [prompts]
set -e
prompts=${1:-160}
work=.cache/evaluation
trailing="--scheduler-config timestep_spacing=trailing"
mkdir -p $work
blockcache() { node dist/cli/main.js "$@"; }

[ -f $work/fit-20.safetensors ] || blockcache profile fluent-ldm --prompts bench/evaluation/fit.txt --seeds 0 --steps 20 --solver dpmsolver++ $trailing --out $work/fit-20.safetensors
for delta in 0.1 0.2; do
  blockcache schedule $work/fit-20.safetensors --delta $delta --out $work/schedule-20-$delta.json
  blockcache adjust fluent-ldm --schedule $work/schedule-20-$delta.json --prompts bench/evaluation/fit.txt --out $work/adjustment-20-$delta.safetensors
done
head -n "$prompts" bench/evaluation/evaluate.txt > $work/prompts.txt
sed -n 29,44p bench/evaluation/evaluate.txt > $work/speed-prompts.txt
# The pictures are made beside the first baseline, and measured anew beside the second.
for baseline in plain-20 plain-14; do
  # Speeds, while nothing else runs: two minutes.
  blockcache evaluate fluent-ldm --settings bench/evaluation/settings-20.json --prompts $work/speed-prompts.txt --metrics clip-score --baseline $baseline $trailing --out $work/speed-20
  blockcache evaluate fluent-ldm --settings bench/evaluation/settings-20.json --prompts $work/prompts.txt --metrics frechet,clip-score,latent,psnr,ssim --baseline $baseline $trailing --out $work/table-20
  result=bench/results/evaluation-20-beside-$baseline
  node bench/evaluation/speeds.mjs $work/table-20 $work/speed-20 $result.json > $result.md
done
