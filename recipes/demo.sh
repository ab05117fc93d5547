#!/usr/bin/env bash
# The whole of AgentMerge on a laptop CPU, offline, in about 15 minutes. Its twin for 8 GPUs and an instance is paper.sh.
# Everything is written to demo-out/. Run it again to continue: finished episodes, models and runs are kept.
# demo.sh --preferences: the merged model also learns from preference pairs (DPO), which takes 5 minutes more; the report's error
# analysis then has the rates of invalid bids and of copied examples before (AgentMerge) and after (agentmerge-dpo).
set -euo pipefail
case "${1:-}" in
  "") preferences="" evaluate=demo ;;
  --preferences) preferences=--preferences evaluate=demo-preferences ;;
  *) echo "demo.sh has no option $1: the only one is --preferences" >&2; exit 1 ;;
esac
cd "$(dirname "$0")/.." && mkdir -p demo-out && cd demo-out
if [ -d runs/tiny-merged-dpo ]; then preferences=--preferences evaluate=demo-preferences; fi # results are not continued with fewer models

export HF_HUB_OFFLINE=1 OMP_WAIT_POLICY=passive GOMP_SPINCOUNT=0
recipes=../recipes
launch() { accelerate launch -q --config_file "$recipes/accelerate/cpu.yaml" "$@"; }
say() { printf '\n\033[1m%d:%02d  %s\033[0m\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*"; }

say "1/6 collect: a scripted expert solves MiniWoB tasks in Chromium, with chain of thought and without"
agentmerge collect "$recipes/collect/demo.yaml" -o traces

say "2/6 build: traces become a dataset that load_dataset reads"
[ -f pair/instruct/manifest.json ] || agentmerge tiny-pair -o pair
agentmerge build traces -o workarena-traces --tokenizer pair/instruct --window 1024 --answer 128 --keep-duplicates 20 \
  ${preferences:+"$preferences"}

say "3/6 train: the base model becomes the agent; the instruct model is the baseline"
launch "$recipes/sft.py" --config "$recipes/sft/tiny/base-all.yaml"
launch "$recipes/sft.py" --config "$recipes/sft/tiny/instruct-all.yaml"

say "4/6 merge: base + λ(agent − base) + (1 − λ)(instruct − base)"
rm -rf merged/agentmerge && began=$(date +%s)
mergekit-yaml "$recipes/merge/tiny/agentmerge.yml" merged/agentmerge
agentmerge verify merged/agentmerge --began "$began"

if [[ -n "$preferences" ]]; then
  say "4/6 prefer: the merged model learns to prefer expert answers over worse ones; the reference is the merged model itself"
  launch "$recipes/preference.py" --config "$recipes/preference/tiny/merged.yaml"
fi

say "5/6 evaluate: the served models act in Chromium on seeds and tasks they have not seen"
agentmerge evaluate "$recipes/evaluate/$evaluate.yaml" -o results

say "6/6 analyse: the table and the report"
agentmerge analyse results -o report
say "done: open demo-out/report/report.html"
