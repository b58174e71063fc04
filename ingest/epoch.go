package ingest

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

// epochOf is the epoch of a topic: what positions of it carry. Six characters
// are 30 bits; they need only tell apart the few topics that had one name.
func epochOf(cluster, topicID string) string {
	sum := sha256.Sum256([]byte(cluster + "\x00" + topicID))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:6])
}
