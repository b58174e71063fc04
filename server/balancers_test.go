package server

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const balancersPage = "web/docs/balancers.md"

// balancers check a configuration, each with the program itself.
var balancers = map[string]func(t *testing.T, dir, file string) *exec.Cmd{
	"haproxy": func(_ *testing.T, _, file string) *exec.Cmd { return exec.Command("haproxy", "-c", "-f", file) },
	"nginx": func(t *testing.T, dir, file string) *exec.Cmd {
		globals := fmt.Sprintf("pid %s/pid; error_log stderr;", dir)
		// Debian has the module of layer 4 apart.
		if module := "/usr/lib/nginx/modules/ngx_stream_module.so"; exists(module) {
			globals = "load_module " + module + "; " + globals
		}
		return exec.Command("nginx", "-t", "-p", dir, "-c", file, "-g", globals)
	},
}

// folders has nginx keep what does not fit into memory below dir.
func folders(dir string) (text string) {
	for _, of := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		text += fmt.Sprintf(" %s_temp_path %s;", of, filepath.Join(dir, of))
	}
	return text
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// TestBalancers: HAProxy and nginx take the configurations of the page about them.
func TestBalancers(t *testing.T) {
	for name, check := range balancers {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(name); err != nil {
				t.Skipf("make balancers runs this: there is no %s", name)
			}
			dir := t.TempDir()
			certificate, key := balancerCertificate(t)
			put := func(file, text string) string {
				file = filepath.Join(dir, file)
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				return file
			}
			// HAProxy has both in one file.
			files := strings.NewReplacer(
				"/etc/haproxy/push.pem", put("both.pem", certificate+key),
				"/etc/nginx/push.pem", put("push.pem", certificate),
				"/etc/nginx/push.key", put("push.key", key),
				// nginx opens what it listens on, its log and its folders, for which it may lack the rights.
				"listen 443", "listen unix:"+filepath.Join(dir, "s"),
				"http {", "http { access_log off;"+folders(dir))
			blocks := strings.Split(pageText(t, balancersPage), "```"+name+"\n")[1:]
			if len(blocks) != 2 {
				t.Errorf("the page has %d configurations of %s, not those of two layers", len(blocks), name)
			}
			for i, b := range blocks {
				code, _, _ := strings.Cut(b, "```")
				cmd := check(t, dir, put(fmt.Sprint(name, i, ".conf"), files.Replace(code)))
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%v\n%s\nof\n%s", err, out, code)
				}
			}
		})
	}
}

// balancerCertificate returns a certificate and its key in PEM.
func balancerCertificate(t *testing.T) (certificate, key string) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	own := s.TLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// haproxyFault and nginxFault return why a text cannot be a configuration. They look at its form alone: TestBalancers
// has the programs look at the rest.
func haproxyFault(code string) error {
	section := false
	for line := range strings.Lines(code) {
		word := strings.Fields(line)
		switch begins := !strings.HasPrefix(line, " "); {
		case len(word) == 0 || strings.HasPrefix(word[0], "#"):
		case begins && !strings.Contains(" global defaults frontend backend listen ", " "+word[0]+" "):
			return fmt.Errorf("%q begins no section", line)
		case !begins && !section:
			return fmt.Errorf("%q is in no section", line)
		default:
			section = true
		}
	}
	return nil
}

func nginxFault(code string) error {
	depth := 0
	for line := range strings.Lines(code) {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
		case strings.HasSuffix(line, "{"):
			depth++
		case line == "}":
			depth--
		case !strings.HasSuffix(line, ";"):
			return fmt.Errorf("%q does not end", line)
		}
		if depth < 0 {
			return errors.New("a block ends that has not begun")
		}
	}
	if depth != 0 {
		return errors.New("a block does not end")
	}
	return nil
}
