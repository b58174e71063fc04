package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kfake"
)

// cluster is a Kafka that tests produce to and read from.
type cluster struct {
	kind    string // kfake or kafka
	brokers string // host:port, comma-separated
	dir     string // of kafka-up; "" for kfake
	n       int
	suffix  string         // of all topics of a test that shares the cluster
	fake    *kfake.Cluster // of kfake, where a test does harm to it; nil: none does
}

// name returns a topic's name on the cluster.
func (k *cluster) name(topic string) string { return topic + k.suffix }

// topicKeys matches the keys of a configuration that name a topic.
var topicKeys = regexp.MustCompile(`\b(topic|dead_letter|revocations|tiers_topic): (\w+)`)

// named returns a configuration with the cluster's names of topics.
func (k *cluster) named(yaml string) string {
	return topicKeys.ReplaceAllString(yaml, "$1: $2"+k.suffix)
}

// onEach runs a test on the embedded broker's library and on a real Kafka.
func onEach(t *testing.T, test func(t *testing.T, k *cluster)) {
	t.Helper()
	inTurn(t, func(t *testing.T, made func(testing.TB) *cluster) {
		besideOthers(t)
		test(t, made(t))
	})
}

// onEachAlone is onEach for a test that depends on the machine's speed.
func onEachAlone(t *testing.T, test func(t *testing.T, k *cluster)) {
	t.Helper()
	inTurn(t, func(t *testing.T, made func(testing.TB) *cluster) { test(t, made(t)) })
}

func inTurn(t *testing.T, test func(t *testing.T, made func(testing.TB) *cluster)) {
	t.Helper()
	t.Run("kfake", func(t *testing.T) { test(t, fakeCluster) })
	t.Run("kafka", func(t *testing.T) { test(t, realCluster) })
}

func fakeCluster(t testing.TB) *cluster {
	t.Helper()
	k, err := kfake.NewCluster(kfake.NumBrokers(1),
		kfake.BrokerConfigs(map[string]string{"message.max.bytes": "20000000"}))
	if err != nil {
		t.Fatalf("cannot start kfake: %v", err)
	}
	t.Cleanup(k.Close)
	return &cluster{kind: "kfake", brokers: strings.Join(k.ListenAddrs(), ","), n: 1}
}

func kafkaHome() string {
	if home := os.Getenv("KAFKA_HOME"); home != "" {
		return home
	}
	return besideProject("shared", "kafka")
}

func dataHome() string {
	if home := os.Getenv("TAPECAST_DATA"); home != "" {
		return home
	}
	return besideProject("shared", "data")
}

// besideProject returns a path next to the project's root. Tests run in cmd/tapecast/e2e.
func besideProject(elem ...string) string {
	p, err := filepath.Abs(filepath.Join(append([]string{"..", "..", "..", ".."}, elem...)...))
	if err != nil {
		panic(err)
	}
	return p
}

// noKafka returns why a real Kafka cannot be started, or "".
func noKafka() (why string) {
	if _, err := os.Stat(filepath.Join(kafkaHome(), "bin", "kafka-up")); err != nil {
		return fmt.Sprintf("no Apache Kafka in %s: set KAFKA_HOME to run this on a real one", kafkaHome())
	}
	if _, err := exec.LookPath("java"); err != nil {
		return "no java on PATH: Java 17 or later is needed to run this on a real Kafka"
	}
	return ""
}

func needKafka(t testing.TB) {
	t.Helper()
	if why := noKafka(); why != "" {
		t.Skip(why)
	}
}

// sharedKafka starts the broker that all tests share, once.
var sharedKafka = sync.OnceValues(func() (*cluster, error) {
	k := &cluster{kind: "kafka", dir: filepath.Join(suite.dir, "kafka1"), n: 1}
	return k, k.up()
})

// realCluster returns the broker that all tests share. Each test has topics of its own.
func realCluster(t testing.TB) *cluster {
	t.Helper()
	needKafka(t)
	shared, err := sharedKafka()
	if err != nil {
		t.Fatal(err)
	}
	k := *shared
	k.suffix = fmt.Sprint("-", suite.onKafka.Add(1))
	return &k
}

// threeBrokers returns a cluster of the test's own, for faults.
func threeBrokers(t testing.TB) *cluster {
	t.Helper()
	needKafka(t)
	k := &cluster{kind: "kafka", dir: t.TempDir(), n: 3}
	t.Cleanup(func() {
		_ = k.script("KILL", "kafka-down", k.dir)
		suite.reap.tell("down", k.dir)
	})
	if err := k.up(); err != nil {
		t.Fatal(err)
	}
	return k
}

// up starts the brokers that are down.
func (k *cluster) up() error {
	suite.reap.tell("up", k.dir)
	// Without this, a producer that still looks for a deleted topic creates it again.
	extra := filepath.Clean(k.dir) + ".properties"
	if err := os.WriteFile(extra, []byte("auto.create.topics.enable=false\n"), 0o600); err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(kafkaHome(), "bin", "kafka-up"), k.dir, fmt.Sprint(k.n))
	cmd.Env = append(os.Environ(), "WAIT=120", "EXTRA="+extra)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("cannot start Kafka: %w\n%s", err, errs.Bytes())
	}
	k.brokers = strings.TrimSpace(out.String())
	return nil
}

