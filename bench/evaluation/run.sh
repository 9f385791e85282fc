#!/bin/sh
# The evaluation of bench/README.md, from the repository's root: profile and adjustments from fit.txt, pictures of the first so many
# prompts of evaluate.txt; the whole, and each half alone, so that what one half chooses the other reports. Goes on where it was
# interrupted. For 160 prompts at 20 steps half an hour on two quiet cores.
#
# usage: bench/evaluation/run.sh [20|50] [prompts]
set -e
steps=${1:-20}
prompts=${2:-160}
work=.cache/evaluation
trailing="--scheduler-config timestep_spacing=trailing"
mkdir -p $work
blockcache() { node dist/cli/main.js "$@"; }
evaluate() { blockcache evaluate fluent-ldm --settings $work/settings-$steps.json $trailing "$@"; }

case $steps in 20) deltas="0.1 0.2"; shorter=16;; 50) deltas="0.05 0.1"; shorter=35;; esac
profile=$work/fit-$steps.safetensors
[ -f $profile ] || blockcache profile fluent-ldm --prompts bench/evaluation/fit.txt --seeds 0 --steps $steps --solver dpmsolver++ $trailing --out $profile
adjust() { blockcache adjust fluent-ldm --schedule $work/schedule-$steps-$1.json --prompts bench/evaluation/fit.txt --terms $2 --out $work/$3-$steps-$1.safetensors; }
for delta in $deltas; do
  [ -f $work/schedule-$steps-$delta.json ] || blockcache schedule $profile --delta $delta --out $work/schedule-$steps-$delta.json
  adjust $delta scale,shift scale-shift
  adjust $delta scale,change,input_change,shift richest
done
node bench/evaluation/settings.mjs $steps $work > $work/settings-$steps.json

half=$((prompts / 2))
head -n $prompts bench/evaluation/evaluate.txt > $work/prompts.txt
head -n $half $work/prompts.txt > $work/choose.txt
tail -n +$((half + 1)) $work/prompts.txt > $work/report.txt
sed -n 29,44p bench/evaluation/evaluate.txt > $work/speed-prompts.txt
# Speeds are of 16 prompts, and worth something only while nothing else runs: two minutes.
[ -n "$WITHOUT_SPEED" ] || evaluate --prompts $work/speed-prompts.txt --metrics clip-score --out $work/speed-$steps
# Pictures are made once, and measured beside each baseline.
table=$work/table-$steps
evaluate --prompts $work/prompts.txt --metrics clip-score --out $table
node bench/evaluation/half.mjs $table $half $table-report
for baseline in plain-$steps plain-$shorter; do
  for part in whole choose report; do
    case $part in whole) list=prompts; folder=$table;; choose) list=choose; folder=$table;; report) list=report; folder=$table-report;; esac
    evaluate --prompts $work/$list.txt --metrics frechet,clip-score,latent,psnr,ssim --baseline $baseline --out $folder
    cp $folder/evaluation.json $work/$part-$steps-$baseline.json
    [ -n "$WITHOUT_SPEED" ] && continue
    evaluate --prompts $work/speed-prompts.txt --metrics clip-score --baseline $baseline --out $work/speed-$steps
    result=bench/results/evaluation-$steps-beside-$baseline
    [ $part = whole ] || result=$result-$part
    node bench/evaluation/speeds.mjs $work/$part-$steps-$baseline.json $work/speed-$steps $result.json > $result.md
  done
done
