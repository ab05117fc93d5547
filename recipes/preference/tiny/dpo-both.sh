#!/usr/bin/env bash
# DPO of the agent and of the fine-tuned instruct model, then merge: both learn from preference pairs, then they are merged. Reference models: each itself before DPO.
# Needs: a CPU, in the folder that recipes/demo.sh made, and a dataset built with --preferences. Makes: merged/dpo-both.
# A finished run is not repeated, and an interrupted one continues. DRY_RUN=1 prints the commands.
set -euo pipefail
recipes=$(cd "$(dirname "$0")/../.." && pwd)
run() { if [[ -n "${DRY_RUN:-}" ]]; then printf '%q ' "$@" && echo; else "$@"; fi; }
launch=(run accelerate launch -q --config_file "$recipes/accelerate/cpu.yaml")

"${launch[@]}" "$recipes/sft.py" --config "$recipes/sft/tiny/base-all.yaml"
"${launch[@]}" "$recipes/sft.py" --config "$recipes/sft/tiny/instruct-all.yaml"
"${launch[@]}" "$recipes/preference.py" --config "$recipes/preference/tiny/agent.yaml"
"${launch[@]}" "$recipes/preference.py" --config "$recipes/preference/tiny/instruct.yaml"
run agentmerge merge "$recipes/merge/tiny/agentmerge.yml" -o merged/dpo-both --set "agent=./runs/tiny-agent-dpo" --set "instruct=./runs/tiny-instruct-dpo"
