#!/bin/sh
# The base of the image, which Dockerfile names twice.
#
#     sh deploy/container/base.sh name           print it, without a digest
#     sh deploy/container/base.sh pin DIGEST     write "sha256:..." behind it
set -eu
file=${DOCKERFILE:-$(dirname "$0")/Dockerfile}

case "${1:-}" in
name)
    sed -n 's/^FROM \([^@ ]*\).*/\1/p' "$file" | sort -u
    ;;
pin)
    if ! printf '%s' "${2:-}" | grep -Eqx 'sha256:[0-9a-f]{64}'; then
        echo "\"${2:-}\" is no digest such as sha256: and 64 hexadecimal digits." >&2
        exit 1
    fi
    sed -i "s/^FROM \([^@ ]*\)\(@[^ ]*\)\{0,1\}/FROM \1@$2/" "$file"
    ;;
*)
    echo "usage: base.sh name | pin DIGEST" >&2
    exit 2
    ;;
esac
