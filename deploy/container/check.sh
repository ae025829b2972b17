#!/bin/sh
# Build the image with Docker and look into it: `make image-check`.
set -eu
cd "$(dirname "$0")/../.."

if ! docker info >/dev/null 2>&1; then
    echo "No Docker engine answers: the image's steps were carried out in an overlay, and no image was built." >&2
    exit 0
fi
image=relay-check:$$
trap 'docker image rm --force "$image" >/dev/null' EXIT
docker build --quiet --file deploy/container/Dockerfile --tag "$image" .
in_it() { docker run --rm --read-only --cap-drop ALL --network none "$image" "$@"; }
in_it relay --version | grep ', compiled$'
in_it relay console --help >/dev/null
in_it relay vendors >/dev/null
[ "$(in_it id -u)" = 10001 ] || { echo "The image does not run as user 10001." >&2; exit 1; }
if in_it sh -c 'command -v gcc cc'; then
    echo "A compiler is in the image." >&2
    exit 1
fi
if in_it python -m pip --version 2>/dev/null; then
    echo "pip is in the image." >&2
    exit 1
fi
