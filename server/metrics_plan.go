package server

import (
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strconv"
	"time"

	"tapecast/ingest"
	"tapecast/loop"
	"tapecast/rooms"
	"tapecast/server/logging"
)

// This file writes the metrics for capacity planning: how sends are batched, how long passes take,
// how old messages are when they are sent, which members lag, where memory goes.

func writeBuildInfo(m metricWriter) {
	version, goVersion := Version()
	m.family("tapecast_build_info")
	m.line("tapecast_build_info{version="+strconv.Quote(version)+",goversion="+strconv.Quote(goVersion)+"}", 1)
}

func writePassMetrics(m metricWriter, e *loop.Stats, feeds []*rooms.Feed) {
	put(m, "tapecast_loops", len(e.Loops))
	rows(m, "loop", e.Loops, strconv.Itoa)
	one := func(name string, h *loop.Histogram, unit uint64, per float64) {
		m.family(name)
		m.histogram(name, "", h, unit, per)
	}
	one("tapecast_send_frames", &e.SendFrames, loop.UnitFrames, 1)
	one("tapecast_send_bytes", &e.SendBytes, loop.UnitBytes, 1)
	one("tapecast_pass_duration_seconds", &e.PassTimes, loop.UnitPass, 1e9)
	one("tapecast_pass_members", &e.PassMembers, loop.UnitMembers, 1)
	m.family("tapecast_freshness_seconds")
	for i, f := range feeds {
		m.histogram("tapecast_freshness_seconds", "topic="+strconv.Quote(f.Topic()), &e.Ages[i], loop.UnitAge, 1e3)
	}
}

// loopWait is how long an operator waits for figures that loops and appenders must look for. One
// that does not answer stands still or is busy: /health says so.
const loopWait = 500 * time.Millisecond

func (s *Server) writeLagMetrics(m metricWriter, e *loop.Engine) {
	var classes []string
	var lag []loop.Lag
	lags := e.Lags(loopWait)
	for _, p := range s.catalog.Patterns() {
		if !slices.Contains(classes, p.Class.Name) {
			classes, lag = append(classes, p.Class.Name), append(lag, lags[p.Class])
		}
	}
	rows(m, "class", lag, func(i int) string { return classes[i] })
}

// goMemory lists the Go runtime's figures of memory that is not returned to the system, by part.
// Their names are in https://pkg.go.dev/runtime/metrics.
var goMemory = []struct{ part, name string }{
	{"heap_other", "/memory/classes/heap/objects:bytes"}, // without what other parts use of it
	{"heap_free", "/memory/classes/heap/unused:bytes"},
	{"heap_free", "/memory/classes/heap/free:bytes"},
	{"stacks", "/memory/classes/heap/stacks:bytes"},
	{"stacks", "/memory/classes/os-stacks:bytes"},
	{"runtime", "/memory/classes/metadata/mcache/free:bytes"},
	{"runtime", "/memory/classes/metadata/mcache/inuse:bytes"},
	{"runtime", "/memory/classes/metadata/mspan/free:bytes"},
	{"runtime", "/memory/classes/metadata/mspan/inuse:bytes"},
	{"runtime", "/memory/classes/metadata/other:bytes"},
	{"runtime", "/memory/classes/profiling/buckets:bytes"},
	{"runtime", "/memory/classes/other:bytes"},
}

// memoryParts returns the memory of each part. The kernel's memory for sockets is not included.
func memoryParts(e *loop.Stats, t *rooms.Stats, i *ingest.Stats, r *ingest.RecallStats) map[string]int64 {
	parts := map[string]int64{
		"connections": e.ConnBytes, "memberships": e.MemberBytes, "rooms": t.RoomBytes,
		"tapes": t.TapeBytes, "last_values": t.LastBytes, "recall": int64(r.Kept + r.Handed),
		"incoming": e.Incoming,
	}
	var counted int64
	for _, n := range parts {
		counted += n
	}
	samples := make([]metrics.Sample, len(goMemory))
	for k := range goMemory {
		samples[k].Name = goMemory[k].name
	}
	metrics.Read(samples)
	for k, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 {
			parts[goMemory[k].part] += int64(s.Value.Uint64())
		}
	}
	parts["heap_other"] = max(parts["heap_other"]-counted, 0)
	parts["kafka_queues"] = i.QueuedBytes // librdkafka's, outside of Go's heap
	return parts
}

// histogram writes the series of one histogram, divided by per. labels are its own, without braces.
func (m metricWriter) histogram(name, labels string, h *loop.Histogram, unit uint64, per float64) {
	before, alone := "", ""
	if labels != "" {
		before, alone = labels+",", "{"+labels+"}"
	}
	sum := uint64(0)
	for i := range loop.Buckets {
		sum += h.Counts[i]
		le := strconv.FormatFloat(float64(unit<<i)/per, 'f', -1, 64)
		m.line(name+"_bucket{"+before+`le="`+le+`"}`, float64(sum))
	}
	sum += h.Counts[loop.Buckets]
	m.line(name+"_bucket{"+before+`le="+Inf"}`, float64(sum))
	m.line(name+"_sum"+alone, float64(h.Sum)/per)
	m.line(name+"_count"+alone, float64(sum))
}

func (s *Server) writeLogMetrics(m metricWriter) {
	put(m, "tapecast_log_dropped_total", s.logDropped())
	put(m, "tapecast_log_errors_total", s.security.File().Failed()+logging.QueueOf(s.log).Failed())
	put(m, "tapecast_security_suppressed_total", s.security.Suppressed())
}

func (s *Server) logDropped() uint64 {
	return s.security.File().Dropped() + logging.QueueOf(s.log).Dropped()
}

// Version returns the module's version, or else the commit that it was built from (with "modified"
// after it if files had changed), and the version of Go.
func Version() (version, goVersion string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)", "(unknown)"
	}
	v, dirty := info.Main.Version, ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && (v == "" || v == "(devel)"):
			v = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = ", modified"
		}
	}
	return v + dirty, info.GoVersion
}
