package js

import _ "embed"

// Bundle is the client as one ES module: what the gateway serves at /client.js.
//
//go:embed dist/client.js
var Bundle []byte
