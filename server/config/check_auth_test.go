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
	f(write("rsa", &pem.Block{Type: "PUBLIC KEY", Bytes: rsaDER}, ""),
		"c.yaml:2: auth.public_key_file: the key is not an Ed25519 key"+do)
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

	_, err := Load(Sources{File: "/nowhere/c.yaml"})
	if want := "/nowhere/c.yaml: cannot read the file: no such file or directory; name a file that can be read with " +
		"--config, or in TAPECAST_CONFIG"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
