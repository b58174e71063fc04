package ingest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Time enough for answers. A request without an answer takes all of ask or read.
var (
	answering = connectBounds{ask: 10 * time.Second, read: 10 * time.Second, whole: time.Minute}
	silent    = connectBounds{ask: 2 * time.Second, read: time.Second, whole: time.Minute}
)

// connected returns the results of Connect, a line each.
func connected(t *testing.T, bounds connectBounds, cfg Config, topics ...TopicAsk) []string {
	t.Helper()
	var out []string
	c := &connector{
		cfg: cfg, ctx: t.Context(), bounds: bounds,
		faults: newBrokerFaults(cfg.Brokers, cfg.Librdkafka),
		say:    func(f Found) { out = append(out, fmt.Sprintf("%d %s: %s", f.Weight, f.What, f.Text)) },
	}
	c.connect(topics)
	return out
}

// Connect reports each broker and topic, with the user's rights.
func TestConnect(t *testing.T) {
	t.Parallel()
	cfg := guarded(t)
	got := connected(t, answering, cfg,
		TopicAsk{Name: "quotes", Reads: true, LastValues: true, Compacted: []string{"mind tombstones"}},
		TopicAsk{Name: "trades", Reads: true, LastValues: true},
		TopicAsk{Name: "dark", Reads: true, Writes: true},
		TopicAsk{Name: "dead", Writes: true, Absent: "create it"},
		TopicAsk{Name: "none", Reads: true, Absent: "create it"},
		TopicAsk{Name: "hidden", Reads: true, Absent: "create it"})
	want := []string{
		"0 broker " + cfg.Brokers[0] + ": answers",
		"0 broker " + cfg.Brokers[1] + ": answers",
		"0 cluster ",
		"1 topic quotes: is compacted: mind tombstones",
		"0 topic quotes: has 4 partitions, cleanup.policy compact, all of them can be read",
		"1 topic trades: whether it is compacted cannot be seen",
		"0 topic trades: has 3 partitions, all of them can be read",
		"2 topic dark: this user may not do what the gateway does; grant Read and Write on it",
		"0 topic dead: has 3 partitions, this user may write it",
		"2 topic none: does not exist; create it",
		"2 topic hidden: this user may not describe it; grant Describe and Read on it",
	}
	if len(got) != len(want) {
		t.Fatalf("found\n%s", strings.Join(got, "\n"))
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("found %s, want %s", got[i], want[i])
		}
	}
	cfg.Librdkafka["sasl.username"], cfg.Librdkafka["sasl.password"] = "root", "root"
	for _, name := range []string{"trades", "quotes"} {
		got = connected(t, answering, cfg, TopicAsk{Name: name, Reads: true, Kept: "what is deleted is forgotten"})
		warned := slices.ContainsFunc(got, func(s string) bool {
			return strings.HasPrefix(s, "1 topic trades: has cleanup.policy delete: what is deleted is forgotten")
		})
		if warned != (name == "trades") {
			t.Errorf("%s: found\n%s", name, strings.Join(got, "\n"))
		}
	}
	cfg.Librdkafka["sasl.username"] = "u"
	cfg.Librdkafka["sasl.password"], cfg.Brokers[1] = "wrong", "127.0.0.1:1"
	got = connected(t, silent, cfg, TopicAsk{Name: "trades"})
	if len(got) != 2 || !strings.Contains(got[0], "check kafka.librdkafka.sasl.username") {
		t.Errorf("a wrong password: %v", got)
	}
	if !strings.Contains(last(got), "2 broker 127.0.0.1:1: ") ||
		!strings.Contains(last(got), "refused; check host and port in kafka.brokers") {
		t.Errorf("a broker that does not exist: %v", got)
	}
}

// guarded starts two brokers on which user u may do something else with each topic, and user root
// everything. It returns the configuration of u.
func guarded(t *testing.T) Config {
	t.Helper()
	may := func(topic string, ops ...kmsg.ACLOperation) (list []kfake.ACL) {
		for _, op := range ops {
			list = append(list, kfake.ACL{
				Resource: kmsg.ACLResourceTypeTopic, Name: topic, Pattern: kmsg.ACLResourcePatternTypeLiteral,
				Operation: op, Allow: true,
			})
		}
		return list
	}
	acls := may("quotes", kmsg.ACLOperationRead, kmsg.ACLOperationDescribe, kmsg.ACLOperationDescribeConfigs)
	acls = append(acls, may("trades", kmsg.ACLOperationRead, kmsg.ACLOperationDescribe)...)
	acls = append(acls, may("dark", kmsg.ACLOperationDescribe)...)
	acls = append(acls, may("dead", kmsg.ACLOperationDescribe, kmsg.ACLOperationWrite)...)
	acls = append(acls, may("none", kmsg.ACLOperationDescribe)...)
	k := fake(t, kfake.NumBrokers(2), kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "root"),
		kfake.User("PLAIN", "u", "p", acls...), kfake.SeedTopics(3, "trades", "dark", "dead", "hidden"))
	if err := k.CreateTopic("quotes", 4, map[string]string{"cleanup.policy": "compact"}); err != nil {
		t.Fatal(err)
	}
	return Config{Brokers: k.ListenAddrs(), Librdkafka: map[string]string{
		"security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN", "sasl.username": "u", "sasl.password": "p",
	}}
}

// Connect names a partition that cannot be read, with its leader and the reason.
func TestConnectPartition(t *testing.T) {
	t.Parallel()
	k := fake(t, kfake.NumBrokers(1), kfake.SeedTopics(2, "a"))
	k.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		return nil, fmt.Errorf("no fetch"), true
	})
	bounds := answering
	bounds.read = silent.read
	got := last(connected(t, bounds, Config{Brokers: k.ListenAddrs()}, TopicAsk{Name: "a", Reads: true}))
	if !strings.HasPrefix(got,
		"2 topic a: its 2 partitions cannot all be read: partition 0, led by broker 0 at 127.0.0.1:") {
		t.Errorf("found %s", got)
	}
}
