#!/usr/bin/env bash
# Makes the bundles of src, in the folder that is named: the client, what tabs share it with, and what it
# reads where WebSocket is blocked.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
bundle() {
  "${GO:-go}" tool esbuild "src/$1.ts" --bundle --minify --format=esm --target=es2020 '--mangle-props=^_' \
    --legal-comments=none --tsconfig-raw='{}' --log-level=warning --external:./client.js --external:./stream.js --outfile="$2/$1.js"
}
bundle client "$1"
bundle shared "$1"
bundle stream "$1"
