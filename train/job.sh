#!/usr/bin/env bash
# What a Job on the Hub runs, in a checkout of this repository: install, fetch MNIST and fonts, train, push.
#
#     bash train/job.sh PRESET NAME [OPTION…]
#
# PRESET is one of train.train's or train.train_detector's, NAME the model repo to push to, OPTIONs go to the training.
# The token is the Job's secret HF_TOKEN.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -lt 2 ]; then
    echo "usage: bash train/job.sh PRESET NAME [OPTION…]" >&2
    exit 2
fi
preset=$1 name=$2
shift 2
: "${HF_TOKEN:?There is no Hub token: start the Job with --secrets HF_TOKEN.}"

module=train.train
case $preset in detector*) module=train.train_detector ;; esac

pip install --quiet --disable-pip-version-check -r requirements.txt

# torchvision lays the files out as our own reader looks for them, and checks them.
export DIGITCORE_DATA=${DIGITCORE_DATA:-data}
python -c 'import sys; from torchvision.datasets import MNIST; MNIST(sys.argv[1], download=True)' "$DIGITCORE_DATA"

# The article's presets learn from MNIST's images alone; the others from synthetic pages too, which are written in fonts.
case $preset in
seed*) ;;
*)
    command -v npm >/dev/null || { apt-get update -q && apt-get install -qy --no-install-recommends npm; }
    npm ci --silent --prefix fonts
    ;;
esac

python -m "$module" --preset "$preset" --push-to-hub "$name" "$@"
