#!/usr/bin/env bash
# SFT → merge → DPO: the merged model learns from preference pairs. Reference model: the merged model before DPO.
# Needs: 8 GPUs of 80 GB and a dataset built with --preferences. Not run by us yet. Makes: runs/llama-3.1-8b-merged-dpo.
# A finished run is not repeated, and an interrupted one continues. DRY_RUN=1 prints the commands.
set -euo pipefail
recipes=$(cd "$(dirname "$0")/../.." && pwd)
run() { if [[ -n "${DRY_RUN:-}" ]]; then printf '%q ' "$@" && echo; else "$@"; fi; }
launch=(run accelerate launch -q --config_file "$recipes/accelerate/fsdp.yaml")

"${launch[@]}" "$recipes/sft.py" --config "$recipes/sft/llama-3.1-8b/base-all.yaml"
run agentmerge merge "$recipes/merge/agentmerge.yml" -o merged/agentmerge
"${launch[@]}" "$recipes/preference.py" --config "$recipes/preference/llama-3.1-8b/merged.yaml"
