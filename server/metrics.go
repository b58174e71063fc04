package server

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"tapecast/ingest"
	"tapecast/loop"
	"tapecast/rooms"
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
		writeLoopMetrics(m, sockets)
		writePassMetrics(m, &sockets, s.table.Feeds())
		s.writeLagMetrics(m, e)
	}
	s.writeTLSMetrics(m)
	s.writeExpiryMetrics(m)
	s.writeAdminMetrics(m)
	s.writeRoomMetrics(m, &table)
	if c := s.consumer.Load(); c != nil {
		read, recalled = c.Stats(), c.RecallStats()
		writeIngestMetrics(m, &read)
		writeTopicMetrics(m, &read)
		writeRecallMetrics(m, &recalled)
	}
	writeMemoryMetrics(m, memoryParts(&sockets, &table, &read, &recalled))
	for _, t := range s.handler.Timings() {
		m.family(t.Name, "histogram", t.Help)
		t.Write(m.w)
	}
	metrics.WriteProcessMetrics(w)
	metrics.WriteFDMetrics(w)
}

func (s *Server) writeServerMetrics(m metricWriter) {
	m.gauge("tapecast_uptime_seconds", "Time since the process began.", time.Since(s.begun).Seconds())
	m.gauge("tapecast_ready", "1 if the node is ready for clients.", bit(s.isReady() && !s.draining.Load()))
	m.family("tapecast_service_up", "gauge", "1 if a service is healthy, 0.5 if it is degraded, 0 if it "+
		"is not healthy.")
	report := s.registry.Report()
	for _, r := range report {
		v := bit(r.Running && r.Status == registry.Healthy)
		if r.Running && r.Status == registry.Degraded {
			v = 0.5
		}
		m.labelled("tapecast_service_up", "service", r.Name, v)
	}
	m.family("tapecast_service_restarts_total", "counter", "Restarts of a service after a failure.")
	for _, r := range report {
		m.labelled("tapecast_service_restarts_total", "service", r.Name, float64(r.Restarts))
	}
	m.gauge("tapecast_pending_authentications", "Connections that have yet to authenticate.",
		float64(s.limit.Pending.Load()))
	m.counter("tapecast_auth_checks_total", "Tokens checked.", s.auth.Checked())
	m.counter("tapecast_auth_refused_total", "Tokens refused.", s.auth.Refused())
	s.writeKeyMetrics(m)
	s.writeSharedMetrics(m)
	s.writeRevocationMetrics(m)
	m.counter("tapecast_messages_received_total", "Messages received from clients.", s.limit.Requests.Load())
	m.counter("tapecast_request_errors_total", "Errors sent to clients.", s.handler.Faults())
	m.family("tapecast_requests_total", "counter", "Requests of clients, by method.")
	s.handler.Calls(func(method string, n uint64) {
		m.labelled("tapecast_requests_total", "method", method, float64(n))
	})
	m.family("tapecast_rooms_forbidden_total", "counter", "Rooms and wildcards that clients asked for and may not "+
		"join, by reason: another user's room (owner), a wildcard over private rooms (private_wildcard), claims "+
		"that do not fulfil allow (claims), a room that is not listed for clients without a token (anonymous).")
	s.handler.Forbidden(func(reason string, n uint64) {
		m.labelled("tapecast_rooms_forbidden_total", "reason", reason, float64(n))
	})
	m.counter("tapecast_rooms_withdrawn_total", "Rooms that connections were made to leave, because the claims of a "+
		"new token do not allow them.", s.handler.Withdrawn())
	m.gauge("tapecast_anonymous_connections", "Connections that were let in without a token.",
		float64(s.limit.Anonymous.Count()))
	m.counter("tapecast_services_authenticated_total", "Times that a service was authenticated (auth.services).",
		s.handler.Services())
	s.writeLogMetrics(m)
	m.gauge("tapecast_users", "Users that have a connection to this node.", float64(s.limit.Users.Len()))
	m.counter("tapecast_unknown_tiers_total", "Tokens that name a tier that limits.tiers does not have.",
		s.limit.UnknownTiers.Load())
	m.gauge("tapecast_request_debts", "Debts that are remembered: what connections, users and addresses owe for "+
		"requests, snapshots and bad tokens.", float64(s.limit.Debts()))
	m.counter("tapecast_request_debts_forgone_total", "Debts that were not remembered because there were too many.",
		s.limit.Forgone())
	s.writeWatchMetrics(m)
	m.family("tapecast_limited_total", "counter", "Connections, messages and rooms that a limit refused, by limit.")
	for k := range limits.Kinds {
		m.labelled("tapecast_limited_total", "limit", k.String(), float64(s.limit.Refused[k].Load()))
	}
}

