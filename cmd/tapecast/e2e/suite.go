package e2e

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// run runs all tests, between the start and the end of what they share.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tapecast-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	suite.dir = dir
	if err := writeAdminToken(adminTokenFile()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	suite.reap, err = startReaper(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer suite.reap.stop()
	if flag.Lookup("test.run").Value.String() == "" && noKafka() == "" {
		go sharedKafka() // it takes seconds, and tests without Kafka don't wait for it
	}
	return m.Run()
}

func writeAdminToken(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(adminToken), 0o600)
}

// suite is what all tests share.
var suite struct {
	dir  string // the reaper removes it
	reap *reaper

	build    sync.Once
	buildErr error

	onKafka atomic.Int64 // tests that used the real cluster so far
}

// built returns the gateway. It is built on first use in the same way as the test itself:
// with the race detector if the test has it, with counters if GOCOVERDIR is set.
func built(t testing.TB) string {
	t.Helper()
	suite.build.Do(func() {
		args := []string{"build", "-o", filepath.Join(suite.dir, "tapecast")}
		if raceEnabled {
			args = append(args, "-race")
		}
		if os.Getenv("GOCOVERDIR") != "" {
			args = append(args, "-cover")
			if pkgs := os.Getenv("TAPECAST_COVERPKG"); pkgs != "" {
				args = append(args, "-coverpkg="+pkgs)
			}
		}
		out, err := exec.Command("go", append(args, "tapecast/cmd/tapecast")...).CombinedOutput()
		if err != nil {
			suite.buildErr = fmt.Errorf("cannot build the gateway: %w\n%s", err, out)
		}
	})
	if suite.buildErr != nil {
		t.Fatal(suite.buildErr)
	}
	return filepath.Join(suite.dir, "tapecast")
}

// lines calls f with each line of r.
func lines(r io.Reader, f func([]byte)) {
	s := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := s.ReadBytes('\n')
		if line = bytes.TrimRight(line, "\n"); len(line) > 0 {
			f(line)
		}
		if err != nil {
			return
		}
	}
}
