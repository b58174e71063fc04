// Package bench loads a gateway and measures it from outside: it speaks the
// wire protocol, Kafka and /metrics, and imports nothing of the gateway.
package bench
