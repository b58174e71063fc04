package ingest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// realKafka is an Apache Kafka cluster that a test has started.
type realKafka struct {
	t    testing.TB
	home string
	dir  string
	boot string
}

// startKafka starts one broker or three. It skips the test if Kafka or Java is missing.
func startKafka(t testing.TB, brokers int, extra string) *realKafka {
	t.Helper()
	if testing.Short() {
		t.Skip("no Apache Kafka with -short")
	}
	home := os.Getenv("KAFKA_HOME")
	if home == "" {
		home = filepath.Join("..", "..", "shared", "kafka")
	}
	if _, err := os.Stat(filepath.Join(home, "bin", "kafka-up")); err != nil {
		t.Skipf("no Apache Kafka: set KAFKA_HOME to its folder (%v)", err)
	}
	if _, err := exec.LookPath("java"); err != nil {
		t.Skip("no Apache Kafka: it needs Java 17 or later on PATH")
	}
	home, err := filepath.Abs(home)
	if err != nil {
		t.Fatal(err)
	}
	k := &realKafka{t: t, home: home, dir: t.TempDir()}
	env := []string{"HEAP=256m", "WAIT=240"}
	if extra != "" {
		file := filepath.Join(k.dir, "extra.properties")
		if err := os.WriteFile(file, []byte(extra), 0o644); err != nil {
			t.Fatal(err)
		}
		env = append(env, "EXTRA="+file)
	}
	t.Cleanup(func() { k.down("KILL") })
	k.boot = strings.TrimSpace(k.run(env, "kafka-up", k.dir, fmt.Sprint(brokers)))
	return k
}

func (k *realKafka) brokers() []string { return strings.Split(k.boot, ",") }

// run runs one of Kafka's scripts and returns its output.
func (k *realKafka) run(env []string, name string, args ...string) string {
	k.t.Helper()
	out, err := k.try(env, name, args...)
	if err != nil {
		k.t.Fatal(err)
	}
	return out
}

func (k *realKafka) try(env []string, name string, args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(k.home, "bin", name), args...)
	cmd.Env = append(os.Environ(), env...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s %v: %w\n%s%s", name, args, err, out, errs.String())
	}
	return string(out), err
}

// down stops all brokers, or the named ones, with a signal.
func (k *realKafka) down(signal string, brokers ...string) {
	k.run([]string{"SIGNAL=" + signal}, "kafka-down", append([]string{k.dir}, brokers...)...)
}

// up starts all brokers again, or the named one. While a broker was down, a connection of another
// process may have taken its port. Then the broker ends, and up starts it once more.
func (k *realKafka) up(only string) {
	k.t.Helper()
	for tries := 3; ; tries-- {
		_, err := k.try([]string{"HEAP=256m", "WAIT=240", "ONLY=" + only}, "kafka-up", k.dir)
		if err == nil {
			return
		}
		said, _ := os.ReadFile(filepath.Join(k.dir, only, "log"))
		k.t.Logf("%v\nits log ends:\n%s", err, said[max(0, len(said)-2000):])
		if tries == 1 {
			k.t.Fatal("the broker does not come back")
		}
		if only != "" {
			_, _ = k.try([]string{"SIGNAL=KILL"}, "kafka-down", k.dir, only) // it may have ended already
		}
	}
}
