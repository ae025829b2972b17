#!/bin/sh
# The bases of the image's stages, which Dockerfile names.
#
#     sh deploy/container/base.sh names               print them, without a digest
#     sh deploy/container/base.sh pin NAME DIGEST     write "sha256:..." behind one
set -eu
file=${DOCKERFILE:-$(dirname "$0")/Dockerfile}

names() { sed -n 's/^FROM \([^@ ]*\).*/\1/p' "$file" | sort -u; }

case "${1:-}" in
names)
    names
    ;;
pin)
    if ! names | grep -Fqx -e "${2:-}"; then
        echo "\"${2:-}\" is no base of $file." >&2
        exit 1
    fi
    if ! printf '%s' "${3:-}" | grep -Eqx 'sha256:[0-9a-f]{64}'; then
        echo "\"${3:-}\" is no digest such as sha256: and 64 hexadecimal digits." >&2
        exit 1
    fi
    name=$(printf '%s' "$2" | sed 's/[.]/[.]/g')
    sed -i "s|^FROM \($name\)\(@[^ ]*\)\{0,1\}\( .*\)\{0,1\}\$|FROM \1@$3\3|" "$file"
    ;;
*)
    echo "usage: base.sh names | pin NAME DIGEST" >&2
    exit 2
    ;;
esac
