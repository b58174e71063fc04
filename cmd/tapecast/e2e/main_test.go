package e2e

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"
)

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", fmt.Sprint(atOnce())); err != nil {
			panic(err)
		}
	}
	os.Exit(run(m))
}

// atOnce returns how many tests run at the same time, each with one to three gateways. A test
// mostly waits, so there are more than processors. Under the race detector it works more.
func atOnce() int {
	if raceEnabled {
		return max(2, runtime.NumCPU())
	}
	return runtime.NumCPU() + 2
}
