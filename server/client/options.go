package client

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"
)

// Option is an option of Connect: a With function, or a Handler for the events of all rooms.
type Option interface{ connect(*options) }

// RoomOption is an option of Tape.Room: Keys, MaxRate, Snapshot, Load, or a Handler for its events.
type RoomOption interface{ room(*roomOptions) }

type options struct {
	url      string
	token    func(context.Context) (string, error) // nil: anonymous
	storage  Storage
	client   *http.Client
	log      *slog.Logger
	handlers []Handler

	// What tests replace.
	now     func() time.Time
	random  func() float64
	goodbye time.Duration
	manual  bool                // no timer runs by itself
	dials   func() (end func()) // called around each connection
}

type roomOptions struct {
	keys     []string
	maxRate  float64
	snapshot *bool
	load     func(context.Context) (any, From, error)
	handlers []Handler
}

type option func(*options)

func (f option) connect(o *options) { f(o) }

type roomOption func(*roomOptions)

func (f roomOption) room(o *roomOptions) { f(o) }

// WithToken has get called for each connection, and before a token expires. It must return when its
// context is done. Without this option the client asks for access without a token.
func WithToken(get func(context.Context) (string, error)) Option {
	return option(func(o *options) { o.token = get })
}

// WithStorage keeps positions across runs of the program, of rooms without a snapshot.
func WithStorage(s Storage) Option { return option(func(o *options) { o.storage = s }) }

// WithHTTPClient has c open the connections. Its Timeout bounds the opening, and nothing after it.
func WithHTTPClient(c *http.Client) Option { return option(func(o *options) { o.client = c }) }

// WithTLS sets the TLS configuration for wss. The default trusts the system's certificates.
func WithTLS(cfg *tls.Config) Option {
	return option(func(o *options) { o.client = httpClient(cfg) })
}

// WithLogger takes errors that no handler takes. The default is slog.Default.
func WithLogger(l *slog.Logger) Option { return option(func(o *options) { o.log = l }) }

func httpClient(cfg *tls.Config) *http.Client {
	// Connections that were refused are not kept: nothing of them outlives Close.
	return &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: cfg, DisableKeepAlives: true,
	}}
}

func newOptions(url string, opts []Option) options {
	o := options{
		url: url, client: httpClient(nil), log: slog.Default(), now: time.Now, random: rand.Float64,
		goodbye: goodbye, dials: func() func() { return func() {} },
	}
	for _, opt := range opts {
		opt.connect(&o)
	}
	return o
}

// Keys has the room send these keys only.
func Keys(keys ...string) RoomOption { return roomOption(func(o *roomOptions) { o.keys = keys }) }

// MaxRate is the most sends a second.
func MaxRate(perSecond float64) RoomOption {
	return roomOption(func(o *roomOptions) { o.maxRate = perSecond })
}

// Snapshot is whether the room begins with its last values. The default is true.
func Snapshot(wanted bool) RoomOption {
	return roomOption(func(o *roomOptions) { o.snapshot = &wanted })
}

// Load gets the application's own state, and the positions that it is true of: the room goes on from
// there. It is called again after a gap or reset, of a wildcard after one in any of its rooms. It
// runs on a goroutine of its own, and must return when its context is done. What it returned comes
// as OnLoad; the messages after it come later.
func Load(load func(context.Context) (state any, at From, err error)) RoomOption {
	return roomOption(func(o *roomOptions) { o.load = load })
}

// Handler takes one kind of event. As an option of Tape.Room, or with Room.On, it takes those of one
// room or wildcard; as an option of Connect, or with Tape.On, those of all rooms.
//
// All handlers of a client run on one goroutine, one after the other. They may use the client and
// its rooms, but not wait for it, as Call and Close do. While a handler runs, nothing is read.
type Handler struct {
	kind kind
	take func(event)
}

func (h Handler) connect(o *options)  { o.handlers = append(o.handlers, h) }
func (h Handler) room(o *roomOptions) { o.handlers = append(o.handlers, h) }

type kind int

const (
	onMessage kind = iota
	onGap
	onReset
	onJoined
	onLoad
	onError
	onState
	onNotice
	onCall // a function of the client's own, run like a handler
)

// event is something that handlers are told of.
type event struct {
	kind kind
	of   *Room  // nil: of the connection
	name string // of the room that an error is about
	what any
}

// OnMessage takes the messages, also of a wildcard's rooms.
func OnMessage(f func(Message)) Handler {
	return Handler{onMessage, func(e event) { f(*e.what.(*Message)) }}
}

// OnGap takes gaps.
func OnGap(f func(Gap)) Handler { return Handler{onGap, func(e event) { f(e.what.(Gap)) }} }

// OnReset takes resets.
func OnReset(f func(Reset)) Handler { return Handler{onReset, func(e event) { f(e.what.(Reset)) }} }

// OnJoined takes what the gateway answered to joins.
func OnJoined(f func(Joined)) Handler {
	return Handler{onJoined, func(e event) { f(e.what.(Joined)) }}
}

// OnLoad takes what Load returned.
func OnLoad(f func(state any)) Handler { return Handler{onLoad, func(e event) { f(e.what) }} }

// OnError takes errors: a refusal for good, by code and room, or a fault of the connection, where
// room is empty. Without a handler they are logged.
func OnError(f func(err *Error, room string)) Handler {
	return Handler{onError, func(e event) { f(e.what.(*Error), e.name) }}
}

// OnState takes the states of the connection. It is for Connect and Tape.On.
func OnState(f func(State, Ending)) Handler {
	return Handler{onState, func(e event) { s := e.what.(status); f(s.is, s.why) }}
}

// OnNotice takes each notice of the gateway, as it came. It is for Connect and Tape.On.
func OnNotice(f func(method string, params json.RawMessage)) Handler {
	return Handler{onNotice, func(e event) { f(e.name, e.what.(json.RawMessage)) }}
}

type status struct {
	is  State
	why Ending
}
