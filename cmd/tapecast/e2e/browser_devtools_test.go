package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// devtools is a session of the DevTools protocol with a page in Chromium.
type devtools struct {
	t       *testing.T
	conn    net.Conn
	in      io.Reader
	id      int
	session string
}

// devtoolsOf opens a session with the page that a Chromium shows.
func devtoolsOf(t *testing.T, p *page) *devtools {
	t.Helper()
	var at []string
	eventually(t, patience, "the port of DevTools", func() bool {
		b, err := os.ReadFile(filepath.Join(p.profile, "DevToolsActivePort"))
		at = strings.Fields(string(b))
		return err == nil && len(at) == 2
	})
	conn, br, _, err := ws.Dial(context.Background(), "ws://127.0.0.1:"+at[0]+at[1])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	d := &devtools{t: t, conn: conn, in: conn}
	if br != nil {
		d.in = io.MultiReader(br, conn)
	}
	var targets struct {
		TargetInfos []struct{ TargetID, Type string }
	}
	d.call("Target.getTargets", map[string]any{}, &targets)
	for _, target := range targets.TargetInfos {
		if target.Type == "page" {
			var attached struct{ SessionID string }
			d.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
			d.session = attached.SessionID
			return d
		}
	}
	t.Fatalf("no page among %+v", targets)
	return nil
}

// call calls a method of the protocol, and decodes its result. Events that come before it are dropped.
func (d *devtools) call(method string, params, result any) {
	d.t.Helper()
	d.id++
	request := map[string]any{"id": d.id, "method": method, "params": params}
	if d.session != "" {
		request["sessionId"] = d.session
	}
	if err := wsutil.WriteClientText(d.conn, encoded(request)); err != nil {
		d.t.Fatal(err)
	}
	for {
		text, err := wsutil.ReadServerText(struct {
			io.Reader
			io.Writer
		}{d.in, d.conn})
		if err != nil {
			d.t.Fatalf("%s: %v", method, err)
		}
		var answer struct {
			ID     int
			Result json.RawMessage
			Error  json.RawMessage
		}
		if err := json.Unmarshal(text, &answer); err != nil || answer.ID != d.id {
			continue
		}
		if answer.Error != nil {
			d.t.Fatalf("%s: %s", method, answer.Error)
		}
		if result != nil {
			if err := json.Unmarshal(answer.Result, result); err != nil {
				d.t.Fatal(err)
			}
		}
		return
	}
}
