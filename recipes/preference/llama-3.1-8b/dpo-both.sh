#!/usr/bin/env bash
# DPO of the agent and of the fine-tuned instruct model, then merge: both learn from preference pairs, then they are merged. Reference models: each itself before DPO.
# Needs: 8 GPUs of 80 GB and a dataset built with --preferences. Not run by us yet. Makes: merged/dpo-both.
# A finished run is not repeated, and an interrupted one continues. DRY_RUN=1 prints the commands.
set -euo pipefail
recipes=$(cd "$(dirname "$0")/../.." && pwd)
run() { if [[ -n "${DRY_RUN:-}" ]]; then printf '%q ' "$@" && echo; else "$@"; fi; }
launch=(run accelerate launch -q --config_file "$recipes/accelerate/fsdp.yaml")

"${launch[@]}" "$recipes/sft.py" --config "$recipes/sft/llama-3.1-8b/base-all.yaml"
"${launch[@]}" "$recipes/sft.py" --config "$recipes/sft/llama-3.1-8b/instruct-all.yaml"
"${launch[@]}" "$recipes/preference.py" --config "$recipes/preference/llama-3.1-8b/agent.yaml"
"${launch[@]}" "$recipes/preference.py" --config "$recipes/preference/llama-3.1-8b/instruct.yaml"
run agentmerge merge "$recipes/merge/agentmerge.yml" -o merged/dpo-both --set "agent=./runs/llama-3.1-8b-agent-dpo" --set "instruct=./runs/llama-3.1-8b-instruct-dpo"