func writeLoopMetrics(m metricWriter, e loop.Stats) {
	m.gauge("tapecast_connections", "Connections.", float64(e.Connections))
	m.gauge("tapecast_authenticated_connections", "Connections that have authenticated.", float64(e.Authenticated))
	m.gauge("tapecast_subscriptions", "Memberships: connections times rooms.", float64(e.Members))
	m.gauge("tapecast_wildcards", "Wildcards that connections hold.", float64(e.Wildcards))
	m.counter("tapecast_wildcards_full_total", "Wildcards that reached a limit when a room appeared, and join no "+
		"more rooms.", e.WildcardsFull)
	writeInputMetrics(m, &e)
	m.gauge("tapecast_blocked_connections", "Connections whose sockets take no more bytes for now.",
		float64(e.Blocked))
	m.counter("tapecast_accepted_total", "Sockets accepted.", e.Accepted)
	m.counter("tapecast_accept_failures_total", "Sockets that could not be accepted.", e.AcceptFailed)
	m.counter("tapecast_turned_away_total", "Sockets dropped without an answer because there were too many.",
		e.TurnedAway)
	m.counter("tapecast_proxy_headers_refused_total", "Connections from trusted proxies without a valid PROXY "+
		"protocol header.", e.HeadersRefused)
	m.counter("tapecast_forwarded_refused_total", "Requests from proxies of server.proxy.http whose field that names "+
		"the client cannot be read.", e.Unnamed)
	m.gauge("tapecast_half_open_connections", "Sockets that have not been upgraded.", float64(e.Gate.HalfOpen))
	m.gauge("tapecast_closing_connections", "Connections that are being closed.", float64(e.Gate.Closing))
	m.gauge("tapecast_surplus_connections", "Sockets beyond a limit that have yet to be told.",
		float64(e.Gate.Surplus))
	m.counter("tapecast_handshakes_total", "WebSocket upgrades granted.", e.Upgraded)
	m.counter("tapecast_files_served_total", "Requests to the public port for /client.js.", e.Files)
	m.counter("tapecast_handshakes_refused_total", "WebSocket upgrades refused.", e.Refused)
	m.counter("tapecast_handshake_timeouts_total", "Sockets that sent no complete upgrade request in time.",
		e.HandshakeTimeouts)
	m.counter("tapecast_pong_timeouts_total", "Connections cut because they stayed silent for too long.",
		e.PongTimeouts)
	m.counter("tapecast_resets_total", "Connections reset because their close frame could not be sent.", e.Resets)
	m.counter("tapecast_messages_sent_total", "Frames of rooms sent, counted once for each member.", e.Frames)
	m.counter("tapecast_bytes_sent_total", "Bytes that the kernel took, frame headers included.", e.Bytes)
	m.counter("tapecast_sends_total", "System calls that sent something.", e.Sends)
	m.counter("tapecast_partial_sends_total",
		"System calls that sent, and that the kernel did not take in full.", e.Partial)
	byKey(m, "tapecast_slow_total", "counter", "Members whose next messages were dropped, by what was done: skip or "+
		"close.", "action", map[string]uint64{"skip": e.Gaps, "close": e.LagClosed})
	m.counter("tapecast_gap_frames_total", "Frames that members missed because they skipped.", e.GapFrames)
	m.counter("tapecast_conflated_frames_total", "Frames that lagging members were not sent because a newer one of "+
		"the key was sent.", e.Conflated)
	m.counter("tapecast_snapshots_total", "Snapshots that were begun.", e.Snapshots)
	m.counter("tapecast_passes_total", "Passes over the members of a room.", e.Passes)
	m.counter("tapecast_pass_visits_total", "Members visited in passes.", e.Visits)
	m.family("tapecast_pass_seconds_total", "counter", "Time of all passes, from the first member to the last.")
	m.line("tapecast_pass_seconds_total", e.PassTime.Seconds())
	m.gauge("tapecast_pass_max_seconds", "The longest pass so far.", e.MaxPass.Seconds())
	byKey(m, "tapecast_closes_total", "counter", "Connections closed, by close code (1006: no close frame was seen).",
		"code", e.Closes)
}

func writeInputMetrics(m metricWriter, e *loop.Stats) {
	m.gauge("tapecast_inbox_events", "Events of all connections that wait for their loops.", float64(e.Inbox))
	m.gauge("tapecast_inbox_max_events", "The most events that have waited for one loop so far.", float64(e.InboxMost))
	m.gauge("tapecast_incoming_bytes", "Memory of messages and TLS records that clients have sent in part.",
		float64(e.Incoming))
	byKey(m, "tapecast_reads_put_off_total", "counter", "Times that input was read later: other connections came "+
		"first (turn), the loop had to catch up (inbox), too many small frames (pace).", "reason",
		map[string]uint64{"turn": e.PutOff.Turn, "inbox": e.PutOff.Inbox, "pace": e.PutOff.Pace})
}

func (s *Server) writeTLSMetrics(m metricWriter) {
	e := s.engine.Load()
	if e == nil || s.certificate == nil {
		return
	}
	writeHandshakeMetrics(m, e.Stats().TLS)
	m.gauge("tapecast_tls_certificate_expiry_seconds", "When the certificate expires, in Unix time.",
		float64(s.certificate.expires().Unix()))
	s.writeShown(m)
}

