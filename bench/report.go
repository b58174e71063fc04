package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tapecast/bench/job"
	"tapecast/bench/text"
)

// ResultVersion is the version of result files. It may get more fields, but none changes its meaning.
const ResultVersion = 1

// Header is the start of a result file.
type Header struct {
	Version int       `json:"version"`
	Command []string  `json:"command"` // without secrets
	Start   time.Time `json:"start"`
	Machine Machine   `json:"machine"`
}

// Machine is the bench's machine. It is the gateway's only if that is on loopback.
type Machine struct {
	Cores    int    `json:"cores"`
	CPU      string `json:"cpu"`
	Kernel   string `json:"kernel"`
	Memory   int64  `json:"memory"` // bytes
	Go       string `json:"go"`
	Commit   string `json:"commit,omitempty"`   // of the bench. "": built outside a repository
	Modified bool   `json:"modified,omitempty"` // the sources differ from that commit
}

// NewHeader describes a run of command that began at start, on this machine.
func NewHeader(command []string, start time.Time) Header {
	return Header{Version: ResultVersion, Command: command, Start: start.UTC().Truncate(time.Millisecond),
		Machine: thisMachine()}
}

func thisMachine() Machine {
	m := Machine{Cores: runtime.NumCPU(), CPU: cpuModel("/proc/cpuinfo"), Go: runtime.Version()}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
	}
	var s unix.Sysinfo_t
	if unix.Sysinfo(&s) == nil {
		m.Memory = int64(s.Totalram) * int64(s.Unit)
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				m.Commit = s.Value
			case "vcs.modified":
				m.Modified = s.Value == "true"
			}
		}
	}
	return m
}

func cpuModel(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// String returns the machine in one line.
func (m Machine) String() string {
	s := fmt.Sprintf("%d cores of %s · %s of memory · %s · %s", m.Cores, m.CPU, text.Size(float64(m.Memory)), m.Kernel,
		m.Go)
	if m.Commit != "" {
		s += " · commit " + m.Commit[:min(12, len(m.Commit))]
		if m.Modified {
			s += " with changes"
		}
	}
	return s
}

// WriteJSON writes a result with its header before its own fields. A result with a version
// of its own, like a calibration, gets no header.
func WriteJSON(w io.Writer, h Header, result any) error {
	a, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("cannot write the result: %w", err)
	}
	b, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("cannot write the result: %w", err)
	}
	if len(b) < 3 || b[0] != '{' {
		panic(fmt.Sprintf("BUG: a result must be an object with fields, not %.20q", b))
	}
	var own struct{ Version int }
	if err := json.Unmarshal(b, &own); err != nil || own.Version == 0 {
		a[len(a)-1] = ','
		b = append(a, b[1:]...)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		return fmt.Errorf("cannot write the result: %w", err)
	}
	out.WriteByte('\n')
	_, err = w.Write(out.Bytes())
	return err
}

// Result is a fanout's result file.
type Result struct {
	Header
	FanoutResult
}

// ReadResult reads a FanoutResult that WriteJSON wrote. Any other file is an InputError.
func ReadResult(file string) (*Result, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, job.Inputf("cannot read %s: %v", file, job.ReasonOf(err))
	}
	r := &Result{}
	err = json.Unmarshal(b, &r.Header)
	switch {
	case err != nil:
		return nil, job.Inputf("%s is not a result file (%v): write one with --out", file, err)
	case r.Version != ResultVersion:
		return nil, job.Inputf("%s has version %d of result files, this tapecast-bench reads %d: measure it again",
			file, r.Version, ResultVersion)
	}
	if err := json.Unmarshal(b, &r.FanoutResult); err != nil {
		return nil, job.Inputf("%s has no result that can be compared (%v)", file, err)
	}
	if len(r.Runs) == 0 {
		return nil, job.Inputf("%s has no runs: only results of fanouts can be compared", file)
	}
	for k, g := range r.Runs {
		if g == nil {
			return nil, job.Inputf("%s: run %d is null", file, k+1)
		}
	}
	return r, nil
}
