package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	goclient "tapecast/server/client"
)

// ledger is an application's database: an aggregator adds up the updates of accounts, and writes the offset
// to read next in the same transaction. It is SQLite, by its own shell, so that a kill is a real one.
type ledger struct {
	t     testing.TB
	file  string
	topic string
	id    string // of the topic
	parts int32
	kills atomic.Int64

	reads sync.Mutex // the shell that answers loads
	shell *shell
}

// shell is a process of sqlite3.
type shell struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
	n   int
}

func openShell(file string) (*shell, error) {
	s := &shell{cmd: exec.Command("sqlite3", "-batch", "-noheader", file)}
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		s.in, err = s.cmd.StdinPipe()
	}
	if err == nil {
		err = s.cmd.Start()
	}
	s.out = bufio.NewScanner(out)
	return s, err
}

// ask runs SQL, and returns the lines of its answer.
func (s *shell) ask(sql string) (lines []string, err error) {
	s.n++
	mark := fmt.Sprint("-- ", s.n)
	if _, err := fmt.Fprintf(s.in, "%s\nSELECT '%s';\n", sql, mark); err != nil {
		return nil, err
	}
	for s.out.Scan() {
		if s.out.Text() == mark {
			return lines, nil
		}
		lines = append(lines, s.out.Text())
	}
	return nil, io.ErrUnexpectedEOF
}

func (s *shell) kill() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

func newLedger(t testing.TB, k *cluster, topic string, parts int32) *ledger {
	t.Helper()
	l := &ledger{t: t, file: filepath.Join(t.TempDir(), "ledger.db"), topic: k.name(topic), parts: parts}
	described, err := k.admin(t).DescribeTopics(t.Context(), kafka.NewTopicCollectionOfTopicNames([]string{l.topic}))
	if err != nil || len(described.TopicDescriptions) != 1 {
		t.Fatal(described, err)
	}
	l.id = described.TopicDescriptions[0].TopicID.String()
	if l.shell, err = openShell(l.file); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.shell.kill)
	_, err = l.shell.ask(".timeout 60000\nPRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;\n" +
		"CREATE TABLE account (name TEXT PRIMARY KEY, n INTEGER, sum INTEGER) WITHOUT ROWID;\n" +
		"CREATE TABLE next (part INTEGER PRIMARY KEY, at INTEGER);")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// total is what is known of an account: how many updates it has had, and their sum.
type total struct{ n, sum int64 }

// load returns an account and the positions that it is true of, of one transaction.
func (l *ledger) load(name string) (total, goclient.NextPositions, error) {
	l.reads.Lock()
	lines, err := l.shell.ask(fmt.Sprintf("BEGIN; SELECT n, sum FROM account WHERE name = '%s'; SELECT 'next'; "+
		"SELECT part, at FROM next; COMMIT;", name))
	l.reads.Unlock()
	var had total
	at := goclient.NextPositions{TopicID: l.id, Next: map[int32]int64{}}
	for part := range l.parts {
		at.Next[part] = 0
	}
	offsets := false
	for _, line := range lines {
		var x, y int64
		if line == "next" {
			offsets = true
			continue
		}
		if _, err := fmt.Sscanf(line, "%d|%d", &x, &y); err != nil {
			return had, at, fmt.Errorf("%q: %w", line, err)
		}
		if offsets {
			at.Next[int32(x)] = y
		} else {
			had = total{x, y}
		}
	}
	return had, at, err
}

// aggregate runs the aggregator until it has everything up to the ends. It is killed kills times, anywhere in
// its transactions, and goes on from what the database has.
func (l *ledger) aggregate(ctx context.Context, brokers string, ends func() map[int32]int64, kills int) error {
	for {
		s, err := openShell(l.file)
		if err != nil {
			return err
		}
		err = l.run(ctx, s, brokers, ends, &kills)
		if s.kill(); err != errKilled {
			return err
		}
		l.kills.Add(1)
	}
}

var errKilled = fmt.Errorf("killed")

func (l *ledger) run(ctx context.Context, s *shell, brokers string, ends func() map[int32]int64, kills *int) error {
	lines, err := s.ask(".timeout 60000\nPRAGMA synchronous = OFF; SELECT part, at FROM next;")
	if err != nil {
		return err
	}
	at := map[int32]int64{}
	var from []kafka.TopicPartition
	for _, line := range lines {
		var part, next int64
		if _, err := fmt.Sscanf(line, "%d|%d", &part, &next); err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
		at[int32(part)] = next
	}
	for part := range l.parts {
		from = append(from, kafka.TopicPartition{Topic: &l.topic, Partition: part, Offset: kafka.Offset(at[part])})
	}
	c, err := kafka.NewConsumer(&kafka.ConfigMap{"bootstrap.servers": brokers, "group.id": "ledger",
		"enable.auto.commit": false, "log_level": 0, "fetch.wait.max.ms": 20})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Assign(from); err != nil {
		return err
	}
	for ctx.Err() == nil {
		sql, n := l.batch(c, at)
		if end := ends(); n == 0 && end != nil && covers(at, end) {
			return nil
		}
		if n == 0 {
			continue
		}
		if *kills > 0 && rand.IntN(20) == 0 {
			*kills--
			io.WriteString(s.in, sql[:rand.IntN(len(sql))])
			return errKilled
		}
		if lines, err := s.ask(sql); err != nil || len(lines) > 0 {
			return fmt.Errorf("%v %w", lines, err)
		}
	}
	return ctx.Err()
}

