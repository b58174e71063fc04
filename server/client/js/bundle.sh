#!/usr/bin/env bash
# Makes the bundle of src, in the file that is named.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
"${GO:-go}" tool esbuild src/client.ts --bundle --minify --format=esm --target=es2020 '--mangle-props=^_' \
  --legal-comments=none --tsconfig-raw='{}' --log-level=warning --outfile="$1"
