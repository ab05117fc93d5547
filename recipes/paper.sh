#!/usr/bin/env bash
# The whole paper, from collecting on a WorkArena instance to the report, on 8 GPUs of 80 GB. Its twin on a laptop is demo.sh.
# Needs: SNOW_INSTANCE_URL, SNOW_INSTANCE_UNAME and SNOW_INSTANCE_PWD (or access to the instances on the Hub), endpoints that
# serve the experts (each recipe in recipes/collect says how; both at port 8000, one after the other, and before the training needs
# the GPUs), a Hub login for the Llama weights, the models that recipes/evaluate/workarena.yaml names, and 15 TB of disk for the
# checkpoints of 36 runs: 5 TB with save_total_limit: 1 in the recipes.
# Every stage can run alone, on another machine, or again: finished work is kept.
set -euo pipefail
cd "$(dirname "$0")/.."

# DRY_RUN=1 prints the commands instead of running them.
run() { if [[ -n "${DRY_RUN:-}" ]]; then printf '%s\n' "$*"; else "$@"; fi; }
say() { printf '\n# %s\n' "$*"; }
llama=meta-llama/Llama-3.1-8B-Instruct

say "1/6 collect: two experts act on WorkArena, with chain of thought and without"
run agentmerge collect recipes/collect/workarena-llama-3.1-70b.yaml -o traces/llama-3.1-70b
run agentmerge collect recipes/collect/workarena-mistral-large.yaml -o traces/mistral-large

say "2/6 build: keep the successes, fit prompts to the student's window, split, balance"
run agentmerge build traces/llama-3.1-70b traces/mistral-large -o workarena-traces --tokenizer $llama

say "3/6 train: two students x three datasets x three learning rates x two seeds"
agentmerge recipes expand sft/llama-3.1-8b/sweep.yaml | while read -r line; do
  run $line </dev/null # shellcheck disable=SC2086 # a launch line is several words
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
