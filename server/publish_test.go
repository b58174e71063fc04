package server

import (
	"strings"
	"testing"

	"tapecast/server/config"
)

func TestPublish(t *testing.T) {
	s := startServer(t, func(cfg *config.Config) { cfg.Kafka.MaxRecord = 1000 })
	f := func(body string, code int, words string) {
		t.Helper()
		got, _, answer := s.ask(t, "POST", "/publish", body)
		if got != code || !strings.Contains(answer, words) {
			t.Errorf("%.80s: %d %s, want %d %q", body, got, answer, code, words)
		}
	}
	f(`{"topic":"events","value":{"a":1}}`, 200, `{"topic":"events","partition":`)
	f(`{"topic":"events","key":"k","value":null,"headers":{"h":"v"}}`, 200, `"offset":`)
	f(``, 400, `cannot read the body: EOF; send {\"topic\"`)
	f(`{"topic":"events","value":{]}`, 400, "cannot read the body")
	f(`{"topic":"events","vaule":1}`, 400, `\"vaule\": it is an unknown field`)
	f(`{"topic":"events","Key":"k","value":1}`, 400, `\"Key\": it is an unknown field`)
	f(`{"topic":"events","key":1,"value":1}`, 400, `\"key\": it must be a string`)
	f(`[]`, 400, "it must be an object")
	f(`{"topic":"events","value":1`, 400, "cannot read the body: unexpected EOF")
	for _, twice := range []string{`"topic":"other"`, `"key":""`, `"value":2`, `"headers":null`, `"\u0076alue":2`} {
		name, _, _ := strings.Cut(strings.ReplaceAll(twice, `\u0076`, "v"), ":")
		f(`{"topic":"events","key":"k","value":1,"headers":{},`+twice+`}`, 400,
			strings.ReplaceAll(name, `"`, `\"`)+" stands there twice: send it once")
	}
	f(`{"topic":"events","value":1,"headers":{"h":"1","i":"2","h":"3"}}`, 400, `\"headers\": \"h\" stands there twice`)
	f(`{"topic":"events","value":{"a":1,"a":2},"headers":null}`, 200, `"offset":`) // the value is the producer's own
	f(`{"topic":"events","value":1}{}`, 400, "one record at a time")
	f(`{"value":1}`, 400, "topic is missing; routes read market.ticker, market.trades, private.orders, events")
	f(`{"topic":"evnets","value":1}`, 400, `no route reads the topic \"evnets\"`)
	f(`{"topic":"events"}`, 400, "value is missing")
	f(`{"topic":"events","value":"`+strings.Repeat("x", 1000)+`"}`, 413, "kafka.max_record (1000)")
	f(`{"topic":"events","value":"`+strings.Repeat("x", 100_000)+`"}`, 413, "the body is longer than")
	s.publisher.close()
	f(`{"topic":"events","value":1}`, 503, "the server is stopping")
}
