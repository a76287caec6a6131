#!/bin/sh
# Starts the program of this name in libexec/ with the bundle's own libraries.
bundle=$(cd "$(dirname "$0")/.." && pwd) || exit 1
# shellcheck source=tests/gpu/environment.sh
. "$bundle/libexec/environment.sh"
exec "$bundle/libexec/$(basename "$0")" "$@"
