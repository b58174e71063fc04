package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/spf13/cobra"

	"tapecast/server/auth"
	"tapecast/server/config"
)

func tokenCommand(e *env) *cobra.Command {
	var (
		file, user string
		ttl        time.Duration
		ed25519    bool
	)
	c := &cobra.Command{
		Use:   "token",
		Short: "Print a token that the same configuration accepts",
		Long: `Token prints a token (JWT) for a user. It is signed with auth.secret, or with the
Ed25519 key in auth.private_key_file. Without a configuration it is signed with
the demo secret, which run also uses without one.

A token that the gateway accepts has sub (the user) and exp, and iss and aud where
auth.issuer and auth.audience are set, and a key of auth has signed it: a secret
(HS256 to HS512), RSA (RS256 to PS512), EC (ES256 to ES512) or Ed25519 (EdDSA).`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return e.unlessTold(func() error {
				token, err := mint(e, c, file, user, ttl, ed25519)
				if err == nil {
					fmt.Fprintln(e.stdout, token)
				}
				return err
			})
		},
	}
	c.Flags().StringVar(&file, "config", "", "configuration `file` (YAML; default $TAPECAST_CONFIG)")
	c.Flags().StringVar(&user, "user", "", "user `id`: the token's sub")
	c.Flags().DurationVar(&ttl, "ttl", 24*time.Hour, "how long the token is valid")
	c.Flags().BoolVar(&ed25519, "ed25519", false, "sign with Ed25519 even if there is a secret")
	_ = c.MarkFlagRequired("user") // fails only for unknown flags
	return c
}

// mint makes a token with the configuration. Faults outside auth do not matter: a laptop
// that makes tokens need not be able to run the gateway.
func mint(e *env, c *cobra.Command, file, user string, ttl time.Duration, ed25519 bool) (string, error) {
	cfg, err := load(e, file, c.Flags())
	var faults config.Faults
	if errors.As(err, &faults) {
		if auth := faults.Under("auth"); len(auth) > 0 {
			return "", report(e, auth)
		}
	}
	if _, err := demoKey(cfg); err != nil {
		return "", err
	}
	return auth.MintToken(cfg, user, ttl, ed25519)
}

// target is the gateway that a client connects to, and who it is there.
type target struct {
	url, token     string
	file, user, ca string
	insecure       bool
	tls            *tls.Config // for wss
	rooms          []string
	count          int
}

func (w *target) flags(c *cobra.Command) {
	c.Flags().StringVar(&w.url, "url", "",
		"connect to this `URL`, as ws://127.0.0.1:8080/ws or wss://host/ws (default: that of the configuration)")
	c.Flags().StringVar(&w.ca, "ca", "", "trust the certificates in this PEM `file` (default: the system's)")
	c.Flags().BoolVar(&w.insecure, "insecure", false, "accept any certificate")
	c.Flags().StringVar(&w.token, "token", "", "authenticate with this `token`")
	c.Flags().StringVar(&w.file, "config", "", "configuration `file` (YAML; default $TAPECAST_CONFIG)")
	c.Flags().StringVar(&w.user, "user", "42", "make a token for this user `id`")
	c.Flags().IntVar(&w.count, "count", 0, "end after this `number` of messages (default: when stopped)")
}

// find fills in what the flags leave open.
func (w *target) find(e *env, c *cobra.Command) (err error) {
	if w.token == "" {
		if w.token, err = mint(e, c, w.file, w.user, time.Hour, false); err != nil {
			return err
		}
	}
	if w.url == "" {
		cfg, _ := load(e, w.file, c.Flags()) // faults of the rest do not matter to a client
		w.url = publicURL(cfg, cfg.Server.Listen)
	}
	w.tls, err = trust(w.ca, w.insecure)
	return err
}

func watchCommand(e *env) *cobra.Command {
	var w watcher
	c := &cobra.Command{
		Use:   "watch [ROOM...]",
		Short: "Connect as a client and print what comes",
		Long: `Watch connects to a gateway as a user and prints each message on a line of its
own. It joins the given rooms, besides those that the user is joined to anyway.
Without --token it makes a token as the token command does.`,
		RunE: func(c *cobra.Command, rooms []string) error {
			w.rooms = rooms
			if err := e.unlessTold(func() error { return w.find(e, c) }); err != nil {
				return err
			}
			return w.run(e)
		},
	}
	w.flags(c)
	return c
}

