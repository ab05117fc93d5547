#!/usr/bin/env bash
# SFT → merge → DPO: the merged model learns from preference pairs. Reference model: the merged model before DPO.
# Needs: a CPU, in the folder that recipes/demo.sh made, and a dataset built with --preferences. Makes: runs/tiny-merged-dpo.
# A finished run is not repeated, and an interrupted one continues. DRY_RUN=1 prints the commands.
set -euo pipefail
recipes=$(cd "$(dirname "$0")/../.." && pwd)
run() { if [[ -n "${DRY_RUN:-}" ]]; then printf '%q ' "$@" && echo; else "$@"; fi; }
launch=(run accelerate launch -q --config_file "$recipes/accelerate/cpu.yaml")

"${launch[@]}" "$recipes/sft.py" --config "$recipes/sft/tiny/base-all.yaml"
run agentmerge merge "$recipes/merge/tiny/agentmerge.yml" -o merged/agentmerge
"${launch[@]}" "$recipes/preference.py" --config "$recipes/preference/tiny/merged.yaml"
