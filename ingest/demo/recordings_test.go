package demo

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/valyala/fastjson"

	"tapecast/ingest"
	"tapecast/ingest/jsonscan"
)

// recorded returns the path of a recording, or skips the test.
func recorded(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("TAPECAST_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "data")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no recordings: set TAPECAST_DATA to their folder (%v)", err)
	}
	return path
}

// eachRecorded calls each for the messages of a recording, gzip or plain. Its lines are
//
//	recv_ns<TAB>key<TAB>payload
//	recv_ns<TAB>kind<TAB>key<TAB>payload
//	epoch_seconds: payload
//
// It skips lines that do not begin with a digit: they name the recorded server.
func eachRecorded(t testing.TB, name string, each func(kind, key string, payload []byte)) {
	t.Helper()
	path := recorded(t, name)
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var text io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		if text, err = gzip.NewReader(file); err != nil {
			t.Fatal(err)
		}
	}
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, 16<<20) // the largest recorded book has 64 KB
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) == 0 || line[0]-'0' > 9 {
			continue
		}
		switch f := bytes.Split(line, []byte("\t")); len(f) {
		case 1:
			_, payload, _ := bytes.Cut(line, []byte(": "))
			each("", "", payload)
		case 3:
			each("", string(f[1]), f[2])
		case 4:
			each(string(f[1]), string(f[2]), f[3])
		default:
			t.Fatalf("%s: a line of %d fields: %s", name, len(f), line)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

// The scanner takes every recorded message.
func TestRecordingsScan(t *testing.T) {
	f := func(rows int, names ...string) {
		t.Helper()
		n := 0
		for _, name := range names {
			eachRecorded(t, name, func(_, _ string, payload []byte) {
				if at := new(jsonscan.Scanner).Scan(payload, nil); at >= 0 {
					t.Fatalf("%s: not JSON at %d: %s", name, at, payload)
				}
				n++
			})
		}
		if n != rows {
			t.Errorf("%v: %d rows, want %d", names, n, rows)
		}
	}
	f(78638, "trade.tsv.gz")
	f(6, "depth_snapshot.tsv.gz")
	f(16934, "mini_burst10s.tsv.gz")
	f(26213, "multisymbol/BINANCE_DELIVERY.ws.1.0.gz", "multisymbol/COINBASE.ws.28.0.gz",
		"multisymbol/KRAKEN_FUTURES.ws.1.0.gz", "multisymbol/KUCOIN.ws.1.0.gz")
}

// All trades of a recorded burst go through the embedded broker, by key in steps of one.
func TestRecordedBurstOnEmbedded(t *testing.T) {
	t.Parallel()
	e, err := StartEmbedded(t.Context(), []TopicSpec{{Name: "trades", Partitions: 3}}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	p, err := ingest.NewProducer(e.Addrs(), map[string]string{"partitioner": "murmur2_random"}, nil,
		map[string]string{"enable.idempotence": "true"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop(0)
	topic, sent := "trades", 0
	eachRecorded(t, "mini_burst10s.tsv.gz", func(kind, key string, payload []byte) {
		if kind != "trade" {
			return
		}
		sent++
		if err := p.Produce(&kafka.Message{
			TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: kafka.PartitionAny},
			Key:            []byte(key), Value: payload,
		}, nil); err != nil {
			t.Fatal(err)
		}
	})
	if sent != 5447 {
		t.Fatalf("%d trades, want 5447", sent)
	}
	n, last := 0, map[string]int{}
	readAll(t, e.Addrs(), []string{topic}, func(m *kafka.Message) bool {
		id := fastjson.GetInt(m.Value, "t")
		if was, ok := last[string(m.Key)]; ok && id != was+1 {
			t.Errorf("trade %d of %s after %d", id, m.Key, was)
		}
		last[string(m.Key)] = id
		n++
		return n < sent
	})
}
