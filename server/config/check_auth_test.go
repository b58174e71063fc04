package config

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeyFaults(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, block *pem.Block, raw string) string {
		file := filepath.Join(dir, name)
		b := []byte(raw)
		if block != nil {
			b = pem.EncodeToMemory(block)
		}
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	pub, priv, _ := ed25519.GenerateKey(rand.Reader)
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	pubDER, _ := x509.MarshalPKIXPublicKey(pub)
	rsaDER, _ := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	privDER, _ := x509.MarshalPKCS8PrivateKey(priv)
	const do = "; make one with: openssl genpkey -algorithm ed25519 -out private.pem; openssl pkey -in private.pem " +
		"-pubout"
	f := func(file string, want ...string) {
		t.Helper()
		faultsOf(t, "auth:\n  public_key_file: "+file, want...)
	}
	f(write("good", &pem.Block{Type: "PUBLIC KEY", Bytes: pubDER}, ""))
	rsaFile := write("rsa", &pem.Block{Type: "PUBLIC KEY", Bytes: rsaDER}, "")
	f(rsaFile)
	f(write("priv", &pem.Block{Type: "PRIVATE KEY", Bytes: privDER}, ""),
		"c.yaml:2: auth.public_key_file: this is a private key, which the server must not have"+do)
	f(write("junk", &pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}, ""),
		"c.yaml:2: auth.public_key_file: the PEM block holds no public key"+do)
	f(write("text", nil, "hello"), "c.yaml:2: auth.public_key_file: the key is not in PEM form"+do)
	empty := write("empty", nil, "\n")
	f(empty, "c.yaml:2: auth.public_key_file: "+empty+" is empty; put auth.public_key into it")
	f("/nowhere/x", "c.yaml:2: auth.public_key_file: cannot read /nowhere/x: no such file or directory; name a file "+
		"that this user can read")
	f(dir, "c.yaml:2: auth.public_key_file: cannot read "+dir+": is a directory; name a file that this user can read")
	large := write("large", nil, strings.Repeat("x", maxFile+1))
	f(large, "c.yaml:2: auth.public_key_file: cannot read "+large+
		": it is larger than 1MiB; name a file that this user can read")
	short := write("short", nil, "short\n")
	faultsOf(t, "auth: {secret_file: "+short+"}",
		"c.yaml:1: auth.secret_file: the key has 5 bytes, and HS256 needs 32 or more; make one with: openssl rand "+
			"-base64 32")

	keys := func(entry string, want ...string) {
		t.Helper()
		faultsOf(t, "auth:\n  keys:\n    - {"+entry+"}", want...)
	}
	good := "public_key_file: " + rsaFile
	keys("kid: a, algorithms: [RS256, PS512], " + good)
	keys("kid: a, "+good+", algorithms: [ES256]", "c.yaml:3: auth.keys[0]: algorithms: ES256 does not fit the key, "+
		"which is for RS256, RS384, RS512, PS256, PS384, PS512"+do)
	keys("kid: a", "c.yaml:3: auth.keys[0]: it has no key: set secret_file or public_key_file")
	keys("kid: a, "+good+", secret: "+testSecret,
		"c.yaml:3: auth.keys[0]: it has a secret and a public key: give each an entry of its own")
	keys("kid: a, secret_file: "+short, "c.yaml:3: auth.keys[0]: the key has 5 bytes, and HS256 needs 32 or more; "+
		"make one with: openssl rand -base64 32")
	keys("public_key_file: /nowhere/x", "c.yaml:3: auth.keys[0].public_key_file: cannot read /nowhere/x: "+
		"no such file or directory; name a file that this user can read")
	keys("kid: a, public_key: '{\"keys\": [{}, {}]}'", "c.yaml:3: auth.keys[0]: no key of the JWK Set can check "+
		"a token: key 0 (kid \"\"): it is not supported, or not well formed"+do)

	_, err := Load(Sources{File: "/nowhere/c.yaml"})
	if want := "/nowhere/c.yaml: cannot read the file: no such file or directory; name a file that can be read with " +
		"--config, or in TAPECAST_CONFIG"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
