#!/usr/bin/env bash
# Up to the gate: the data, the base and instruct models, and what the instruct model can do before anything is compared.
#   pip install --no-deps -r recipes/experiments/miniwob-270m/requirements.txt
#   INSTRUCTIONS="a.json b.jsonl" recipes/experiments/miniwob-270m/run.sh WORK [STAGE …]
# Without a stage all of them run, in this order; each can be stopped and started again: it continues.
#   data       instructions, 2,960 episodes of the scripted expert, the base model, both datasets     20 min on two cores
#   instruct   the instruct model                                                                     5 min on a GPU
#   gate       93 episodes of the instruct model                                                      6 min on two cores
#   rates      the instruct model fine-tuned at three learning rates, and episodes that choose one
# The stages of a GPU can run on another machine: copy WORK/models, WORK/instruct-data and WORK/agent-traces there and WORK/deltas
# back.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
recipes=$(cd "$here/../.." && pwd)
mkdir -p "${1:?name a folder to work in}" && cd "$1" && shift
export OMP_WAIT_POLICY=passive GOMP_SPINCOUNT=0 TOKENIZERS_PARALLELISM=true HF_HUB_OFFLINE=1
export PATH="$here:$PATH" # for llama-server

rates="0.00003 0.0001 0.0003"
at_once=${AT_ONCE:-4} # training runs that share the GPU

say() { printf '\n\033[1m%s  %s\033[0m\n' "$(date +%H:%M:%S)" "$*"; }
# sft OUT OPTIONS: fine-tunes into runs/OUT, keeps what changed in deltas/OUT.safetensors, and makes models/OUT of that.
sft() {
  [[ -f deltas/$1.safetensors ]] || {
    python "$recipes/sft.py" "${@:3}" --output_dir "runs/$1" > "runs/$1.log" 2>&1 || { tail -5 "runs/$1.log"; return 1; }
    python "$here/deltas.py" encode "models/$2" "runs/$1" "deltas/$1.safetensors"
    rm -r "runs/${1:?}"
  }
}
# train NAME MODEL RATE SEED [OPTIONS]: fine-tunes models/MODEL on the traces.
train() { sft "$1-lr$3-seed$4" "$2" --config "$here/sft.yaml" --model_name_or_path "models/$2" --learning_rate "$3" --seed "$4" "${@:5}"; }
# Pages of the easiest tasks are equal at many seeds: 20 equal samples are kept, so that no task is lost.
build() { [[ -d $2 ]] || agentmerge build "$1" -o "$2" --tokenizer models/base --window 2048 --answer 128 --inter-share 0.03 --keep-duplicates 20; }
export -f sft train
export here recipes

stage_data() {
  say "data: instructions, traces, the base model"
  # shellcheck disable=SC2086 # several files
  python "$here/instructions.py" instructions ${INSTRUCTIONS:?name JSON files of instruction, input and output}
  agentmerge collect "$here/collect-instruct.yaml" -o traces-instruct
  agentmerge collect "$here/collect-agent.yaml" -o traces-agent
  python "$here/grounding.py" grounding instructions/train.parquet
  python "$here/gemma.py" models/base instructions/train.parquet
  build traces-instruct instruct-traces
  build traces-agent agent-traces
  python "$here/mix.py" instruct-data instructions/train.parquet grounding/train.parquet instruct-traces
}

stage_instruct() {
  say "instruct: the base model on instructions and the first group's traces"
  mkdir -p runs deltas
  sft instruct base --config "$here/instruct.yaml"
  python "$here/deltas.py" decode models/base deltas/instruct.safetensors models/instruct
}

stage_gate() {
  say "gate: what the instruct model can do"
  python "$here/to_gguf.py" models/base models/instruct
  agentmerge evaluate "$here/gate.yaml" -o gate
}

stage_rates() {
  say "rates: the instruct model fine-tuned at $rates"
  for rate in $rates; do echo "train instruct instruct $rate 100"; done | xargs -P "$at_once" -I{} bash -euo pipefail -c "{}"
  for rate in $rates; do
    python "$here/deltas.py" decode models/instruct "deltas/instruct-lr$rate-seed100.safetensors" "models/instruct-lr$rate-seed100"
  done
  python "$here/to_gguf.py" models/base models/instruct-lr*
  agentmerge evaluate "$here/validation.yaml" -o validation
}

for stage in "${@:-data instruct gate rates}"; do
  for name in $stage; do "stage_$name"; done
done
