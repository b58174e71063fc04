package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"tapecast/server/client"
)

// tail prints the messages of rooms. What belongs to its handlers is used by the client's goroutine only.
type tail struct {
	target
	keys      []string
	rate      float64
	positions string
	renew     bool // make a token for each connection
	e         *env
	end       context.CancelFunc
	printed   int
	refused   map[string]bool // rooms that the gateway refuses for good
	failed    error
	unprinted atomic.Bool // a message came that could not be printed
}

// printed stores positions as long as all that came was printed. What was printed since then comes again.
type printed struct {
	client.Storage
	unless *atomic.Bool
}

// Save implements client.Storage.
func (p *printed) Save(positions []byte) error {
	if p.unless.Load() {
		return nil
	}
	return p.Storage.Save(positions)
}

func tailCommand(e *env) *cobra.Command {
	w := tail{e: e, refused: map[string]bool{}}
	c := &cobra.Command{
		Use:   "tail ROOM...",
		Short: "Print the messages of rooms, and stay connected",
		Long: `Tail joins rooms and wildcards as a user, and prints each message once and in order,
as JSON on a line of its own. It reconnects and resumes whatever happens. What
could not be had is told as a gap, and goes to standard error with all else.
It ends when it is stopped, when the gateway refuses the user or every room for good
(exit code 1), or after --count messages.
With --positions it goes on behind the last message that it printed.
Without --token it makes a token for each connection, as the token command does.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, rooms []string) error {
			w.rooms, w.renew = slices.Compact(slices.Sorted(slices.Values(rooms))), w.token == ""
			if err := e.unlessTold(func() error { return w.find(e, c) }); err != nil {
				return err
			}
			return w.run(c)
		},
	}
	w.flags(c)
	c.Flags().StringSliceVar(&w.keys, "key", nil, "print messages of this `key` only; may be given several times")
	c.Flags().Float64Var(&w.rate, "max-rate", 0, "take at most this `number` of sends a second (default: all)")
	c.Flags().StringVar(&w.positions, "positions", "", "keep positions in this `file`, and go on from them")
	return c
}

// run ends with a signal, with the client, or after count messages.
func (w *tail) run(c *cobra.Command) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w.end = cancel
	opts := []client.Option{
		client.WithTLS(w.tls), client.OnMessage(w.message), client.OnGap(w.gap), client.OnReset(w.reset),
		client.OnState(w.state), client.OnError(w.fail),
		client.OnJoined(func(j client.Joined) { delete(w.refused, j.Room) }),
		client.WithToken(func(context.Context) (string, error) {
			if !w.renew {
				return w.token, nil
			}
			return mint(w.e, c, w.file, w.user, time.Hour, false)
		}),
	}
	if w.positions != "" {
		file := client.FileStorage(w.positions)
		opts = append(opts, client.WithStorage(&printed{Storage: file, unless: &w.unprinted}))
	}
	tape, err := client.Connect(ctx, w.url, opts...)
	if err != nil {
		return err
	}
	var wishes []client.RoomOption
	if len(w.keys) > 0 {
		wishes = append(wishes, client.Keys(w.keys...))
	}
	if w.rate > 0 {
		wishes = append(wishes, client.MaxRate(w.rate))
	}
	for _, room := range w.rooms {
		tape.Room(room, wishes...)
	}
	select {
	case <-w.e.signals:
		cancel()
		select { // the files of a token may be on a disk that hangs
		case <-tape.Done():
		case <-time.After(2 * time.Second):
		}
		return nil
	case <-tape.Done():
		return w.failed
	}
}

func (w *tail) message(m client.Message) {
	if w.count > 0 && w.printed == w.count {
		return // the client is ending
	}
	b, err := json.Marshal(m)
	if err != nil {
		w.say("cannot print a message of %s: %v", m.Room, err)
		return
	}
	if _, err := fmt.Fprintf(w.e.stdout, "%s\n", b); err != nil {
		w.failed = fmt.Errorf("cannot print: %w", err)
		w.unprinted.Store(true)
		w.end()
		return
	}
	if w.printed++; w.printed == w.count {
		w.end()
	}
}

func (w *tail) gap(g client.Gap) {
	from, _ := json.Marshal(g.From) // strings and numbers
	to, _ := json.Marshal(g.To)
	w.say("gap in %s from %s to %s (%s)", g.Room, from, to, g.Cause)
}

func (w *tail) reset(r client.Reset) { w.say("%s was created again, as %s", r.Room, r.Epoch) }

func (w *tail) state(s client.State, why client.Ending) {
	switch s {
	case client.Waiting:
		w.say("disconnected: %d %s; connecting again in %s", why.Code, why.Reason, why.Wait.Round(time.Millisecond))
	case client.Closed:
		if why.Code != 1000 {
			w.say("closed by the gateway: %d %s", why.Code, why.Reason)
			w.failed = exitCode(1)
		}
	}
}

func (w *tail) fail(err *client.Error, room string) {
	if room == "" {
		w.say("%v", err)
		return
	}
	w.say("%s: %v", room, err)
	if wild := strings.HasSuffix(room, "*"); err.Code == 0 || wild && err.Code == -32009 {
		return // the room goes on
	}
	if slices.Contains(w.rooms, room) {
		w.refused[room] = true
	}
	if len(w.refused) == len(w.rooms) {
		w.failed = exitCode(1)
		w.end()
	}
}

func (w *tail) say(format string, args ...any) {
	fmt.Fprintf(w.e.stderr, "tapecast: "+format+"\n", args...)
}
