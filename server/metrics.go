package server

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"tapecast/ingest"
	"tapecast/loop"
	"tapecast/server/admin"
	"tapecast/server/limits"
	"tapecast/server/registry"
)

// serveMetrics answers /metrics: Prometheus text, or the services' figures if JSON is preferred.
func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) {
	if prefersJSON(strings.Join(r.Header.Values("Accept"), ",")) {
		admin.Answer(w, http.StatusOK, s.serviceFigures())
		return
	}
	var b bytes.Buffer
	s.writeMetrics(&b)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(b.Bytes()) // the client may be gone
}

type figuresJSON struct {
	Services map[string]map[string]any `json:"services"`
	Count    struct {
		Total       int `json:"total"`
		Running     int `json:"running"`
		Initialized int `json:"initialized"`
	} `json:"serviceCount"`
	Uptime  float64 `json:"uptime"` // s
	Pending int64   `json:"pendingAuthentications"`
}

func (s *Server) serviceFigures() figuresJSON {
	out := figuresJSON{Services: map[string]map[string]any{}, Uptime: time.Since(s.begun).Seconds(),
		Pending: s.limit.Pending.Load()}
	for _, r := range s.registry.Report() {
		out.Services[r.Name] = map[string]any{"status": r.Status, r.Figure: r.Value}
		out.Count.Total++
		if r.Running {
			out.Count.Running++
		}
		if r.Started {
			out.Count.Initialized++
		}
	}
	return out
}

// writeMetrics writes all metrics. Loops, rooms and ingest count them, so nothing is counted twice.
func (s *Server) writeMetrics(w io.Writer) {
	m := metricWriter{w: w}
	var sockets loop.Stats
	var read ingest.Stats
	var recalled ingest.RecallStats
	table := s.table.Stats()
	writeBuildInfo(m)
	s.writeServerMetrics(m)
	if e := s.engine.Load(); e != nil {
		sockets = e.Stats()
		m.figures(sockets)
		m.figures(sockets.Gate)
		byKey(m, "tapecast_slow_total", "action", map[string]uint64{"skip": sockets.Gaps, "close": sockets.LagClosed})
		writePassMetrics(m, &sockets, s.table.Feeds())
		s.writeLagMetrics(m, e)
	}
	s.writeTLSMetrics(m)
	s.writeExpiryMetrics(m)
	s.writeAdminMetrics(m)
	m.figures(table)
	put(m, "tapecast_tape_budget_bytes", s.cfg.Memory.Tapes)
	put(m, "tapecast_last_values_budget_bytes", s.cfg.LastValues())
	if c := s.consumer.Load(); c != nil {
		read, recalled = c.Stats(), c.RecallStats()
		m.figures(read)
		writeTopicMetrics(m, &read)
		m.figures(recalled)
	}
	byKey(m, "tapecast_memory_bytes", "part", memoryParts(&sockets, &table, &read, &recalled))
	for _, t := range s.handler.Timings() {
		m.family(t.Name)
		t.Write(m.w)
	}
	metrics.WriteProcessMetrics(w)
	metrics.WriteFDMetrics(w)
}

func (s *Server) writeServerMetrics(m metricWriter) {
	put(m, "tapecast_uptime_seconds", time.Since(s.begun).Seconds())
	put(m, "tapecast_ready", bit(s.isReady() && !s.draining.Load()))
	m.family("tapecast_service_up")
	report := s.registry.Report()
	for _, r := range report {
		v := bit(r.Running && r.Status == registry.Healthy)
		if r.Running && r.Status == registry.Degraded {
			v = 0.5
		}
		m.labelled("tapecast_service_up", "service", r.Name, v)
	}
	m.family("tapecast_service_restarts_total")
	for _, r := range report {
		m.labelled("tapecast_service_restarts_total", "service", r.Name, float64(r.Restarts))
	}
	put(m, "tapecast_pending_authentications", s.limit.Pending.Load())
	put(m, "tapecast_auth_checks_total", s.auth.Checked())
	put(m, "tapecast_auth_refused_total", s.auth.Refused())
	s.writeKeyMetrics(m)
	s.writeSharedMetrics(m)
	s.writeRevocationMetrics(m)
	s.writeTierMetrics(m)
	put(m, "tapecast_messages_received_total", s.limit.Requests.Load())
	put(m, "tapecast_request_errors_total", s.handler.Faults())
	m.family("tapecast_requests_total")
	s.handler.Calls(func(method string, n uint64) {
		m.labelled("tapecast_requests_total", "method", method, float64(n))
	})
	m.family("tapecast_rooms_forbidden_total")
	s.handler.Forbidden(func(reason string, n uint64) {
		m.labelled("tapecast_rooms_forbidden_total", "reason", reason, float64(n))
	})
	put(m, "tapecast_rooms_withdrawn_total", s.handler.Withdrawn())
	put(m, "tapecast_rules_closed_total", s.handler.Unruled())
	put(m, "tapecast_anonymous_connections", s.limit.Anonymous.Count())
	put(m, "tapecast_anonymous_addresses", s.limit.Guests.Len())
	put(m, "tapecast_services_authenticated_total", s.handler.Services())
	s.writeLogMetrics(m)
	put(m, "tapecast_users", s.limit.Users.Len())
	put(m, "tapecast_unknown_tiers_total", s.limit.UnknownTiers.Load())
	put(m, "tapecast_request_debts", s.limit.Debts())
	put(m, "tapecast_request_debts_forgone_total", s.limit.Forgone())
	put(m, "tapecast_standing", s.watchdog.standing())
	m.family("tapecast_limited_total")
	for k := range limits.Kinds {
		m.labelled("tapecast_limited_total", "limit", k.String(), float64(s.limit.Refused[k].Load()))
	}
}

