package main

import (
	"os"
	"path/filepath"
)

// gatewayToken is the token of its internal port.
const gatewayToken = "a-token-for-measurements-on-this-machine"

// gatewaySecret signs the tokens of the gateway's clients, here only.
const gatewaySecret = "a key for measurements on this machine"

// gatewayConfig is bench/gateway.yaml with one room of bare values, like those of most peers.
const gatewayConfig = `server: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0", direct: true, write: true, token_file: gateway.token}
auth: {secret_file: gateway.key}
limits: {connections: 19500}
rooms:
  - {match: "bare", class: stream}
auto_join: []
ingest:
  market: false
  routes:
    - {topic: bench.bare, rooms: ["bare"], envelope: none}
`

// writeGateway writes the configuration to dir, and returns the file's name.
func writeGateway(dir string) (string, error) {
	if err := os.WriteFile(filepath.Join(dir, "gateway.key"), []byte(gatewaySecret), 0o600); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "gateway.token"), []byte(gatewayToken), 0o600); err != nil {
		return "", err
	}
	file := filepath.Join(dir, "gateway.yaml")
	return file, os.WriteFile(file, []byte(gatewayConfig), 0o600)
}
