package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// reader follows the page of the quick start, and sends what it shows.
const reader = `
<script>
  setInterval(() => fetch("/shown", { method: "POST", body: document.title + "\n" + document.body.innerText }), 200);
</script>
`

// TestBrowserQuickStart: the page of the quick start, as it is written there, shows prices of the demo, also after
// that was stopped and started. It says how many lines it has: ten.
func TestBrowserQuickStart(t *testing.T) {
	if os.Getenv("TAPECAST_E2E_BROWSER") == "" {
		t.Skip("make browser runs this: it takes Chromium")
	}
	besideOthers(t)
	text, err := os.ReadFile("../../../server/web/docs/quick-start.md")
	if err != nil {
		t.Fatal(err)
	}
	_, html, ok := strings.Cut(string(text), "\n```html\n")
	html, _, ended := strings.Cut(html, "\n```\n")
	ok = ok && ended && strings.Contains(string(text), "these ten lines")
	if n := strings.Count(html, "\n") + 1; !ok || n > 10 {
		t.Fatalf("the page has %d lines:\n%s", n, html)
	}
	g, home := demo(t, []string{"TAPECAST_SERVER_DRAIN=1s"})
	html = strings.NewReplacer("127.0.0.1:8080", g.public, `"TOKEN"`, `"`+g.printed(t)+`"`).Replace(html)

	var mu sync.Mutex
	shown := map[string]bool{} // what it has shown
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			b, _ := io.ReadAll(r.Body)
			mu.Lock()
			shown[string(b)] = true
			mu.Unlock()
			return
		}
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, html+reader)
	}))
	t.Cleanup(server.Close)
	(&site{t: t, server: server}).chromium(new(page))
	price := regexp.MustCompile(`(?m)^BTCUSDT \d+(\.\d+)?$`)
	changing := func() bool {
		mu.Lock()
		defer mu.Unlock()
		prices := map[string]bool{}
		for text := range shown {
			if strings.HasPrefix(text, "open\n") {
				prices[price.FindString(text)] = true
			}
		}
		delete(prices, "")
		return len(prices) >= 3
	}
	eventually(t, patience, "prices that change", changing)

	// Ctrl-C, and the same command again.
	if err := g.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	g.ended(patience, 0)
	mu.Lock()
	clear(shown)
	mu.Unlock()
	again := launchWith(t, []string{"XDG_CONFIG_HOME=" + home}, "run", "--listen", g.public, "--admin", "127.0.0.1:0")
	again.ready()
	eventually(t, patience, "prices that change again", changing)
}
