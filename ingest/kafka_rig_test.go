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

// startKafka starts one broker or three, or skips where Kafka or Java is missing.
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
	env := []string{"HEAP=256m"}
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

// run runs one of Kafka's scripts and returns what it prints.
func (k *realKafka) run(env []string, name string, args ...string) string {
	k.t.Helper()
	cmd := exec.Command(filepath.Join(k.home, "bin", name), args...)
	cmd.Env = append(os.Environ(), env...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		k.t.Fatalf("%s %v: %v\n%s%s", name, args, err, out, errs.String())
	}
	return string(out)
}

// down stops all brokers, or those named, with a signal.
func (k *realKafka) down(signal string, brokers ...string) {
	k.run([]string{"SIGNAL=" + signal}, "kafka-down", append([]string{k.dir}, brokers...)...)
}

// up brings all brokers back, or the one named.
func (k *realKafka) up(only string) {
	k.run([]string{"HEAP=256m", "ONLY=" + only}, "kafka-up", k.dir)
}
