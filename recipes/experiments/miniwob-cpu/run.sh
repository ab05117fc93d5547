#!/usr/bin/env bash
# AgentMerge against its rivals with a pretrained model on a laptop's CPU: MiniWoB, gemma-3-270m, two learning rates, two seeds.
# About 4½ hours on two cores with AVX2, 10 GB of memory, 45 GB of disk in WORK. It can be stopped and started again: it continues.
#   pip install --no-deps -r recipes/experiments/miniwob-cpu/requirements.txt
#   INSTRUCTIONS="a.json b.jsonl" recipes/experiments/miniwob-cpu/run.sh WORK
# With HUB=1 the pair is SmolLM2-135M and its Instruct from the Hub, no instruct model is made, and transformers serves.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
recipes=$(cd "$here/../.." && pwd)
shared=$recipes/experiments/miniwob-270m
mkdir -p "${1:?name a folder to work in}" && cd "$1"
export OMP_WAIT_POLICY=passive GOMP_SPINCOUNT=0 TOKENIZERS_PARALLELISM=true

rates="0.0001 0.0003"
replay_rate=0.0003
seeds="0 1"
lambdas=0.3,0.5,0.7
halfway=checkpoint-48 # of the 96 steps of sft.yaml

say() { printf '\n\033[1m%s  %s\033[0m\n' "$(date +%H:%M)" "$*"; }
sft() {
  accelerate launch -q --config_file "$recipes/accelerate/cpu.yaml" --num_cpu_threads_per_process "$1" "$recipes/sft.py" \
    --config "${@:2}"
}
# train NAME MODEL RATE SEED [OPTIONS]: fine-tunes models/MODEL into runs/NAME-lrRATE-seedSEED.
train() {
  sft 1 "$here/sft.yaml" --output_dir "runs/$1-lr$3-seed$4" --model_name_or_path "models/$2" --learning_rate "$3" --seed "$4" \
    ${HUB:+--instruct_rows "<|im_start|>" "<|im_end|>"} "${@:5}"
}
# llama.cpp serves the packaged pair, whose GGUF files to_gguf.py can write; transformers any other.
to_gguf() { [[ -n "${HUB:-}" ]] || python "$shared/to_gguf.py" models/base "$@"; }
study() { sed -e '' ${HUB:+-e 's/^engine: .*/engine: transformers/' -e '/^engine_arguments:/d'} "$here/$1"; }
export -f sft train
export here recipes shared

say "1/7 models: a pretrained base and its instruct model"
if [[ -n "${HUB:-}" ]]; then
  [[ -d models/base ]] || hf download HuggingFaceTB/SmolLM2-135M --local-dir models/base
  [[ -d models/instruct ]] || hf download HuggingFaceTB/SmolLM2-135M-Instruct --local-dir models/instruct
else
  export HF_HUB_OFFLINE=1
  python "$shared/gemma.py" models/base
fi
# shellcheck disable=SC2086 # several files
python "$shared/instruction_files.py" instructions ${INSTRUCTIONS:?name JSON files of instruction, input and output}
[[ -n "${HUB:-}" ]] || sft 2 "$here/instruct.yaml"

say "2/7 collect: 2,160 episodes of the scripted expert in Chromium"
agentmerge collect "$recipes/collect/miniwob.yaml" -o traces

say "3/7 build: short prompts, with and without chain of thought"
# Of the expert's two agents the one that may give several actions at once: an episode then takes fewer answers.
agentmerge build traces -o miniwob-traces --tokenizer models/instruct --window 448 --answer 96 --rebuild-prompts \
  --agent expert-advanced --flag multi_actions=true --flag action_space=miniwob --flag brief_action_space=true \
  --flag brief_instructions=true --flag use_focused_element=false --flag use_think_history=false \
  --flag extract_visible_tag=false --flag extract_clickable_tag=false --hold-out-task miniwob.choose-date \
  --hold-out-task miniwob.choose-date-easy --hold-out-task miniwob.choose-date-medium --hold-out-task miniwob.choose-date-nodelay

say "4/7 train: two runs at a time with one thread each, which takes less time than one run with two threads"
for seed in $seeds; do
  for rate in $rates; do
    echo "train agent base $rate $seed"
    echo "train instruct instruct $rate $seed"
  done
  echo "train replay instruct $replay_rate $seed --replay_dataset instructions --replay_ratio 0.25"
done | xargs -P 2 -I{} bash -euo pipefail -c "{}"

for seed in $seeds; do
  for rate in $rates; do
    name=lr$rate-seed$seed
    say "5/7 merge: $name, at the end and halfway"
    merge=(agentmerge sweep "$recipes/merge/agentmerge.yml" -o "merged/$name" --lambda "$lambdas" --quick
      --set base=./models/base --set instruct=./models/instruct)
    "${merge[@]}" --set "agent=./runs/agent-$name"
    "${merge[@]}" --checkpoints "runs/agent-$name/$halfway"
  done
done
for rate in $rates; do
  agentmerge merge "$recipes/merge/model_soup.yml" -o "merged/soup-lr$rate" --quick \
    --set "first=./runs/instruct-lr$rate-seed0" --set "second=./runs/instruct-lr$rate-seed1"
done

export PATH="$shared:$PATH" # for llama-server
say "6/7 validate: episodes that choose λ at each learning rate"
to_gguf models/instruct runs/* merged/soup-* merged/lr*/lambda-*
study validation.yaml > validation.yaml
agentmerge evaluate validation.yaml -o validation

say "6/7 evaluate: new seeds of the training tasks, and new tasks"
study reported.yaml > episodes.yaml
chosen=(validation/results.parquet validation.yaml episodes.yaml)
python "$here/chosen.py" "${chosen[@]}" > reported.yaml
agentmerge evaluate reported.yaml -o results
say "6/7 evaluate, on new tasks: other λ, and halfway through training"
python "$here/chosen.py" --more "${chosen[@]}" > more.yaml
# shellcheck disable=SC2046 # folders, a line each
to_gguf $(sed -n 's/^ *path: //p' more.yaml)
agentmerge evaluate more.yaml -o more

say "7/7 analyse"
likelihoods=()
for file in runs/*/checkpoint-*/likelihood.parquet; do
  run=${file#runs/}
  likelihoods+=(--likelihood "runs-${run%%/*}=$file")
done
agentmerge analyse results more validation -o report --traces 0 "${likelihoods[@]}"
say "done: $PWD/report/report.html"
