#!/usr/bin/env bash
# SFT → DPO → merge: the agent learns from preference pairs, then it is merged with the instruct model. Reference model: the agent before DPO.
# Needs: a CPU, in the folder that recipes/demo.sh made, and a dataset built with --preferences. Makes: merged/dpo-merge.
# A finished run is not repeated, and an interrupted one continues. DRY_RUN=1 prints the commands.
set -euo pipefail
recipes=$(cd "$(dirname "$0")/../.." && pwd)
run() { if [[ -n "${DRY_RUN:-}" ]]; then printf '%q ' "$@" && echo; else "$@"; fi; }
launch=(run accelerate launch -q --config_file "$recipes/accelerate/cpu.yaml")

"${launch[@]}" "$recipes/sft.py" --config "$recipes/sft/tiny/base-all.yaml"
"${launch[@]}" "$recipes/preference.py" --config "$recipes/preference/tiny/agent.yaml"
run agentmerge merge "$recipes/merge/tiny/agentmerge.yml" -o merged/dpo-merge --set "agent=./runs/tiny-agent-dpo"
