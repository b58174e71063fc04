package bench

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"
	"unicode/utf8"

	"tapecast/bench/job"
)

// ReplayConfig makes a fanout publish a recording in place of its own values. Each recorded
// value keeps its bytes and its key, and gets a stamp at its end (value.go).
type ReplayConfig struct {
	// File holds one record a line, plain or gzipped. A line is time (ns), key and value
	// with tabs between them, or time, kind, key and value. The value is a JSON object.
	File string
	// Pace is the speed relative to the recording. With the fanout's Rate in its place, it
	// is 0 or 1.
	Pace float64
	// Loop starts the recording again if it ends before the run.
	Loop bool
}

// recording is the part of a file that a run uses.
type recording struct {
	job.Round
	values  [][]byte // each without its closing brace
	whole   bool     // it holds the file to its end
	longest int      // bytes of a value with its stamp
	bytes   int64    // of all values
	about   Recording
}

// Recording describes a replayed recording in a result.
type Recording struct {
	File    string  `json:"file"`
	Records int     `json:"records"` // of the file, as far as the run used it
	Keys    int     `json:"keys"`
	Pace    float64 `json:"pace,omitempty"` // 0: at a constant rate
	Round   float64 `json:"round_s"`        // duration of one round
	Busiest int     `json:"busiest_s"`      // most messages that are due within one second
	Looped  bool    `json:"looped"`         // it started again before the run ended
}

// check reads the part of the file that the run uses.
func (x *ReplayConfig) check(c *FanoutConfig) error {
	switch {
	case c.Target.Foreign() || c.AutoJoin || c.Baseline || c.Group > 0 || c.Keys > 1 || len(c.Feeds) > 0 ||
		c.Churn != nil || c.Storm != nil:
		return job.Inputf("a replay cannot be combined with --protocol, --auto-join, --baseline, --group, --keys, " +
			"further feeds, churn or storm")
	case len(c.Rooms) != 1:
		return job.Inputf("--room: a replay has one room, or with {key} in the name one room for each key")
	case c.Warmup < 0:
		return job.Inputf("--warmup %s: it cannot be negative", c.Warmup)
	case x.File == "":
		return job.Inputf("--file names no recording")
	case c.Rate > 0 && x.Pace != 0 && x.Pace != 1:
		return job.Inputf("both --pace and --rate are given: keep one")
	case c.Rate < 0:
		return job.Inputf("--rate %v: it must be more than 0, messages a second", c.Rate)
	case c.Rate == 0 && !(x.Pace >= 1e-6 && x.Pace <= 1e6):
		return job.Inputf("--pace %v: it must be 0.000001 to 1000000, the speed relative to the recording", x.Pace)
	}
	var most int64 = math.MaxInt64
	if c.Rate > 0 {
		s, err := job.NewSchedule(0, c.Rate)
		if err != nil {
			return job.Inputf("--rate: %v", err)
		}
		most = s.Before(int64(c.Warmup+c.Duration) - 1)
	}
	r, err := readRecording(x.File, func(n int, since time.Duration) bool {
		return int64(n) < most && (c.Rate > 0 || float64(since)/x.Pace < float64(c.Warmup+c.Duration))
	})
	if err != nil {
		return job.Inputf("--file %s: %v", x.File, err)
	}
	if err := r.fit(x, c, most); err != nil {
		return err
	}
	c.recorded, c.Size = r, int(r.bytes/int64(len(r.values)))
	if s, err := c.schedule(0); err == nil && r.Due != nil {
		n := s.Before(int64(c.Warmup+c.Duration)-1) - s.Before(int64(c.Warmup)-1)
		c.Rate = float64(n) / c.Duration.Seconds()
	}
	return nil
}

