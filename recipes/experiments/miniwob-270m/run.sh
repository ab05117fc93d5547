#!/usr/bin/env bash
# The whole experiment: data, models, gate, training runs of every method, merges, episodes, the report that plan.yml judges.
#   pip install --no-deps -r recipes/experiments/miniwob-270m/requirements.txt
#   INSTRUCTIONS="a.json b.jsonl" recipes/experiments/miniwob-270m/run.sh WORK [STAGE …]
# Without a stage all of them run, in this order; each can be stopped and started again: it continues.
#   data       instructions, 2,960 episodes of the scripted expert, the base model, both datasets     20 min on two cores
#   instruct   the instruct model                                          5 min on a GPU, seconds on a CPU, which has its adapter
#   gate       97 episodes of the instruct model                                                      6 min on two cores
#   rates      the instruct model fine-tuned at three learning rates, and episodes that choose one
#   arms       the training runs of the contrast that plan.yml names: eight seeds of two models        minutes on a GPU
#   merges     AgentMerge, WiSE-FT and soups of the runs, and λ chosen by validation episodes
#   primary    that contrast: after four runs a look, then the other four
#   secondary  replay and λ that is learned, eight seeds of each
#   others     the other methods, and what every model keeps of what it could do
#   report     analyse, with the plan
# Nothing after the gate is run if the gate is not passed. SEEDS="0 1 2 3" makes the runs and merges of the first look alone.
# The stages of a GPU can run on another machine: copy WORK/models, WORK/instruct-data and WORK/agent-traces there and WORK/deltas
# back. GRID=cpu is for a machine without one: fewer samples, the lower half of the layers frozen in every run alike; a training run
# takes a quarter of an hour on two cores with AVX-512-BF16. Its instruct model is made of the adapter in instruct-cpu/, which
# INSTRUCT=train trains anew in WORK, in an hour and a half.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
recipes=$(cd "$here/../.." && pwd)
mkdir -p "${1:?name a folder to work in}" && cd "$1" && shift
export OMP_WAIT_POLICY=passive GOMP_SPINCOUNT=0 TOKENIZERS_PARALLELISM=true HF_HUB_OFFLINE=1
export PATH="$here:$PATH" # for llama-server

rates="0.00003 0.0001 0.0003"
seeds=${SEEDS:-0 1 2 3 4 5 6 7}
lambdas=0.3,0.5,0.7
grid=${GRID:-gpu}
case $grid in
  gpu) sft_recipe=sft.yaml at_once=${AT_ONCE:-4} pages=24000 ;; # training runs that share the GPU
  cpu) sft_recipe=sft-cpu.yaml at_once=${AT_ONCE:-1} pages=12000 ;;
  *) echo "GRID is $grid: it is gpu or cpu" >&2 && exit 2 ;;
esac

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
train() { sft "$1-lr$3-seed$4" "$2" --config "$here/$sft_recipe" --model_name_or_path "models/$2" --learning_rate "$3" --seed "$4" "${@:5}"; }
# Pages of the easiest tasks are equal at many seeds: 20 equal samples are kept, so that no task is lost.
build() {
  [[ -d $2 ]] || agentmerge build "$1" -o "$2" --tokenizer models/base --window 2048 --answer 128 --inter-share 0.03 \
    --keep-duplicates 20 "${@:3}"
}
# decode MODEL DELTA…: makes models/NAME of what deltas/NAME.safetensors changed in models/MODEL.
decode() { for name in "${@:2}"; do python "$here/deltas.py" decode "models/$1" "deltas/$name.safetensors" "models/$name"; done; }
# pair RATE SEED: the models that AgentMerge merges.
pair() { pair=(--set base=./models/base --set instruct=./models/instruct --set "agent=./models/agent-lr$1-seed$2"); }
# merge SPEC OUT OPTIONS: a merge of recipes/merge, kept if it is there.
merge() { [[ -d $2 ]] || agentmerge merge "$recipes/merge/$1.yml" -o "$2" --quick "${@:3}"; }
parallel() { xargs -P "$at_once" -I{} bash -euo pipefail -c "{}"; }
export -f sft train
export here recipes sft_recipe

stage_data() {
  say "data: instructions, traces, the base model"
  # shellcheck disable=SC2086 # several files
  python "$here/instructions.py" instructions ${INSTRUCTIONS:?name JSON files of instruction, input and output}
  agentmerge collect "$here/collect-instruct.yaml" -o traces-instruct
  agentmerge collect "$here/collect-agent.yaml" -o traces-agent
  python "$here/grounding.py" grounding instructions/train.parquet "$pages" 0.5
  python "$here/gemma.py" models/base instructions/train.parquet
  build traces-instruct instruct-traces
  # λ is tuned on tasks that no model is trained on.
  build traces-agent agent-traces --validation-task miniwob.choose-date --validation-task miniwob.choose-date-easy \
    --validation-task miniwob.choose-date-medium --validation-task miniwob.choose-date-nodelay
  python "$here/mix.py" instruct-data models/base instructions/train.parquet grounding/train.parquet instruct-traces "$grid"
}

stage_instruct() {
  say "instruct: the base model on instructions and the first group's traces"
  mkdir -p runs deltas
  if [[ $grid == gpu ]]; then
    sft instruct base --config "$here/instruct.yaml"
    decode base instruct
  else
    adapter=$here/instruct-cpu
    if [[ ${INSTRUCT:-kept} == train ]]; then
      adapter=$PWD/instruct-cpu
      [[ -d $adapter ]] || {
        python "$recipes/sft.py" --config "$here/instruct-cpu.yaml"
        python "$here/adapter.py" runs/instruct/adapter models/base instruct-cpu
      }
    fi
    merge ../experiments/miniwob-270m/instruct-cpu models/instruct --set "instruct=./models/base+$adapter"
  fi
}

