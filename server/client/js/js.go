package js

import _ "embed"

// Bundle is the client as one ES module: what the gateway serves at /client.js.
//
//go:embed dist/client.js
var Bundle []byte

// Stream is what the client loads where WebSocket is blocked: what the gateway serves at /stream.js.
//
//go:embed dist/stream.js
var Stream []byte

// Shared is what pages share one connection with: what the gateway serves at /shared.js, beside the client.
//
//go:embed dist/shared.js
var Shared []byte