// fit scales the recorded times to the pace. It returns an error if the recording is too
// short for the run. At a rate, the run takes most messages.
func (r *recording) fit(x *ReplayConfig, c *FanoutConfig, most int64) error {
	run := c.Warmup + c.Duration
	r.about = Recording{File: filepath.Base(x.File), Records: len(r.values), Keys: len(r.Keys)}
	if c.Rate > 0 {
		if r.about.Looped = int64(len(r.values)) < most; r.about.Looped && !x.Loop {
			return job.Inputf("--file %s has %d records, but --warmup and --duration need %d at --rate %v: use "+
				"--loop, or a shorter --duration", x.File, len(r.values), most, c.Rate)
		}
		r.Due, r.about.Round, r.about.Busiest = nil, float64(len(r.values))/c.Rate, int(math.Ceil(c.Rate))
		return nil
	}
	for k, at := range r.Due {
		r.Due[k] = int64(float64(at) / x.Pace)
	}
	// The last record lasts as long as records do on average.
	last := r.Due[len(r.Due)-1]
	r.Period = last + last/int64(max(1, len(r.Due)-1))
	if r.whole {
		switch r.about.Looped = r.Period < int64(run); {
		case r.about.Looped && !x.Loop:
			return job.Inputf("--file %s lasts %s at --pace %v, but --warmup and --duration need %s: use --loop, or a "+
				"shorter --duration", x.File, time.Duration(r.Period).Round(time.Millisecond), x.Pace, run)
		case r.about.Looped && r.Period == 0:
			return job.Inputf("--file %s: all its records have the same time, so --loop has no pace: use --rate",
				x.File)
		}
	}
	if !r.about.Looped {
		r.Period = max(r.Period, int64(run))
	}
	r.about.Pace, r.about.Round, r.about.Busiest = x.Pace, float64(r.Period)/1e9, r.Busiest()
	return nil
}

// maxRecorded bounds the values of a recording in memory, in bytes.
const maxRecorded = 1 << 30

// maxLine bounds one line, in bytes.
const maxLine = 16 << 20

// readRecording reads the records of a file. Before each it asks more, with the record's
// number and its time since the first one. Due has those times when it returns.
func readRecording(file string, more func(n int, since time.Duration) bool) (*recording, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, job.ReasonOf(err)
	}
	defer func() { _ = f.Close() }() // opened for reading only
	in := bufio.NewReaderSize(f, 1<<16)
	var text io.Reader = in
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		if text, err = gzip.NewReader(in); err != nil {
			return nil, err
		}
	}
	lines := bufio.NewScanner(text)
	lines.Buffer(make([]byte, 1<<16), maxLine)
	r := &recording{whole: true}
	streams := map[string]int32{}
	var first, before int64
	for n := 0; lines.Scan(); n++ {
		at, key, value, err := parseRecord(lines.Bytes())
		if n == 0 {
			first, before = at, at
		}
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		case at < before:
			return nil, fmt.Errorf("line %d: its time is before that of the line above: sort the lines by time", n+1)
		case !more(n, time.Duration(at-first)):
			r.whole = false
			return r, nil
		}
		before = at
		s, known := streams[string(key)]
		if !known {
			s = int32(len(r.Keys))
			streams[string(key)] = s
			r.Keys = append(r.Keys, string(key))
		}
		size := len(value) + job.StampSize - 1
		if r.bytes += int64(size); r.bytes > maxRecorded {
			return nil, fmt.Errorf("the run needs more than %d MiB of it: use a shorter --duration", maxRecorded>>20)
		}
		r.longest = max(r.longest, size)
		r.Due, r.Streams = append(r.Due, at-first), append(r.Streams, s)
		r.values = append(r.values, bytes.Clone(value[:len(value)-1]))
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("line %d is longer than %d MiB", len(r.values)+1, maxLine>>20)
	case err != nil:
		return nil, fmt.Errorf("line %d: %w", len(r.values)+1, err)
	case len(r.values) == 0:
		return nil,
			errors.New("it is empty: each line must hold a time in ns, a key and a JSON object, with tabs between them")
	}
	return r, nil
}

// parseRecord parses a line. JSON on one line holds no tab.
func parseRecord(line []byte) (at int64, key, value []byte, err error) {
	f := bytes.Split(line, []byte{'\t'})
	switch len(f) {
	case 3:
		key, value = f[1], f[2]
	case 4: // the second field is the record's kind
		key, value = f[2], f[3]
	default:
		return 0, nil, nil, fmt.Errorf("%.40q is not a time, a key and a value with tabs between them", line)
	}
	if at, err = strconv.ParseInt(string(f[0]), 10, 64); err != nil || at < 0 {
		return 0, nil, nil, fmt.Errorf("%.40q is not a time in ns", f[0])
	}
	if len(value) < 2 || value[0] != '{' || value[len(value)-1] != '}' || !json.Valid(value) || !utf8.Valid(value) {
		return 0, nil, nil, fmt.Errorf("the value is not a JSON object: %.40q", value)
	}
	if len(bytes.TrimSpace(value[1:len(value)-1])) == 0 {
		return 0, nil, nil, errors.New("the value is an empty object")
	}
	for _, name := range job.StampMembers {
		if bytes.Contains(value, []byte(name)) {
			return 0, nil, nil, fmt.Errorf("the value already has a member %s, which the stamp needs",
				name[:len(name)-1])
		}
	}
	return at, key, value, nil
}
