package e2e

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

const balancersPage = "../../../server/web/docs/balancers.md"

// TestBalancers: HAProxy and nginx, on layer 4 and 7, with the configurations of their page. Clients are let in, and
// the gateway knows their addresses: a limit of an address holds for each of them, and not for the balancer.
func TestBalancers(t *testing.T) {
	if os.Getenv("TAPECAST_E2E_BALANCERS") == "" {
		t.Skip("make balancers runs this: it takes HAProxy and nginx")
	}
	page, err := os.ReadFile(balancersPage)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"haproxy", "nginx"} {
		for i, block := range strings.Split(string(page), "```"+name+"\n")[1:] {
			code, _, _ := strings.Cut(block, "```")
			layer := 4 + 3*i
			t.Run(fmt.Sprint(name, " on layer ", layer), func(t *testing.T) {
				if _, err := exec.LookPath(name); err != nil {
					t.Skipf("make balancers installs it: there is no %s", name)
				}
				balanced(t, name, code, layer)
			})
		}
	}
}

func balanced(t *testing.T, name, code string, layer int) {
	proxy := "trusted: [127.0.0.1]"
	if layer == 7 {
		proxy = "http: {trusted: [127.0.0.1]}"
	}
	g := start(t, config(nil, fmt.Sprintf(`
server: {listen: "127.0.0.1:0", drain: 3s, proxy: {%s}}
admin: {listen: "127.0.0.1:0", probes: "127.0.0.1:0"}
limits: {connections_per_address: 1}
rooms: [{match: "trades", class: stream}]
auto_join: []
ingest: {market: false}
`, proxy)))
	addr := startBalancer(t, g, name, code)
	for _, c := range []struct{ from, want int }{{1, 101}, {1, 503}, {2, 101}, {3, 101}} {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: source(c.from)}, Timeout: patience}
		conn, err := d.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if layer == 7 {
			conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // whose certificate is the test's own
		}
		if s := upgraded(g, conn); s != c.want {
			t.Errorf("a client at %v gets %d, not %d", source(c.from), s, c.want)
		}
	}
}

// startBalancer starts a balancer with a configuration of the page, for one gateway and without the rights that the
// page's own ports and limits take. It returns where it listens.
func startBalancer(t *testing.T, g *gateway, name, code string) string {
	t.Helper()
	socket, addr := passedSocket(t)
	defer socket.Close()
	dir := t.TempDir()
	certFile, keyFile, _ := certificate(t)
	var pem []byte // HAProxy has both in one file
	for _, file := range []string{certFile, keyFile} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pem = append(pem, b...)
	}
	both := written(t, "both.pem", string(pem))
	probes, _ := g.waitLog(patience, "listening", nil)["probes"].(string)
	code = strings.NewReplacer("10.0.0.11:8080", g.public, "  server b 10.0.0.12:8080\n", "",
		"    server 10.0.0.12:8080;\n", "", "port 8082", "port "+portOf(t, probes), "maxconn 100000", "maxconn 1000",
		"bind :443", "bind fd@3", "/etc/haproxy/push.pem", both,
		"listen 443", "listen "+addr, "/etc/nginx/push.pem", certFile, "/etc/nginx/push.key", keyFile).Replace(code)
	file := written(t, name+".conf", code)
	cmd := exec.Command("haproxy", "-db", "-f", file)
	if name == "nginx" {
		globals := fmt.Sprintf("daemon off; pid %s/pid; error_log stderr;", dir)
		if module := "/usr/lib/nginx/modules/ngx_stream_module.so"; fileExists(module) {
			globals = "load_module " + module + "; " + globals
		}
		cmd = exec.Command("nginx", "-p", dir, "-c", file, "-g", globals)
		cmd.Env = append(os.Environ(), "NGINX=3;") // it takes over the socket
	}
	var said strings.Builder
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // nginx has workers
	cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = []*os.File{socket}, &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	suite.reap.tell("pid", cmd.Process.Pid)
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		suite.reap.tell("ended", cmd.Process.Pid)
		if t.Failed() {
			t.Logf("%s said: %s", name, said.String())
		}
	})
	return addr
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func portOf(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}
