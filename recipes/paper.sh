#!/usr/bin/env bash
# The whole paper, from collecting on a WorkArena instance to the report, on 8 GPUs of 80 GB. Its twin on a laptop is demo.sh.
# Needs: SNOW_INSTANCE_URL, SNOW_INSTANCE_UNAME and SNOW_INSTANCE_PWD (or access to the instances on the Hub), vLLM on the PATH, a
# Hub login for the weights of the experts and of Llama, the models that recipes/evaluate/workarena.yaml names, and 15 TB of disk
# for the checkpoints of 36 runs: 5 TB with save_total_limit: 1 in the recipes.
# The experts are served here, one after the other, each on all GPUs and only while it collects. If you serve them yourself (the
# head of each recipe in recipes/collect says how and where), set EXPERTS_SERVED=1.
# Every stage can run alone, on another machine, or again: finished work is kept.
set -euo pipefail
cd "$(dirname "$0")/.."

# DRY_RUN=1 prints the commands instead of running them.
run() { if [[ -n "${DRY_RUN:-}" ]]; then printf '%q ' "$@" && echo; else "$@"; fi; }
say() { printf '\n# %s\n' "$*"; }
llama=meta-llama/Llama-3.1-8B-Instruct

# collect RECIPE OUT MODEL: serve the expert at the port that its recipe names, collect, and stop the server, whose memory the training
# needs. A finished collection is kept.
server=""
stop_server() { if [[ -n "$server" ]]; then kill "$server" 2>/dev/null || true; wait "$server" || true; server=""; fi; }
trap stop_server EXIT
collect() {
  local port serve
  port=$(sed -nE 's/^endpoint:.*:([0-9]+).*/\1/p' "$1")
  serve=(vllm serve "$3" --tensor-parallel-size 8 --host 127.0.0.1 --port "$port")
  [[ ! -f "$2/manifest.json" ]] || return 0
  if [[ -n "${DRY_RUN:-}" && -z "${EXPERTS_SERVED:-}" ]]; then
    run "${serve[@]}"
  elif [[ -z "${EXPERTS_SERVED:-}" ]]; then
    mkdir -p traces
    "${serve[@]}" >"$2-server.log" 2>&1 &
    server=$!
    until python3 -c "from urllib.request import urlopen; urlopen('http://127.0.0.1:$port/health', timeout=5)" 2>/dev/null; do
      kill -0 "$server" 2>/dev/null || { echo "Error: vllm ended: $(pwd)/$2-server.log says why" >&2; exit 1; }
      sleep 1
    done
  fi
  run agentmerge collect "$1" -o "$2"
  stop_server
}

say "1/6 collect: two experts act on WorkArena, with chain of thought and without"
collect recipes/collect/workarena-llama-3.1-70b.yaml traces/llama-3.1-70b meta-llama/Llama-3.1-70B-Instruct
collect recipes/collect/workarena-mistral-large.yaml traces/mistral-large mistralai/Mistral-Large-Instruct-2407

say "2/6 build: keep the successes, fit prompts to the student's window, split, balance"
run agentmerge build traces/llama-3.1-70b traces/mistral-large -o workarena-traces --tokenizer "$llama"

say "3/6 train: two students x three datasets x three learning rates x two seeds"
agentmerge recipes expand recipes/sft/llama-3.1-8b/sweep.yaml | while read -r line; do
  eval "run $line" </dev/null # its words are quoted for a shell
done

say "4/6 merge: AgentMerge for every learning rate and seed, and the model soup"
for rate in 1e-06 5e-06 1e-05; do
  for seed in 0 1; do
    run agentmerge merge recipes/merge/agentmerge.yml -o "merged/agentmerge-lr$rate-seed$seed" \
      --set "agent=./runs/llama-3.1-8b-base-all-lr$rate-seed$seed"
  done
done
run agentmerge merge recipes/merge/model_soup.yml -o merged/model_soup
run agentmerge sweep recipes/merge/agentmerge.yml -o merged/sweep --lambda 0.1:0.9:0.2 \
  --checkpoints 'runs/llama-3.1-8b-base-all-lr5e-06-seed0/checkpoint-*'

say "5/6 evaluate: unseen seeds of the training tasks, and unseen tasks"
run agentmerge evaluate recipes/evaluate/workarena.yaml -o results

say "6/6 analyse: the table with its errors, the figures, the report"
run agentmerge analyse results -o report
