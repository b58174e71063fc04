package ingest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"tapecast/ingest/route"
	"tapecast/rooms"
	"tapecast/rooms/testwait"
)

// The benchmarks of ingest compare the cost of a record here with its cost in a bare Poll loop
// over the same topic, in the same run:
//
//	go test ./ingest -run '^$' -bench 'PollBare|Ingest' -benchtime 1500000x
//
// They read from Apache Kafka if KAFKA_HOME is set, else from a kfake in a
// process of its own, so that the broker's CPU is not counted. us/record is the
// CPU of this process, user and system, with librdkafka's threads.

// TestMain runs the tests, or the broker of the benchmarks in a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("TAPECAST_KFAKE") != "" {
		k, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err == nil {
			err = k.CreateTopic(benchTopic, benchParts, map[string]string{"retention.ms": "-1"})
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(k.ListenAddrs()[0])
		bufio.NewReader(os.Stdin).ReadByte() // until the benchmark ends
		k.Close()
		return
	}
	code := m.Run()
	if stop := benchBroker.stop; stop != nil {
		stop()
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "goroutines are left:", err)
			code = 1
		}
	}
	os.Exit(code)
}

const (
	benchTopic = "bench.trades"
	benchParts = 3
)

// benchBroker is the broker that the first benchmark starts. The others use it too.
var benchBroker struct {
	sync.Mutex
	boot   string
	filled int
	stop   func()
}

// benchSymbols have a room each, as in a market.
var benchSymbols = strings.Fields("BTC ETH SOL XRP BNB DOGE ADA AVAX LINK DOT TRX LTC BCH NEAR UNI APT ETC XLM ATOM " +
	"FIL HBAR ARB OP INJ " +
	"SUI AAVE MKR GRT ALGO VET ICP RENDER STX IMX SEI TIA LDO EGLD FLOW XTZ SAND MANA AXS EOS NEO KAVA CHZ SNX CRV " +
	"ZEC DASH COMP 1INCH BAT")

// benchFeed returns a broker whose topic holds at least n records of 128 B.
func benchFeed(b *testing.B, n int) (brokers []string) {
	b.Helper()
	bb := &benchBroker
	bb.Lock()
	defer bb.Unlock()
	if bb.boot == "" {
		if os.Getenv("KAFKA_HOME") != "" {
			k := startKafka(&outlive{B: b}, 1, "")
			bb.stop = func() {
				k.down("KILL")
				os.RemoveAll(k.dir)
			}
			k.run(nil, "kafka-tool", "topics", "--bootstrap-server", k.boot, "--create", "--topic", benchTopic,
				"--partitions", fmt.Sprint(benchParts))
			bb.boot = k.boot
		} else {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "TAPECAST_KFAKE=1")
			out, err := cmd.StdoutPipe()
			if err != nil {
				b.Fatal(err)
			}
			in, err := cmd.StdinPipe()
			if err != nil {
				b.Fatal(err)
			}
			bb.stop = func() {
				in.Close()
				cmd.Wait()
			}
			if err := cmd.Start(); err != nil {
				b.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				b.Fatal(err)
			}
			bb.boot = strings.TrimSpace(line)
		}
	}
	brokers = strings.Split(bb.boot, ",")
	if bb.filled < n {
		w := newWriter(b, brokers, map[string]string{"linger.ms": "20", "acks": "all", "batch.num.messages": "10000"})
		for i := bb.filled; i < n; i++ {
			symbol := benchSymbols[i%len(benchSymbols)] + "USDT"
			v := fmt.Sprintf(`{"e":"trade","E":1723161255343,"s":"%s","t":%d,"p":"61837.63000000","q":"0.02000000",`+
				`"T":1723161255342,"m":true,"M":true`, symbol, 3735683259+i)
			v += strings.Repeat(" ", max(0, 127-len(v))) + "}"
			w.put(benchTopic, int32(i%benchParts), symbol, v)
		}
		w.flush()
		w.p.Stop(0)
		bb.filled = n
	}
	return brokers
}

// outlive is a testing.TB whose cleanups do not run: the next benchmark uses the broker too. It
// ends with the process.
type outlive struct{ *testing.B }

func (o *outlive) Cleanup(func()) {}
func (o *outlive) TempDir() string {
	dir, err := os.MkdirTemp("", "tapecast-bench")
	if err != nil {
		o.Fatal(err)
	}
	return dir
}

// measure reports the CPU that f takes a record.
func measure(b *testing.B, f func()) {
	b.Helper()
	runtime.GC()
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu()
	f()
	used := cpu() - before
	b.StopTimer()
	b.ReportMetric(float64(used.Nanoseconds())/float64(b.N)/1e3, "us/record")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// cpu returns the CPU time of this process so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkPollBare(b *testing.B) {
	brokers := benchFeed(b, b.N)
	conf, err := settings(brokers, nil, readerSettings(Config{MaxRecord: 1 << 20}), nil)
	if err != nil {
		b.Fatal(err)
	}
	(*conf)["auto.offset.reset"] = "earliest"
	c, err := kafka.NewConsumer(conf)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	topic := benchTopic
	var parts []kafka.TopicPartition
	for n := range int32(benchParts) {
		parts = append(parts, kafka.TopicPartition{Topic: &topic, Partition: n, Offset: kafka.OffsetBeginning})
	}
	measure(b, func() {
		if err := c.Assign(parts); err != nil {
			b.Fatal(err)
		}
		for n := 0; n < b.N; {
			if _, ok := c.Poll(100).(*kafka.Message); ok {
				n++
			}
		}
	})
}

// BenchmarkIngest routes the same records to the rooms of their symbols and one
// for all. The rooms have no members.
func BenchmarkIngest(b *testing.B) {
	brokers := benchFeed(b, b.N)
	market := &rooms.Class{Name: "stream"}
	catalog, err := rooms.NewCatalog([]*rooms.Pattern{{Match: "trades", Class: market},
		{Match: "trades:*", Class: market}})
	if err != nil {
		b.Fatal(err)
	}
	router := compiled(b, catalog,
		route.Route{Topic: benchTopic, Rooms: []string{"trades", "trades:{s}"}, Key: "{s}", Type: "trade_update"})
	table, err := rooms.New(rooms.Config{Catalog: catalog, Feeds: router.Feeds()})
	if err != nil {
		b.Fatal(err)
	}
	table.Start()
	defer table.Stop()
	c := New(Config{Brokers: brokers, Start: "beginning"}, router, table)
	measure(b, func() {
		if err := c.Start(b.Context()); err != nil {
			b.Fatal(err)
		}
		testwait.Until(b, time.Hour, "all is processed",
			func() bool { return c.figures.processed.Load() >= uint64(b.N) })
	})
	c.Stop(b.Context())
	if s := c.Stats(); s.Bad["json"]+s.Bad["field"] > 0 {
		b.Errorf("%+v", s)
	}
}
