package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAdminFaults(t *testing.T) {
	dir := t.TempDir()
	certIn(t, dir)
	token := tokenFile(t, "a-token-of-tests-which-is-as-long-as-any")
	short := tokenFile(t, "short")
	f := func(admin string, want ...string) {
		t.Helper()
		in := strings.NewReplacer("TOKEN", "token_file: "+token, "SHORT", short,
			"TLS", "tls: {cert_file: "+dir+"/cert.pem, key_file: "+dir+"/key.pem}")
		for i := range want {
			want[i] = "c.yaml:1: admin." + want[i]
		}
		faultsOf(t, "admin: {"+in.Replace(admin)+"}", want...)
	}
	const reach = ", which other machines may reach, without token and TLS; " +
		"set admin.token_file and admin.tls, or admin.listen to 127.0.0.1, or remove the line"
	f("write: true, TOKEN, direct: true, pprof: true")
	f(`write: true, TOKEN, direct: true, pprof: true, TLS, listen: "0.0.0.0:1"`)
	f(`listen: "0.0.0.0:1"`)
	f("write: true", "write: is set without a token, so that any client could write; set admin.token_file too")
	f("direct: true",
		"direct: is set without admin.write; set admin.write: true and admin.token_file, or remove the line")
	f(`pprof: true, listen: "0.0.0.0:29081"`, "pprof: is served on 0.0.0.0:29081"+reach)
	f(`pprof: true, TOKEN, listen: "10.0.0.1:1"`, "pprof: is served on 10.0.0.1:1"+reach)
	f(`pprof: true, TLS, listen: ":1"`, "pprof: is served on :1"+reach)
	f(`pprof: true, direct: true, write: true, TOKEN, listen: "[::]:1"`,
		"pprof: is served on [::]:1"+reach, "direct: is served on [::]:1"+reach)
	for _, near := range []string{"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "[::ffff:127.0.0.1]:1"} {
		f(`pprof: true, listen: "` + near + `"`)
	}
	const do = "; make one with: (umask 077; openssl rand -hex 32 > FILE)"
	f("token_file: /nowhere", "token_file: cannot take the token: open /nowhere: no such file or directory"+do)
	f("token_file: SHORT",
		"token_file: cannot take the token: "+short+" holds 5 characters: 32 or more are needed"+do)
	f("tls: {key_file: x}", "tls.key_file: is set without its certificate; set admin.tls.cert_file too")
	f("tls: {min_version: 1.4}", `tls.min_version: "1.4" is unknown; did you mean 1.2? (known: 1.2, 1.3)`)
	const names = " is not a host name; " +
		"write whole names without port, such as tapecast.internal; there are no wildcards"
	f(`hosts: [tapecast.internal, pod_7, "*", "a:1", "*.x", ""]`,
		`hosts[2]: "*"`+names, `hosts[3]: "a:1"`+names, `hosts[4]: "*.x"`+names, `hosts[5]: ""`+names)
	f(`probes: "0.0.0.0:9"`)
	const own = "; give probes a port of their own, or remove the line"
	f(`probes: nowhere`,
		`probes: "nowhere" is not a host:port; write one such as 127.0.0.1:8080, or 0.0.0.0:8080 for all IPv4 `+
			`addresses, [::]:8080 for all`)
	f(`probes: "127.0.0.1:8081"`, "probes: is the same as admin.listen"+own)
	f(`probes: ":8081"`, "probes: is the same as admin.listen"+own)
	f(`probes: "0.0.0.0:8080"`, "probes: is the same as server.listen"+own)
	f(`listen: "0.0.0.0:9", probes: "[::1]:9"`) // the one is IPv4's
	f(`listen: "[::1]:9", probes: "0.0.0.0:9"`)
	f(`listen: "0.0.0.0:9", probes: "[::]:9"`, "probes: is the same as admin.listen"+own)
	f(`listen: "[::1]:9", probes: "[::]:9"`, "probes: is the same as admin.listen"+own)
	f(`listen: "0.0.0.0:8080"`, "listen: is the same as server.listen; give the internal port an address of its own")
	// A run without configuration brings its token along.
	if _, err := Load(Sources{Flags: []Flag{{"--direct", "admin.direct", "true"}}}); err != nil {
		t.Errorf("the demo: %v", err)
	}
}

func TestAdminWarnings(t *testing.T) {
	token := tokenFile(t, "a-token-of-tests-which-is-as-long-as-any")
	f := func(admin string, mode os.FileMode, want string) {
		t.Helper()
		if err := os.Chmod(token, mode); err != nil {
			t.Fatal(err)
		}
		cfg := mustLoad(t, "admin: {write: true, token_file: "+token+admin+"}")
		if got := strings.Join(cfg.Warnings(), "|"); got != want {
			t.Errorf("%s: %s, want %s", admin, got, want)
		}
	}
	f("", 0o600, "")
	f("", 0o640, "")
	f("", 0o644, "admin.token_file: every user of this machine may open "+token+" (mode 0644); chmod 600 it")
	f(`, listen: "0.0.0.0:1"`, 0o600,
		"admin.write: the token crosses the network in the clear to 0.0.0.0:1; "+
			"set admin.tls, or admin.listen to 127.0.0.1")
}

// tokenFile is a file that holds a token.
func tokenFile(t *testing.T, token string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "admin.token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestReadAdminToken: what is not a good token is refused.
func TestReadAdminToken(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := ReadAdminToken(tokenFile(t, text))
		if got := fmt.Sprint(err); (err == nil) != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	f(strings.Repeat("x", 32), "")
	f("\n "+strings.Repeat("x", 32)+" \r\n", "")
	f(strings.Repeat("x", 31), "holds 31 characters: 32 or more are needed")
	f(strings.Repeat(" ", 40), "holds 0 characters")
	f(strings.Repeat("x", 20)+" "+strings.Repeat("x", 20), "that no header can")
	f(strings.Repeat("ü", 20), "that no header can")
}