func covers(at, end map[int32]int64) bool {
	for part, next := range end {
		if at[part] < next {
			return false
		}
	}
	return true
}

// batch returns one transaction with the records that are there, at most a thousand, and moves at on.
func (l *ledger) batch(c *kafka.Consumer, at map[int32]int64) (sql string, n int) {
	var b strings.Builder
	b.WriteString("BEGIN IMMEDIATE;\n")
	for wait := 50; n < 1000; wait = 0 {
		m, ok := c.Poll(wait).(*kafka.Message)
		if !ok {
			if wait == 0 {
				break
			}
			return "", 0
		}
		var i, d int64
		if _, err := fmt.Sscanf(string(m.Value), `{"a":"`+string(m.Key)+`","n":%d,"d":%d}`, &i, &d); err != nil {
			l.t.Errorf("%s: %v", m.Value, err)
		}
		fmt.Fprintf(&b, "INSERT INTO account VALUES ('%s', 1, %d) ON CONFLICT (name) "+
			"DO UPDATE SET n = n + 1, sum = sum + %d;\n", m.Key, d, d)
		at[m.TopicPartition.Partition] = int64(m.TopicPartition.Offset) + 1
		n++
	}
	for part, next := range at {
		fmt.Fprintf(&b, "INSERT OR REPLACE INTO next VALUES (%d, %d);\n", part, next)
	}
	b.WriteString("COMMIT;")
	return b.String(), n
}

// accountView is an application that shows one account: its state from the ledger, then the room's updates.
type accountView struct {
	l    *ledger
	name string

	mu    sync.Mutex
	had   total
	loads int
	fault string
}

func (v *accountView) options() []goclient.RoomOption {
	return []goclient.RoomOption{
		goclient.Load(func(context.Context) (any, goclient.From, error) {
			had, at, err := v.l.load(v.name)
			return had, at, err
		}),
		goclient.OnLoad(func(state any) {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.had = state.(total)
			v.loads++
		}),
		goclient.OnMessage(func(m goclient.Message) {
			var n, d int64
			_, err := fmt.Sscanf(string(m.Data), `{"a":"`+v.name+`","n":%d,"d":%d}`, &n, &d)
			v.mu.Lock()
			defer v.mu.Unlock()
			if err != nil || n != v.had.n+1 {
				v.fail("it has %d updates, and the next is %s", v.had.n, m.Data)
			}
			v.had = total{n, v.had.sum + d}
		}),
		goclient.OnError(func(err *goclient.Error, room string) { // another is tried
			v.l.t.Logf("%s: %v", room, err)
		}),
	}
}

// fail keeps the first fault. Its caller holds mu.
func (v *accountView) fail(format string, args ...any) {
	if v.fault == "" {
		v.fault = v.name + ": " + fmt.Sprintf(format, args...)
	}
}

func (v *accountView) get() (had total, loads int, fault string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.had, v.loads, v.fault
}

// lineCutter cuts connections at random.
type lineCutter struct {
	mu    sync.Mutex
	conns []net.Conn
	cuts  int
}

func (c *lineCutter) add(conn net.Conn) {
	c.mu.Lock()
	c.conns = append(c.conns, conn)
	c.mu.Unlock()
}

// every cuts one connection in each interval until the context ends.
func (c *lineCutter) every(ctx context.Context, d time.Duration) {
	for tick := time.NewTicker(d); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
		c.mu.Lock()
		if n := len(c.conns); n > 0 {
			i := rand.IntN(n)
			conn := c.conns[i]
			c.conns[i] = c.conns[n-1]
			c.conns = c.conns[:n-1]
			c.cuts++
			conn.Close()
		}
		c.mu.Unlock()
	}
}

// check compares what the database has with what was produced.
func (l *ledger) check(want []total) {
	for a, sum := range want {
		if had, _, err := l.load(fmt.Sprint("a", a)); had != sum || err != nil {
			l.t.Errorf("the ledger has %v of a%d, not %v, %v", had, a, sum, err)
		}
	}
}
