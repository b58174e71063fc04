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

// ReplayConfig has a fanout publish a recording in place of values of its own:
// each value as it was recorded, with a stamp at its end (value.go), under its
// recorded key.
type ReplayConfig struct {
	// File holds a record a line, plain or gzip'ed: its time (ns), its key and its
	// value, a JSON object, with tabs between them; or time, kind, key and value.
	File string
	// Pace is how many times as fast as it was recorded it goes on. With the
	// fanout's Rate in place of it, it is 0 or 1.
	Pace float64
	// Loop has it begin anew where it ends before the run does.
	Loop bool
}

// recording is what a run takes of a file.
type recording struct {
	job.Round
	values  [][]byte // without the brace that ends each
	whole   bool     // it holds the file to its end
	longest int      // bytes of a value with its stamp
	bytes   int64    // of all of them
	about   Recording
}

// Recording is what a result says of the recording that was replayed.
type Recording struct {
	File    string  `json:"file"`
	Records int     `json:"records"` // of the file, as far as the run took them
	Keys    int     `json:"keys"`
	Pace    float64 `json:"pace,omitempty"` // 0: at a constant rate
	Round   float64 `json:"round_s"`        // what one round takes
	Busiest int     `json:"busiest_s"`      // most messages that are due within one second
	Looped  bool    `json:"looped"`         // it began anew before the run ended
}

// check reads what the run takes of the file.
func (x *ReplayConfig) check(c *FanoutConfig) error {
	switch {
	case c.Target.Foreign() || c.AutoJoin || c.Baseline || c.Group > 0 || c.Keys > 1 || len(c.Feeds) > 0 ||
		c.Churn != nil || c.Storm != nil:
		return job.Inputf("a replay goes with none of --protocol, --auto-join, --baseline, --group, --keys, further " +
			"feeds, churn and storm")
	case len(c.Rooms) != 1:
		return job.Inputf("--room: a replay has one, or one for each key with {key} in its name")
	case c.Warmup < 0:
		return job.Inputf("--warmup %s: none, or more", c.Warmup)
	case x.File == "":
		return job.Inputf("--file names no recording")
	case c.Rate > 0 && x.Pace != 0 && x.Pace != 1:
		return job.Inputf("both --pace and --rate are given: keep one")
	case c.Rate < 0:
		return job.Inputf("--rate %v: messages a second, more than 0", c.Rate)
	case c.Rate == 0 && !(x.Pace >= 1e-6 && x.Pace <= 1e6):
		return job.Inputf("--pace %v: how many times as fast as it was recorded, 0.000001 to 1000000", x.Pace)
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

// fit sets the recorded times to the pace. It returns an error where there is not enough for the
// run: most messages, where they have a rate.
func (r *recording) fit(x *ReplayConfig, c *FanoutConfig, most int64) error {
	run := c.Warmup + c.Duration
	r.about = Recording{File: filepath.Base(x.File), Records: len(r.values), Keys: len(r.Keys)}
	if c.Rate > 0 {
		if r.about.Looped = int64(len(r.values)) < most; r.about.Looped && !x.Loop {
			return job.Inputf("--file %s has %d records, but --warmup and --duration take %d at --rate %v: use "+
				"--loop, or a shorter --duration", x.File, len(r.values), most, c.Rate)
		}
		r.Due, r.about.Round, r.about.Busiest = nil, float64(len(r.values))/c.Rate, int(math.Ceil(c.Rate))
		return nil
	}
	for k, at := range r.Due {
		r.Due[k] = int64(float64(at) / x.Pace)
	}
	// The last record has its time too: what one has in the mean.
	last := r.Due[len(r.Due)-1]
	r.Period = last + last/int64(max(1, len(r.Due)-1))
	if r.whole {
		switch r.about.Looped = r.Period < int64(run); {
		case r.about.Looped && !x.Loop:
			return job.Inputf("--file %s lasts %s at --pace %v, but --warmup and --duration take %s: use --loop, or a "+
				"shorter --duration", x.File, time.Duration(r.Period).Round(time.Millisecond), x.Pace, run)
		case r.about.Looped && r.Period == 0:
			return job.Inputf("--file %s: all its records are of one time, which is no pace to --loop at: use --rate",
				x.File)
		}
	}
	if !r.about.Looped {
		r.Period = max(r.Period, int64(run))
	}
	r.about.Pace, r.about.Round, r.about.Busiest = x.Pace, float64(r.Period)/1e9, r.Busiest()
	return nil
}

// maxRecorded bounds what is held of a recording, in bytes of values.
const maxRecorded = 1 << 30

// maxLine bounds one of its lines, in bytes.
const maxLine = 16 << 20

// readRecording reads the records of a file as long as more says so of the next one:
// its number, and its time since the first one's, which Due has in the end.
func readRecording(file string, more func(n int, since time.Duration) bool) (*recording, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, job.ReasonOf(err)
	}
	defer func() { _ = f.Close() }() // opened for reading
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
			return nil, fmt.Errorf("line %d: its time is before that of the line above: sort the lines by it", n+1)
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
			return nil, fmt.Errorf("the run takes more than %d MiB of it: use a shorter --duration", maxRecorded>>20)
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
			errors.New("it is empty: it takes lines of a time in ns, a key and a JSON object, with tabs between them")
	}
	return r, nil
}

// parseRecord takes a line apart. JSON that is written on one line has no tab.
func parseRecord(line []byte) (at int64, key, value []byte, err error) {
	f := bytes.Split(line, []byte{'\t'})
	switch len(f) {
	case 3:
		key, value = f[1], f[2]
	case 4: // the second says of what kind it is
		key, value = f[2], f[3]
	default:
		return 0, nil, nil, fmt.Errorf("%.40q is not a time, a key and a value with tabs between them", line)
	}
	if at, err = strconv.ParseInt(string(f[0]), 10, 64); err != nil || at < 0 {
		return 0, nil, nil, fmt.Errorf("%.40q is no time in ns", f[0])
	}
	if len(value) < 2 || value[0] != '{' || value[len(value)-1] != '}' || !json.Valid(value) || !utf8.Valid(value) {
		return 0, nil, nil, fmt.Errorf("the value is no JSON object: %.40q", value)
	}
	if len(bytes.TrimSpace(value[1:len(value)-1])) == 0 {
		return 0, nil, nil, errors.New("the value is an empty object")
	}
	for _, name := range job.StampMembers {
		if bytes.Contains(value, []byte(name)) {
			return 0, nil, nil, fmt.Errorf("the value has a member %s of its own, which its stamp would have",
				name[:len(name)-1])
		}
	}
	return at, key, value, nil
}