// publicURL returns where clients on this machine find the gateway.
func publicURL(cfg *config.Config, addr string) string {
	scheme := "ws://"
	if cfg.TLS() {
		scheme = "wss://"
	}
	return scheme + local(addr) + cfg.Server.Path
}

// trust returns the TLS configuration with which a client checks the gateway's certificate.
func trust(ca string, insecure bool) (*tls.Config, error) {
	cfg := &tls.Config{InsecureSkipVerify: insecure}
	if ca == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("cannot read --ca: %w", err)
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("cannot take --ca: %s holds no PEM certificate", ca)
	}
	return cfg, nil
}

// local returns an address to connect to for one that is listened on: loopback for all interfaces.
func local(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}

type watcher struct{ target }

// run ends with the connection, after count messages, or on a signal.
func (w *watcher) run(e *env) error {
	dialer := ws.Dialer{
		Timeout:   10 * time.Second,
		Protocols: []string{"tapecast.v1"},
		TLSConfig: w.tls,
		Header:    ws.HandshakeHeaderHTTP{"Authorization": {"Bearer " + w.token}},
	}
	conn, early, _, err := dialer.Dial(context.Background(), w.url)
	var refused ws.StatusError
	switch {
	case errors.As(err, &refused):
		return fmt.Errorf("%s refused with status %d", w.url, int(refused))
	case err != nil:
		return fmt.Errorf("cannot connect to %s: %w", w.url, err)
	}
	defer conn.Close()
	var source io.Reader = conn
	if early != nil { // frames that came with the answer
		source = io.MultiReader(io.LimitReader(early, int64(early.Buffered())), conn)
	}
	ended := make(chan error, 1)
	go func() { ended <- w.read(e, source, conn) }()
	select {
	case err = <-ended:
	case <-e.signals:
		if err := sayGoodbye(conn); err != nil {
			return err
		}
		select {
		case <-ended:
		case <-time.After(time.Second):
		}
		return nil
	}
	var closed wsutil.ClosedError
	if !errors.As(err, &closed) {
		return err
	}
	fmt.Fprintf(e.stderr, "closed by the gateway: %d %s\n", closed.Code, closed.Reason)
	if closed.Code == ws.StatusGoingAway || closed.Code == 1012 {
		return nil
	}
	return exitCode(1)
}

func sayGoodbye(conn net.Conn) error {
	return ws.WriteFrame(conn, ws.MaskFrameInPlace(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))))
}

// read prints messages until the connection ends or count is reached.
func (w *watcher) read(e *env, source io.Reader, conn net.Conn) error {
	control := wsutil.ControlFrameHandler(conn, ws.StateClientSide)
	r := wsutil.Reader{Source: source, State: ws.StateClientSide, CheckUTF8: true, OnIntermediate: control}
	for seen := 0; ; {
		h, err := r.NextFrame()
		if err != nil {
			return fmt.Errorf("cannot read: %w", err)
		}
		if h.OpCode == ws.OpClose {
			return readClose(&r, conn)
		}
		if h.OpCode.IsControl() {
			if err := control(h, &r); err != nil {
				return err
			}
			continue
		}
		message, err := io.ReadAll(&r)
		if err != nil {
			return fmt.Errorf("cannot read: %w", err)
		}
		if h.OpCode == ws.OpBinary {
			fmt.Fprintf(e.stdout, "%q\n", message)
		} else {
			fmt.Fprintf(e.stdout, "%s\n", message)
		}
		if seen++; seen == w.count {
			return sayGoodbye(conn)
		}
		if err := w.subscribe(conn, message); err != nil {
			return err
		}
	}
}

// readClose answers a close frame and returns it as a ClosedError. The library's own
// handler refuses codes that were registered after RFC 6455, such as 1012.
func readClose(r io.Reader, conn net.Conn) error {
	body, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("cannot read: %w", err)
	}
	code, reason := ws.ParseCloseFrameData(body)
	_ = sayGoodbye(conn) // the gateway may have closed already
	return wsutil.ClosedError{Code: code, Reason: reason}
}

// subscribe asks for the rooms once the gateway has admitted the client.
func (w *watcher) subscribe(conn net.Conn, message []byte) error {
	if len(w.rooms) == 0 {
		return nil
	}
	var notice struct{ Method string }
	if json.Unmarshal(message, &notice) != nil || notice.Method != "auto_subscribed" {
		return nil
	}
	request, err := json.Marshal(map[string]any{
		"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": map[string]any{"rooms": w.rooms},
	})
	if err != nil {
		return err
	}
	w.rooms = nil
	return wsutil.WriteClientText(conn, request)
}
