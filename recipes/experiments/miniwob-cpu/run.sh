#!/usr/bin/env bash
# AgentMerge against its rivals with a pretrained model on a laptop's CPU: MiniWoB, gemma-3-270m, two learning rates, two seeds.
# About 9 hours on two cores, 10 GB of memory, 45 GB of disk in WORK. Stop it whenever you like and start it again: it goes on.
#   pip install --no-deps -r recipes/experiments/miniwob-cpu/requirements.txt
#   INSTRUCTIONS="a.json b.jsonl" recipes/experiments/miniwob-cpu/run.sh WORK
# With HUB=1 the pair is SmolLM2-135M and its Instruct from the Hub, and no instruct model is made.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
recipes=$(cd "$here/../.." && pwd)
mkdir -p "${1:?name a folder to work in}" && cd "$1"
export OMP_WAIT_POLICY=passive GOMP_SPINCOUNT=0 TOKENIZERS_PARALLELISM=true

rates="0.0001 0.0003"
seeds="0 1"
lambdas=0.3,0.5,0.7

say() { printf '\n\033[1m%s  %s\033[0m\n' "$(date +%H:%M)" "$*"; }
sft() { accelerate launch -q --config_file "$recipes/accelerate/cpu.yaml" "$recipes/sft.py" --config "$@"; }

say "1/7 models: a pretrained base and its instruct model"
if [[ -n "${HUB:-}" ]]; then
  [[ -d models/base ]] || hf download HuggingFaceTB/SmolLM2-135M --local-dir models/base
  [[ -d models/instruct ]] || hf download HuggingFaceTB/SmolLM2-135M-Instruct --local-dir models/instruct
else
  export HF_HUB_OFFLINE=1
  python "$here/gemma.py" models/base
fi
# shellcheck disable=SC2086 # several files
python "$here/instructions.py" instructions ${INSTRUCTIONS:?name JSON files of instruction, input and output}
[[ -n "${HUB:-}" ]] || sft "$here/instruct.yaml"

say "2/7 collect: 2,160 episodes of the scripted expert in Chromium"
agentmerge collect "$recipes/collect/miniwob.yaml" -o traces

say "3/7 build: short prompts, with and without chain of thought"
agentmerge build traces -o miniwob-traces --tokenizer models/instruct --window 576 --answer 96 --rebuild-prompts \
  --flag action_space=miniwob --flag brief_action_space=true --flag use_focused_element=false --flag use_think_history=false \
  --flag extract_visible_tag=false --flag extract_clickable_tag=false --hold-out-task miniwob.choose-date \
  --hold-out-task miniwob.choose-date-easy --hold-out-task miniwob.choose-date-medium --hold-out-task miniwob.choose-date-nodelay

for seed in $seeds; do
  for rate in $rates; do
    name=lr$rate-seed$seed
    say "4/7 train and merge: $name"
    values=(--learning_rate "$rate" --seed "$seed")
    sft "$here/sft.yaml" --model_name_or_path models/base --output_dir "runs/agent-$name" "${values[@]}"
    sft "$here/sft.yaml" --model_name_or_path models/instruct --output_dir "runs/instruct-$name" "${values[@]}"
    sft "$here/sft.yaml" --model_name_or_path models/instruct --output_dir "runs/replay-$name" "${values[@]}" \
      --replay_dataset instructions --replay_ratio 0.25
    agentmerge sweep "$recipes/merge/agentmerge.yml" -o "merged/$name" --lambda $lambdas \
      --set base=./models/base --set instruct=./models/instruct --set "agent=./runs/agent-$name"
  done
done
for rate in $rates; do
  agentmerge merge "$recipes/merge/model_soup.yml" -o "merged/soup-lr$rate" \
    --set "first=./runs/instruct-lr$rate-seed0" --set "second=./runs/instruct-lr$rate-seed1"
done

say "5/7 validate: episodes that choose each method's learning rate and λ"
agentmerge evaluate "$here/validation.yaml" -o validation

say "6/7 evaluate: new seeds of the training tasks, and new tasks"
python "$here/chosen.py" validation/results.parquet "$here/validation.yaml" "$here/reported.yaml" > reported.yaml
agentmerge evaluate reported.yaml -o results

say "7/7 analyse"
agentmerge analyse results -o report
say "done: $PWD/report/report.html"