func (s *Server) writeTLSMetrics(m metricWriter) {
	e := s.engine.Load()
	if e == nil || s.certificate == nil {
		return
	}
	m.figures(e.Stats().TLS)
	put(m, "tapecast_tls_certificate_expiry_seconds", s.certificate.expires().Unix())
	s.writeShown(m)
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// metricWriter writes Prometheus' text format:
// https://prometheus.io/docs/instrumenting/exposition_formats/
type metricWriter struct{ w io.Writer }

// metricText has a line for each metric of ours: its name, its kind, and what it is.
//
//go:embed metrics.txt
var metricText string

// metricHelp is what metricText says of a metric, by its name.
var metricHelp = func() map[string]string {
	help := map[string]string{}
	for line := range strings.Lines(metricText) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		help[name] = rest
	}
	return help
}()

// family begins a metric. Its lines follow.
func (m metricWriter) family(name string) {
	kind, help, _ := strings.Cut(metricHelp[name], " ")
	fmt.Fprintf(m.w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// put writes a metric without labels.
func put[V ~int | ~int64 | uint64 | float64](m metricWriter, name string, v V) {
	m.family(name)
	m.line(name, float64(v))
}

// figures writes the fields of a struct that have the tag metric, with the name of the figure, and those of
// structs that it embeds. The tag label says what the keys of a map are.
func (m metricWriter) figures(of any) {
	v := reflect.ValueOf(of)
	for i := range v.NumField() {
		f, x := v.Type().Field(i), v.Field(i)
		name := f.Tag.Get("metric")
		switch {
		case f.Anonymous:
			m.figures(x.Interface())
		case name == "":
		case x.Kind() == reflect.Map:
			values := map[string]float64{}
			for it := x.MapRange(); it.Next(); {
				values[fmt.Sprint(it.Key())] = number(it.Value())
			}
			byKey(m, name, f.Tag.Get("label"), values)
		default:
			put(m, name, number(x))
		}
	}
}

// rows writes the fields of structs that have the tag each, with the name of the figure. The key of a struct
// is the value of its label.
func rows[T any](m metricWriter, label string, of []T, key func(int) string) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		if name := f.Tag.Get("each"); name != "" {
			m.family(name)
			for i := range of {
				m.labelled(name, label, key(i), number(reflect.ValueOf(of[i]).FieldByIndex(f.Index)))
			}
		}
	}
}

// number returns a figure in Prometheus' units: a time in seconds, and true as 1.
func number(v reflect.Value) float64 {
	switch x := v.Interface().(type) {
	case time.Duration:
		return x.Seconds()
	case bool:
		return bit(x)
	}
	return v.Convert(reflect.TypeFor[float64]()).Float()
}

func (m metricWriter) line(name string, v float64) {
	fmt.Fprintf(m.w, "%s %s\n", name, strconv.FormatFloat(v, 'f', -1, 64))
}

func (m metricWriter) labelled(name, label, value string, v float64) {
	m.line(name+"{"+label+"="+strconv.Quote(value)+"}", v)
}

// byKey writes a metric whose values are in a map, in the order of their keys.
func byKey[K cmp.Ordered, V int64 | uint64 | float64](m metricWriter, name, label string, values map[K]V) {
	m.family(name)
	for _, k := range slices.Sorted(maps.Keys(values)) {
		m.labelled(name, label, fmt.Sprint(k), float64(values[k]))
	}
}

func prefersJSON(accept string) bool {
	return weightOf(accept, "application", "json") > weightOf(accept, "text", "plain")
}

// weightOf returns the weight of a media type in an Accept header: that of the most specific range
// that fits (RFC 9110, 12.5.1); 0: not wanted. Malformed ranges are left out.
func weightOf(accept, kind, sub string) (weight float64) {
	ranges := []string{"*/*", kind + "/*", kind + "/" + sub} // the most specific last
	best := -1
	for r := range strings.SplitSeq(accept, ",") {
		name, params, err := mime.ParseMediaType(r)
		if err != nil {
			continue
		}
		q := 1.0
		if text, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(text, 64); err != nil || !(q >= 0 && q <= 1) {
				continue
			}
		}
		if at := slices.Index(ranges, name); at > best {
			best, weight = at, q
		} else if at >= 0 && at == best {
			weight = max(weight, q)
		}
	}
	return weight
}