func writeHandshakeMetrics(m metricWriter, t loop.TLSStats) {
	m.counter("tapecast_tls_handshakes_total", "TLS handshakes completed.", t.Handshakes)
	m.counter("tapecast_tls_resumed_total", "TLS handshakes completed that resumed a session.", t.Resumed)
	m.counter("tapecast_tls_failures_total", "TLS handshakes that failed.", t.Failed)
	m.gauge("tapecast_tls_handshakes_running", "TLS handshakes that are being computed.", float64(t.Running))
	m.gauge("tapecast_tls_handshakes_parked", "TLS handshakes that wait for their clients.", float64(t.Parked))
	m.gauge("tapecast_tls_handshakes_waiting", "Connections whose TLS handshake waits for its turn or for a pass "+
		"to end.", float64(t.Waiting))
}

func (s *Server) writeRoomMetrics(m metricWriter, t *rooms.Stats) {
	m.gauge("tapecast_shards", "Shards: parts of the rooms, each with a goroutine that writes their tapes.",
		float64(t.Shards))
	m.gauge("tapecast_rooms", "Rooms that exist.", float64(t.Rooms))
	m.gauge("tapecast_rooms_empty", "Rooms that clients asked for and that have had no record. max_rooms bounds "+
		"them for a pattern, apart from other rooms, and limits.empty_rooms for a user.", float64(t.Empty))
	m.gauge("tapecast_appenders_waiting_records", "Records and events on their way to the appenders. A reader "+
		"waits while one appender has 64 batches waiting.", float64(t.Waiting))
	m.gauge("tapecast_appenders_waiting_requests", "Joins and leaves on their way to the appenders, counted for "+
		"each appender.", float64(t.Asked))
	m.gauge("tapecast_rooms_listened", "Rooms with members here.", float64(t.Listened))
	m.gauge("tapecast_tape_bytes", "Memory of all tapes.", float64(t.TapeBytes))
	m.gauge("tapecast_tape_budget_bytes", "The most memory that all tapes may take (memory.tapes).",
		float64(s.cfg.Memory.Tapes))
	m.counter("tapecast_appended_total", "Records written to tapes, counted once for each room.", t.Appended)
	m.counter("tapecast_appended_bytes_total", "Bytes of the values of records written to tapes.", t.Bytes)
	m.counter("tapecast_skipped_total", "Records skipped because nobody is in their room.", t.Skipped)
	m.counter("tapecast_rooms_refused_total", "Records refused because their room may not be created.", t.Refused)
	m.counter("tapecast_stale_total", "Records read a second time and not sent again.", t.Stale)
	m.counter("tapecast_deflated_frames_total", "Frames deflated, each once for all members that take deflated "+
		"frames.", t.Deflated)
	m.counter("tapecast_deflated_from_bytes_total", "Bytes of deflated frames before deflating.", t.DeflatedFrom)
	m.counter("tapecast_deflated_to_bytes_total", "Bytes of deflated frames after deflating.", t.DeflatedTo)
	m.gauge("tapecast_last_values_bytes", "Memory of all rooms' last values.", float64(t.LastBytes))
	m.gauge("tapecast_last_values_budget_bytes", "The most memory that all last values may take "+
		"(memory.last_values).", float64(s.cfg.LastValues()))
	m.counter("tapecast_last_values_evicted_total", "Last values forgotten because all of them took more than "+
		"memory.last_values. Their rooms are partial.", t.OutOfMemory)
	m.counter("tapecast_keys_expired_total", "Keys forgotten because nobody updated them for key_ttl.", t.Expired)
	m.counter("tapecast_keys_evicted_total", "Keys forgotten because their room had more than max_keys.", t.Evicted)
	m.counter("tapecast_tape_shed_total", "Chunks of tapes dropped early because memory.tapes was reached.", t.Shed)
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

// family begins a metric. Its lines follow.
func (m metricWriter) family(name, kind, help string) {
	fmt.Fprintf(m.w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func (m metricWriter) gauge(name, help string, v float64) {
	m.family(name, "gauge", help)
	m.line(name, v)
}

func (m metricWriter) counter(name, help string, v uint64) {
	m.family(name, "counter", help)
	fmt.Fprintf(m.w, "%s %d\n", name, v)
}

func (m metricWriter) line(name string, v float64) {
	fmt.Fprintf(m.w, "%s %s\n", name, strconv.FormatFloat(v, 'f', -1, 64))
}

func (m metricWriter) labelled(name, label, value string, v float64) {
	m.line(name+"{"+label+"="+strconv.Quote(value)+"}", v)
}

// byKey writes a metric whose values are in a map, in the order of their keys.
func byKey[K cmp.Ordered, V int64 | uint64](m metricWriter, name, kind, help, label string, values map[K]V) {
	m.family(name, kind, help)
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