// kill kills broker n; 0: all.
func (k *cluster) kill(t testing.TB, n int) {
	t.Helper()
	args := []string{k.dir}
	if n > 0 {
		args = append(args, fmt.Sprint(n))
	}
	if err := k.script("KILL", "kafka-down", args...); err != nil {
		t.Fatal(err)
	}
}

func (k *cluster) script(signal, name string, args ...string) error {
	cmd := exec.Command(filepath.Join(kafkaHome(), "bin", name), args...)
	cmd.Env = append(os.Environ(), "SIGNAL="+signal)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

func (k *cluster) admin(t testing.TB) *kafka.AdminClient {
	t.Helper()
	a, err := kafka.NewAdminClient(&kafka.ConfigMap{
		"bootstrap.servers":   k.brokers,
		"enable.metrics.push": false, "log_level": 0,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// topic creates a topic, and waits until its leaders are known. On a shared cluster the
// topic is deleted after the test.
func (k *cluster) topic(t testing.TB, name string, partitions int) {
	t.Helper()
	a := k.admin(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if k.suffix != "" {
		t.Cleanup(func() { k.forget(t, name) })
	}
	spec := kafka.TopicSpecification{Topic: k.name(name), NumPartitions: partitions, ReplicationFactor: k.n,
		Config: map[string]string{"max.message.bytes": "10000000"}}
	res, err := a.CreateTopics(ctx, []kafka.TopicSpecification{spec})
	if err != nil || res[0].Error.Code() != kafka.ErrNoError {
		t.Fatalf("cannot create %s: %v %v", name, err, res)
	}
	k.led(t, a, name, partitions)
}

// forget requests the deletion of a topic, and does not wait for it.
func (k *cluster) forget(t testing.TB, name string) {
	a := k.admin(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := a.DeleteTopics(ctx, []string{k.name(name)}); err != nil {
		t.Logf("cannot delete %s: %v", name, err)
	}
}

// warm sends small batches through the broker for so long. In its first minute the broker
// compiles its own code, and that minute does not show what it takes later.
func (k *cluster) warm(t testing.TB, w *producer, during time.Duration) {
	t.Helper()
	k.topic(t, "warm", 16)
	c, err := kafka.NewConsumer(&kafka.ConfigMap{
		"bootstrap.servers": k.brokers, "group.id": "e2e-warm", "log_level": 0,
		"enable.metrics.push": false, "enable.auto.commit": false,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var parts []kafka.TopicPartition
	topic := k.name("warm")
	for p := range int32(16) {
		parts = append(parts, kafka.TopicPartition{Topic: &topic, Partition: p, Offset: kafka.OffsetBeginning})
	}
	if err := c.Assign(parts); err != nil {
		t.Fatal(err)
	}
	for i, end := 0, time.Now().Add(during); time.Now().Before(end); i++ {
		w.send("warm", int32(i%16), nil, fmt.Appendf(nil, `{"warm":"%090d"}`, i))
		c.Poll(1)
	}
}

// led waits until each of so many partitions has a leader.
func (k *cluster) led(t testing.TB, a *kafka.AdminClient, topic string, partitions int) {
	t.Helper()
	topic = k.name(topic)
	eventually(t, time.Minute, "leaders of "+topic, func() bool {
		md, err := a.GetMetadata(&topic, false, 5000)
		if err != nil || len(md.Topics[topic].Partitions) != partitions {
			return false
		}
		for _, p := range md.Topics[topic].Partitions {
			if p.Leader < 0 || p.Error.Code() != kafka.ErrNoError {
				return false
			}
		}
		return true
	})
}

func (k *cluster) addPartitions(t testing.TB, topic string, total int) {
	t.Helper()
	a := k.admin(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	res, err := a.CreatePartitions(ctx, []kafka.PartitionsSpecification{{Topic: k.name(topic), IncreaseTo: total}})
	if err != nil || res[0].Error.Code() != kafka.ErrNoError {
		t.Fatalf("cannot add partitions to %s: %v %v", topic, err, res)
	}
	k.led(t, a, topic, total)
}

func (k *cluster) deleteTopic(t testing.TB, topic string) {
	t.Helper()
	a := k.admin(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	res, err := a.DeleteTopics(ctx, []string{k.name(topic)})
	if err != nil || res[0].Error.Code() != kafka.ErrNoError {
		t.Fatalf("cannot delete %s: %v %v", topic, err, res)
	}
	eventually(t, time.Minute, topic+" is gone", func() bool {
		md, err := a.GetMetadata(nil, true, 5000)
		if err != nil {
			return false
		}
		_, there := md.Topics[k.name(topic)]
		return !there
	})
}

// deleteRecords deletes a topic's records up to these offsets.
func (k *cluster) deleteRecords(t testing.TB, topic string, at map[int32]int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	topic = k.name(topic)
	var parts []kafka.TopicPartition
	for p, off := range at {
		parts = append(parts, kafka.TopicPartition{Topic: &topic, Partition: p, Offset: kafka.Offset(off + 1)})
	}
	if _, err := k.admin(t).DeleteRecords(ctx, parts); err != nil {
		t.Fatalf("cannot delete records of %s: %v", topic, err)
	}
}
