#!/usr/bin/env bash
# The three orders of preference optimization and merging, side by side: orders.sh ORDER [tiny|llama-3.1-8b]
#   merge-dpo  SFT → merge → DPO: the merged model learns from pairs; the reference is the merged model.
#   dpo-merge  SFT → DPO → merge: the agent learns from pairs (reference: the agent), then it is merged with the instruct model.
#   dpo-both   SFT → DPO of the agent and of the fine-tuned instruct model (reference: each itself), then both are merged.
# tiny (default): a CPU, in the folder that recipes/demo.sh made. llama-3.1-8b: 8 GPUs, after the training stage of recipes/paper.sh.
# Both need a dataset built with --preferences.
set -euo pipefail
recipes=${RECIPES:-$(cd "$(dirname "$0")/.." && pwd)}
order=${1:?orders.sh ORDER [tiny|llama-3.1-8b], ORDER: merge-dpo, dpo-merge or dpo-both} size=${2:-tiny}
case $size in
  tiny) accelerate=cpu spec=$recipes/merge/tiny/agentmerge.yml base=tiny ;;
  llama-3.1-8b) accelerate=fsdp spec=$recipes/merge/agentmerge.yml base=llama-3.1-8b ;;
  *) echo "no size $size: tiny or llama-3.1-8b" >&2; exit 1 ;;
esac
# DRY_RUN=1 prints the commands instead of running them.
run() { if [[ -n "${DRY_RUN:-}" ]]; then printf '%s\n' "$*"; else "$@"; fi; }
dpo() {
  run accelerate launch -q --config_file "$recipes/accelerate/$accelerate.yaml" "$recipes/preference.py" \
    --config "$recipes/preference/$size/$1.yaml" "${@:2}"
}
merge() { run agentmerge merge "$spec" "$@"; }

case $order in
  merge-dpo)
    [ -e merged/agentmerge ] || merge -o merged/agentmerge
    dpo merged ;;
  dpo-merge)
    dpo agent
    merge -o merged/dpo-merge --set "agent=./runs/$base-agent-dpo" ;;
  dpo-both)
    dpo agent
    dpo instruct
    merge -o merged/dpo-both --set "agent=./runs/$base-agent-dpo" --set "instruct=./runs/$base-instruct-dpo" ;;
  *) echo "no order $order: merge-dpo, dpo-merge or dpo-both" >&2; exit 1 ;;
esac
