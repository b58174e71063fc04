package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
)

// publish puts a record into Kafka through the internal port.
func (g *gateway) publish(topic, key string, value []byte) (part int32, off int64) {
	g.t.Helper()
	body := fmt.Appendf(nil, `{"topic":%q,"key":%q,"value":%s}`, topic, key, value)
	status, b := g.post("/publish", body)
	var at struct {
		Topic     string
		Partition int32
		Offset    int64
	}
	if err := json.Unmarshal(b, &at); err != nil || status != 200 || at.Topic != topic {
		g.t.Fatalf("cannot publish to %s: %d %s", topic, status, b)
	}
	return at.Partition, at.Offset
}

// post sends a request that writes, with the token unless a header has another.
func (g *gateway) post(path string, body []byte, header ...string) (status int, answer []byte) {
	g.t.Helper()
	req, err := http.NewRequest("POST", "http://"+g.admin+path, bytes.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	for i := 0; i+1 < len(header); i += 2 {
		if req.Header.Set(header[i], header[i+1]); header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	resp, err := admin.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return resp.StatusCode, answer
}

// TestEmbeddedBroker: a user's configuration without kafka.brokers, and without the market. What
// is published comes out, byte for byte, at its position.
func TestEmbeddedBroker(t *testing.T) {
	besideOthers(t)
	rows := trades(t, 300)
	g := start(t, config(nil, tradeConfig+"  market: false\n"))
	clients := []*client{join(t, g, "1"), join(t, g, "2"), join(t, g, "3")}
	type at struct {
		part int32
		off  int64
	}
	want := map[at][]byte{}
	for _, r := range rows {
		part, off := g.publish("trades", r.key, r.payload)
		want[at{part, off}] = r.payload
	}
	if len(want) != len(rows) {
		t.Fatalf("%d rows went to %d positions", len(rows), len(want))
	}
	for _, c := range clients {
		c.await("all rows", func() bool { return len(c.rooms["trades"].frames) >= len(rows) })
		c.mu.Lock()
		for _, f := range c.rooms["trades"].frames {
			if payload := want[at{f.part, f.off}]; !bytes.Equal(f.data, payload) {
				t.Fatalf("%d:%d is %s, want %s", f.part, f.off, f.data, payload)
			}
		}
		if n := len(c.rooms["trades"].frames); n != len(rows) {
			t.Errorf("%d frames, want %d", n, len(rows))
		}
		c.mu.Unlock()
		c.check()
	}
	g.stop(patience)
}