stage_gate() {
  say "gate: what the instruct model can do"
  python "$here/to_gguf.py" models/base models/instruct
  agentmerge evaluate "$here/gate.yaml" -o gate
  python "$here/gate.py" gate/results.parquet
}

stage_rates() {
  say "rates: the instruct model fine-tuned at $rates"
  mkdir -p runs deltas
  for rate in $rates; do echo "train instruct instruct $rate 100"; done | parallel
  for rate in $rates; do decode instruct "instruct-lr$rate-seed100"; done
  python "$here/to_gguf.py" models/base models/instruct-lr*-seed100
  agentmerge evaluate "$here/validation.yaml" -o validation
  python "$here/choose.py" validation/results.parquet learning_rate > rate.part && mv rate.part rate
}

stage_arms() {
  rate=$(cat rate)
  say "arms: two models of each of the seeds $seeds at learning rate $rate"
  for seed in $seeds; do
    echo "train agent base $rate $seed"
    echo "train instruct instruct $rate $seed"
  done | parallel
}

stage_merges() {
  rate=$(cat rate)
  say "merges: of the runs at learning rate $rate"
  for seed in $seeds; do
    run=lr$rate-seed$seed
    decode base "agent-$run"
    decode instruct "instruct-$run"
    pair "$rate" "$seed"
    agentmerge sweep "$recipes/merge/agentmerge.yml" -o "merged/agentmerge-seed$seed" --lambda "$lambdas" --quick "${pair[@]}"
    merge wise_ft "merged/wise-ft-seed$seed" --set instruct=./models/instruct --set "tuned=./models/instruct-$run"
    # Disjoint pairs: soups that share no run.
    if ((seed % 2)); then
      merge model_soup "merged/soup-$((seed / 2))" --set "first=./models/instruct-lr$rate-seed$((seed - 1))" \
        --set "second=./models/instruct-$run"
    fi
  done
  python "$here/to_gguf.py" models/base models/*-lr"$rate"-seed* merged/{wise-ft,soup}-* merged/agentmerge-*/lambda-*
  agentmerge evaluate "$here/lambda.yaml" -o lambda-validation
  python "$here/choose.py" lambda-validation/results.parquet merge_lambda > lambda.part && mv lambda.part lambda
}

stage_primary() {
  say "primary: AgentMerge at λ ½ against instruct-fine-tuned on the 63 test tasks, four runs"
  agentmerge evaluate "$here/primary.yaml" -o primary
  agentmerge analyse primary -o report/look-1 --plan "$here/plan.yml" --traces 0
  decision=$(python "$here/look.py" report/look-1/comparisons.csv "$here/plan.yml")
  echo "$decision"
  if [[ $decision == "go on"* ]]; then
    say "primary: the other four runs"
    sed -e 's/\[0-3\]/[4-7]/' -e 's/^name: primary$/name: primary-2/' "$here/primary.yaml" > primary-2.yaml
    agentmerge evaluate primary-2.yaml -o primary-2
    agentmerge analyse primary primary-2 -o report/primary --plan "$here/plan.yml"
  fi
}

stage_secondary() {
  rate=$(cat rate)
  say "secondary: replay and learned λ of each of the seeds $seeds"
  for seed in $seeds; do
    echo "train replay instruct $rate $seed --replay_dataset instruct-data --replay_ratio 0.25"
  done | parallel
  mkdir -p tuned
  for seed in $seeds; do
    decode instruct "replay-lr$rate-seed$seed"
    pair "$rate" "$seed"
    [[ -f tuned/seed$seed.yml ]] || agentmerge tune "$recipes/merge/agentmerge.yml" --data agent-traces -o "tuned/seed$seed.yml" \
      --device "${DEVICE:-cpu}" "${pair[@]}"
    [[ -d merged/tuned-seed$seed ]] || agentmerge merge "tuned/seed$seed.yml" -o "merged/tuned-seed$seed" --quick
  done
  python "$here/to_gguf.py" models/base models/replay-lr"$rate"-seed* merged/tuned-*
}

stage_others() {
  say "others: the other methods on the test tasks, and every method on the tasks of both groups"
  lambda=$(cat lambda)
  for study in others kept; do # at λ ½ the chosen models are AgentMerge's
    sed -e "s/lambda-CHOSEN/lambda-$lambda/" -e '/agentmerge-chosen.*lambda-0\.5"/d' "$here/$study.yaml" > "$study.yaml"
  done
  agentmerge evaluate others.yaml -o others
  agentmerge evaluate kept.yaml -o kept
  python "$here/forgetting.py" forgetting.csv instructions models/instruct models/{instruct,replay}-lr"$(cat rate)"-seed* \
    merged/{wise-ft,tuned,soup}-* merged/agentmerge-*/lambda-*
}

stage_report() {
  say "report"
  agentmerge analyse primary*/ others kept -o report/all
  say "done: $PWD/report/all/report.html, and $PWD/report/primary or $PWD/report/look-1 for the plan"
}

for stage in "${@:-data instruct gate rates arms merges primary secondary others report}"; do
  for name in $stage; do "stage_$name"; done
done
