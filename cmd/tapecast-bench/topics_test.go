package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kfake"

	"tapecast/bench"
)

// ownTopics runs a gateway with topics of a user's own, and returns the flags that lead to it.
func ownTopics(t *testing.T) []string {
	t.Helper()
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "events", "symbols"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	admin, err := kafka.NewAdminClient(&kafka.ConfigMap{
		"bootstrap.servers":   strings.Join(broker.ListenAddrs(), ","),
		"enable.metrics.push": false,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	quotes := kafka.TopicSpecification{Topic: "quotes", NumPartitions: 2, ReplicationFactor: 1,
		Config: map[string]string{"cleanup.policy": "compact"}}
	made, err := admin.CreateTopics(t.Context(), []kafka.TopicSpecification{quotes})
	if err != nil || made[0].Error.Code() != kafka.ErrNoError {
		t.Fatal(err, made)
	}
	to := gatewayOf(t, fmt.Appendf(nil, `
admin: {write: true, token_file: gateway.token}
auth: {secret: x}
kafka: {brokers: [%q], metadata_every: 200ms}
rooms:
  - {match: events, class: stream}
  - {match: quotes, class: market}
  - {match: "symbols:*", class: stream}
auto_join: []
ingest:
  routes:
    - {topic: events, rooms: [events], payload: data, type: event}
    - {topic: quotes, rooms: [quotes], key: "{@key}", type: quote}
    - {topic: symbols, rooms: ["symbols:{@key}"], type: quote}
`, strings.Join(broker.ListenAddrs(), `","`)))
	return append(to, "--brokers", broker.ListenAddrs()[0], "--json", "--quiet")
}

// runFor is run with a measurement's time. It also returns what is written besides.
func runFor(t *testing.T, args ...string) (res bench.Result, said string, code int, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs strings.Builder
	root := newRoot(strings.NewReader(""), &out, &errs)
	root.SetArgs(args)
	if err = root.ExecuteContext(ctx); err != nil {
		code = exitCode(err)
	}
	if out.Len() > 0 {
		if err := json.Unmarshal([]byte(out.String()), &res); err != nil {
			t.Fatal(err, out.String())
		}
	}
	return res, errs.String(), code, err
}

// The topics are a user's own: records have envelopes, rooms have keys and last values, and the
// topics are compacted. Either the result is right, or an error says why it is not.
func TestOwnTopics(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	t.Parallel()
	to := append(ownTopics(t), "--clients", "5", "--warmup", "200ms")
	f := func(want string, code int, args ...string) (res bench.Result, said string) {
		t.Helper()
		res, said, got, err := runFor(t, append(args, to...)...)
		if got == exitInvalid && code != exitInput { // a busy machine, which is not tested here
			got, err = code, nil
		}
		if got != code || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v: code %d, %v; want %d and %q", args, got, err, code, want)
		}
		for _, g := range res.Runs {
			if code == 0 && (g.Want == 0 || g.Unique+g.Absent != g.Want || len(g.Faults) > 0) {
				t.Errorf("%v: %d and %d absent of %d, %v", args, g.Unique, g.Absent, g.Want, g.Faults)
			}
		}
		return res, said
	}
	events := []string{"fanout", "--topic", "events", "--rooms", "events", "--rate", "40", "--duration", "1s",
		"--drain", "500ms"}
	res, _ := f("", exitFault, events...)
	if len(res.Runs) != 1 || !strings.Contains(strings.Join(res.Runs[0].Faults, ""),
		"because the gateway refused 48 records") {
		t.Errorf("%+v", res.Runs)
	}
	_, said := f("", 0, append(events, "--value-template", `{"id":{{seq}},"of":"{{key}}","data":{{value}}}`)...)
	if strings.Contains(said, "compacted") {
		t.Error(said)
	}

	storm := []string{"storm", "--rate", "50", "--duration", "2s", "--at", "300ms", "--jitter", "0"}
	quotes := append(storm[:len(storm):len(storm)], "--topic", "quotes", "--rooms", "quotes", "--keys", "7")
	if _, said := f("", 0, quotes...); strings.Count(said, `topic "quotes" is compacted`) != 1 {
		t.Error(said)
	}
	f("leave --resume out", exitInput, append(quotes, "--resume")...)
	symbols := append(storm[:len(storm):len(storm)], "--topic", "symbols", "--rooms", "symbols:{key}", "--group", "2")
	f("", 0, symbols...)
	f("", 0, append(symbols, "--resume")...)
}
