#!/usr/bin/env bash
# getGpus.sh: the GPUs of this machine, in the JSON that Spark asks a discovery script for.
#
# --conf spark.executor.resource.gpu.discoveryScript=…/getGpus.sh (YARN, Kubernetes), or spark.worker.resource.gpu.… of
# a standalone worker. Addresses are UUIDs: an index means another device wherever CUDA_VISIBLE_DEVICES says so.
# That variable is respected as the driver does: a list of indices (in the order of the bus) or of beginnings of
# UUIDs, of which whatever comes after one that names no device is not there either. stderr says what is missing.
set -euo pipefail

found() { # UUIDs as JSON
  local list='' uuid
  for uuid in "$@"; do list+=${list:+,}\"$uuid\"; done
  printf '{"name":"gpu","addresses":[%s]}\n' "$list"
  exit 0
}

smi=$(command -v nvidia-smi) || { echo "getGpus.sh: no nvidia-smi on the PATH: no GPUs" >&2; found; }
if ! listed=$("$smi" --query-gpu=index,uuid --format=csv,noheader 2>&1); then
  echo "getGpus.sh: nvidia-smi failed: $listed" >&2
  found
fi
uuids=()
while IFS=', ' read -r index uuid; do
  [[ $index =~ ^[0-9]+$ && -n $uuid ]] && uuids[index]=$uuid
done <<<"$listed"

[ -n "${CUDA_VISIBLE_DEVICES+set}" ] || found ${uuids[@]+"${uuids[@]}"}
visible=()
IFS=, read -ra wanted <<<"$CUDA_VISIBLE_DEVICES" || true
for one in ${wanted[@]+"${wanted[@]}"}; do
  one=${one//[[:space:]]/}
  match=
  if [[ $one =~ ^[0-9]+$ ]]; then
    match=${uuids[one]-}
  elif [[ $one == MIG-* ]]; then
    match=$one # a part of a device, which nvidia-smi lists apart
  elif [[ $one == GPU-* ]]; then
    for uuid in ${uuids[@]+"${uuids[@]}"}; do [[ $uuid == "$one"* ]] && match=$uuid; done
  fi
  if [ -z "$match" ]; then
    echo "getGpus.sh: CUDA_VISIBLE_DEVICES is $CUDA_VISIBLE_DEVICES, and $one names no device: it ends there" >&2
    break
  fi
  visible+=("$match")
done
found ${visible[@]+"${visible[@]}"}
